// Types of procs-native: those of node:child_process, and what child_process does not have.

/// <reference types="node" />

import * as cp from 'node:child_process';
import { EventEmitter } from 'node:events';
import { Readable, Writable } from 'node:stream';
import { Channel, ChannelOptions } from './lib/message-channel.js';

export * from 'node:worker_threads';
export * from './lib/message-channel.js';
export * from './lib/shared-memory.js';

export type {
  CommonExecOptions,
  CommonOptions,
  CommonSpawnOptions,
  ExecException,
  ExecFileException,
  ExecFileOptions,
  ExecFileOptionsWithBufferEncoding,
  ExecFileOptionsWithStringEncoding,
  ExecFileSyncOptions,
  ExecFileSyncOptionsWithBufferEncoding,
  ExecFileSyncOptionsWithStringEncoding,
  ExecOptions,
  ExecOptionsWithBufferEncoding,
  ExecOptionsWithStringEncoding,
  ExecSyncOptions,
  ExecSyncOptionsWithBufferEncoding,
  ExecSyncOptionsWithStringEncoding,
  ForkOptions,
  IOType,
  MessageOptions,
  MessagingOptions,
  SendHandle,
  Serializable,
  SerializationType,
  ProcessEnvOptions,
  PromiseWithChild,
  SpawnOptions,
  SpawnOptionsWithStdioTuple,
  SpawnOptionsWithoutStdio,
  SpawnSyncOptions,
  SpawnSyncOptionsWithBufferEncoding,
  SpawnSyncOptionsWithStringEncoding,
  SpawnSyncReturns,
  StdioNull,
  StdioOptions,
  StdioPipe,
  StdioPipeNamed,
} from 'node:child_process';

/** Limits of a child by resource: one number for both, or `[soft, hard]`. `Infinity` is unlimited. Units as in setrlimit(2). */
export type Limits = Partial<Record<
  | 'addressSpace' | 'core' | 'cpu' | 'data' | 'fileSize' | 'locks' | 'memLock' | 'msgQueue'
  | 'nice' | 'noFile' | 'nProc' | 'rss' | 'rtPrio' | 'rtTime' | 'sigPending' | 'stack',
  number | readonly [soft: number, hard: number]
>>;

/** How a child is started, beyond the options of child_process. */
export interface StartOptions {
  /** Stopping the child stops all its descendants. The child then leads a process group of its own. Default: false. */
  killTree?: boolean | undefined;
  /** With killTree: time between killSignal and SIGKILL after a timeout or abort, in ms. Default: 0. */
  grace?: number | undefined;
  /** Resource limits. */
  limits?: Limits | undefined;
  /** File mode creation mask. */
  umask?: number | undefined;
  /** Nice value, -20 to 19. */
  nice?: number | undefined;
  /** The CPUs that the child may use, by number. */
  affinity?: readonly number[] | undefined;
  /** Supplementary groups. Default with uid or gid: none. */
  groups?: readonly number[] | undefined;
  /** Process group: 0 makes a new one, another number joins that one. */
  processGroup?: number | undefined;
  /** Neither the child nor its descendants gain privileges by exec. Default: false. */
  noNewPrivs?: boolean | undefined;
  /** SIGKILL for the child when this process ends for any reason. Default: false. */
  dieWithParent?: boolean | undefined;
}

/** How a child is stopped. */
export interface StopOptions {
  /** Sent first. Default: SIGTERM. */
  signal?: NodeJS.Signals | number | undefined;
  /** Time before SIGKILL, in ms. Default: 5000. */
  grace?: number | undefined;
  /** Whether descendants are stopped too. Default: as the start said. */
  killTree?: boolean | undefined;
  /** Closes the child's stdin first. Default: false. */
  closeStdin?: boolean | undefined;
}

/** What a stop did. */
export interface StopReport {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** The step after which the child ended, such as "SIGTERM"; null when it had ended before. */
  endedBy: string | null;
  /** The means used on the tree. */
  level: 'process' | 'group' | 'walk' | 'cgroup';
  /** Process ids of the tree that were seen alive afterwards. */
  survivors: number[];
}

/** What a finished child used, with the children it waited for. */
export interface Usage {
  userMs: number;
  systemMs: number;
  maxRssBytes: number;
}

/** Lines of a stream. Leaving a loop over them early destroys the stream. */
export interface Lines extends AsyncIterableIterator<string> {
  /** The same lines in arrays, as many as one read brought: several times faster for many short lines. */
  batches(): AsyncIterableIterator<string[]>;
}

/** How lines are read. */
export interface LinesOptions {
  /** Default: utf8. */
  encoding?: BufferEncoding | undefined;
  /** Removes a carriage return before the line feed. Default: false. */
  stripCr?: boolean | undefined;
}

/** What our children can do beyond Node's. */
export interface ChildAdditions {
  /** What the child used; undefined before 'exit'. */
  readonly usage?: Usage | undefined;
  /** Ends the child: `signal`, after `grace` SIGKILL. Resolves when it has ended. */
  stop(options?: StopOptions): Promise<StopReport>;
  /** Ends the child and all its descendants at once. */
  killTree(): Promise<StopReport>;
  /** The lines of standard output, of any length. Throws ERR_PROCS_INVALID_STATE when stdout is not a pipe. */
  lines(options?: LinesOptions): Lines;
}

/** One child of this process. */
export class ChildProcess extends cp.ChildProcess implements ChildAdditions {
  readonly usage?: Usage | undefined;
  stop(options?: StopOptions): Promise<StopReport>;
  killTree(): Promise<StopReport>;
  lines(options?: LinesOptions): Lines;
}

export type ChildProcessWithoutNullStreams = cp.ChildProcessWithoutNullStreams & ChildAdditions;

export type ChildProcessByStdio<
  I extends null | Writable,
  O extends null | Readable,
  E extends null | Readable,
> = cp.ChildProcessByStdio<I, O, E> & ChildAdditions;

type Piped = cp.StdioNull | cp.StdioPipe;
type In<S> = S extends cp.StdioPipe ? Writable : null;
type Out<S> = S extends cp.StdioPipe ? Readable : null;

/** A child with a native channel, from `spawn` with the option `channel`. */
export type ChildWithChannel = Omit<ChildProcess, 'channel'> & { readonly channel: Channel };

/**
 * As child_process.spawn, with our options, and with children that can do more. A program that this process has executed before is not waited
 * for: if it cannot be executed any more although its file looks unchanged, `'error'` comes after `'spawn'`, and no `'exit'`.
 */
export interface Spawn {
  (command: string, args: readonly string[], options: cp.SpawnOptions & StartOptions & { channel: true | ChannelOptions }): ChildWithChannel;
  (command: string, options?: cp.SpawnOptionsWithoutStdio & StartOptions): ChildProcessWithoutNullStreams;
  <I extends Piped, O extends Piped, E extends Piped>(
    command: string,
    options: cp.SpawnOptionsWithStdioTuple<I, O, E> & StartOptions,
  ): ChildProcessByStdio<In<I>, Out<O>, Out<E>>;
  (command: string, options: cp.SpawnOptions & StartOptions): ChildProcess;
  (
    command: string,
    args?: readonly string[],
    options?: cp.SpawnOptionsWithoutStdio & StartOptions,
  ): ChildProcessWithoutNullStreams;
  <I extends Piped, O extends Piped, E extends Piped>(
    command: string,
    args: readonly string[],
    options: cp.SpawnOptionsWithStdioTuple<I, O, E> & StartOptions,
  ): ChildProcessByStdio<In<I>, Out<O>, Out<E>>;
  (command: string, args: readonly string[], options: cp.SpawnOptions & StartOptions): ChildProcess;
}

export const spawn: Spawn & typeof cp.spawn;

/** What `child.channel` of a forked child is. */
export interface ForkChannel extends EventEmitter {
  ref(): void;
  unref(): void;
  hasRef(): boolean;
  readonly fd: number | undefined;
  /** What is spoken: Node's wire, or the native one with a child that requires this package. */
  readonly wire: 'node' | 'native';
}

/** A child with Node's channel, from `fork`. */
export type ForkedChild = Omit<ChildProcess, 'channel'> & { readonly channel?: ForkChannel | null };

/** As child_process.fork, with our options. */
export interface Fork {
  (modulePath: string | URL, options?: cp.ForkOptions & StartOptions & ForkWire): ForkedChild;
  (modulePath: string | URL, args?: readonly string[], options?: cp.ForkOptions & StartOptions & ForkWire): ForkedChild;
}

export interface ForkWire {
  /** 'node' keeps Node's own wire, also with a child that could do better. */
  wire?: 'node' | undefined;
}

export const fork: Fork & typeof cp.fork;
export const exec: typeof cp.exec;
export const execFile: typeof cp.execFile;
export const spawnSync: typeof cp.spawnSync;
export const execSync: typeof cp.execSync;
export const execFileSync: typeof cp.execFileSync;

/** What is kept of a stream: bytes that, exceeded, stop the child; or a policy. */
export type OutputLimit = number | {
  /** error: one byte more stops the child; head, tail: these bytes are kept; spill: all goes to an unlinked file beyond them. */
  policy: 'unlimited' | 'error' | 'head' | 'tail' | 'spill';
  /** Bytes kept in memory. */
  bytes?: number | undefined;
};

/** How a run is bounded. Times in ms, sizes in bytes. */
export interface BoundOptions {
  /** Fed to standard input. Default: nothing. A stream or iterable of chunks for `run` only; its failure stops the run and is the run's. */
  input?: string | NodeJS.ArrayBufferView | undefined;
  /** For start, run, descendants and draining together. Default: none. */
  timeout?: number | undefined;
  /** Time between killSignal and SIGKILL when a run is stopped. Default: 0, SIGKILL at once. */
  grace?: number | undefined;
  /** Sent first when a run is stopped with a grace. Default: SIGTERM. */
  killSignal?: NodeJS.Signals | number | undefined;
  /** How long output is read after a kill although somebody holds the pipe. Default: 100. */
  drainGrace?: number | undefined;
  /** How long output is read after a normal exit although somebody holds the pipe. Default: to its end. */
  drainAfterExit?: number | undefined;
  /** Stopping the run stops all descendants. Default: false. */
  killTree?: boolean | undefined;
  /** For both streams or each. Default: 64 MiB each, then an error. */
  maxOutput?: OutputLimit | { stdout?: OutputLimit | undefined; stderr?: OutputLimit | undefined } | undefined;
  /** Rejects unless the exit code is 0 and nothing cut the run short. Default: false. */
  check?: boolean | undefined;
  /** Stops the run and rejects with an AbortError that carries the `result`. */
  signal?: AbortSignal | undefined;
}

/**
 * Where output goes as it arrives: a function, a Writable (which is not ended), a descriptor (written, not closed), a file created or appended
 * to, the result, nowhere. A slow taker holds the child back; one that fails stops the run, whose failure it is.
 */
export type Sink = ((chunk: Buffer) => void) | Writable | number | { file: string } | { append: string } | 'buffer' | 'discard';

/** Options of `run`. */
export interface RunOptions extends Omit<BoundOptions, 'input'>, StartOptions {
  input?: string | NodeJS.ArrayBufferView | Readable | AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array> | undefined;
  /** One, or several as a tee; add "buffer" to have the output in the result too. Default: "buffer". */
  stdoutSink?: Sink | readonly Sink[] | undefined;
  stderrSink?: Sink | readonly Sink[] | undefined;
  cwd?: string | URL | undefined;
  env?: NodeJS.ProcessEnv | undefined;
  argv0?: string | undefined;
  shell?: boolean | string | undefined;
  uid?: number | undefined;
  gid?: number | undefined;
  detached?: boolean | undefined;
  /** Default: ignore (or the input). */
  stdin?: 'ignore' | 'inherit' | number | undefined;
  /** Default: pipe. */
  stdout?: 'pipe' | 'ignore' | 'inherit' | number | undefined;
  /** Default: pipe. merge: into standard output, in true order. */
  stderr?: 'pipe' | 'ignore' | 'inherit' | 'merge' | number | undefined;
  /** Of the captured text; "buffer" gives Buffers. Default: utf8. */
  encoding?: BufferEncoding | 'buffer' | null | undefined;
}

/** What became of a captured stream. */
export interface StreamInfo {
  totalBytes: number;
  truncated: boolean;
  limitExceeded: boolean;
  /** With the policy spill: a descriptor of the file with everything, which the receiver closes. */
  spillFd?: number;
  /** The first failure of a file or descriptor among the sinks; it was given up, the others and the child went on. */
  sinkError?: ProcsError;
}

/** A finished run. */
export interface RunResult<T = string> {
  pid: number;
  /** Exit code; null when a signal ended it. */
  code: number | null;
  signal: NodeJS.Signals | null;
  /** The exit code under the name of spawnSync's result. */
  status: number | null;
  /** Exit code 0, and nothing cut the run short. */
  ok: boolean;
  stdout: T;
  stderr: T;
  stdoutInfo: StreamInfo;
  stderrInfo: StreamInfo;
  timedOut: boolean;
  cancelled: boolean;
  /** Somebody still held a pipe when reading ended. */
  pipesLeftOpen: boolean;
  wallMs: number;
  usage: Usage | null;
  /** What the stop did, when the run had to be stopped. */
  stopped: StopReport | null;
}

type BytesWanted = { encoding: 'buffer' | null };
type Arguments = readonly (string | Uint8Array)[];

/** Runs a program to its end beside the event loop and resolves whatever its status. Rejects with ProcsError when it does not start. */
export function run(file: string, args: Arguments, options: RunOptions & BytesWanted): Promise<RunResult<Buffer>>;
export function run(file: string, args?: Arguments, options?: RunOptions): Promise<RunResult>;
export function run(file: string, options: RunOptions & BytesWanted): Promise<RunResult<Buffer>>;
export function run(file: string, options?: RunOptions): Promise<RunResult>;

/** A command for runMany and pipeline. */
export type CommandLine = readonly [file: string, args?: Arguments, options?: RunOptions];

/** Runs commands, at most `jobs` (default 4) at a time; one entry each, in their order. */
export function runMany(commands: readonly CommandLine[], options?: {
  jobs?: number | undefined;
  onProgress?: ((index: number, settled: PromiseSettledResult<RunResult>) => void) | undefined;
}): Promise<PromiseSettledResult<RunResult>[]>;

/** Resolves with the index of a child that has ended, or null when `timeout` (ms) passes first. */
export function waitAny(children: readonly cp.ChildProcess[], options: { timeout: number }): Promise<number | null>;
export function waitAny(children: readonly cp.ChildProcess[], options?: { timeout?: undefined }): Promise<number>;

/** One stage of a finished pipeline. */
export interface StageResult<T = string> {
  pid: number;
  code: number | null;
  signal: NodeJS.Signals | null;
  status: number | null;
  stderr: T;
  usage: Usage | null;
}

/** A finished pipeline; code and signal are those of the last stage that did not succeed. */
export interface PipelineResult<T = string> {
  stages: StageResult<T>[];
  code: number | null;
  signal: NodeJS.Signals | null;
  status: number | null;
  ok: boolean;
  stdout: T;
  stdoutInfo: StreamInfo;
  timedOut: boolean;
  cancelled: boolean;
  pipesLeftOpen: boolean;
  wallMs: number;
}

/** Runs commands joined by pipes of the system. */
export function pipeline(commands: readonly CommandLine[], options: BoundOptions & BytesWanted): Promise<PipelineResult<Buffer>>;
export function pipeline(
  commands: readonly CommandLine[],
  options?: BoundOptions & { encoding?: BufferEncoding | undefined },
): Promise<PipelineResult>;

/** The lines of a stream of bytes, of any length, without their line feeds. Leaving the loop early destroys the stream. */
export function lines(stream: Readable, options?: LinesOptions): Lines;

/** What the engine found on this kernel. */
export interface EngineInfo {
  /** How processes are started: `clone3`, `clone` or `fork`. */
  cloneLevel: string;
  /** Whether children have pidfds. */
  pidfd: boolean;
  /** Whether descriptors are closed in one call. */
  closeRange: boolean;
  /** Whether trees can be ended as a cgroup. */
  cgroup: boolean;
  /** Whether the kernel tells the status of a child that somebody else reaped. */
  pidfdInfo: boolean;
}

/** What the engine found on this kernel; probes what was not yet used. */
export function engineInfo(): EngineInfo;

/** An error under one of our own names. */
export class ProcsError extends Error {
  /** The kind, the same in all languages, such as "NOT_FOUND". */
  readonly kind: string;
  /** Node's code for it, such as "ENOENT". */
  readonly code: string;
  /** Negative, as everywhere in Node. */
  readonly errno?: number;
  /** The failed operation, such as "spawn". */
  readonly syscall?: string;
  /** The program, folder or file concerned. */
  readonly path?: string;
  /** The failed step of a start, such as "exec" or "directory". */
  readonly stage?: string;
  /** What happened, without operation and errno. */
  readonly detail?: string;
  /** The finished run, when its status was checked. */
  readonly result?: RunResult;
  /** What the other side of a channel called its failure of a call. */
  readonly remoteType?: string;
  /** Where the other side failed, for people. */
  readonly remoteTrace?: string;
}
