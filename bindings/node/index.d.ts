// Types of procs-native: those of node:child_process, and what child_process does not have.

/// <reference types="node" />

import * as cp from 'node:child_process';
import { Readable, Writable } from 'node:stream';
import { Limits, Lines, LinesOptions, StartOptions, StopReport, Usage } from './lib/child-process.js';

export * from 'node:worker_threads';
export * from './lib/child-process.js';
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
  SpawnOptions,
  SpawnOptionsWithStdioTuple,
  SpawnOptionsWithoutStdio,
  SpawnSyncOptions,
  SpawnSyncOptionsWithBufferEncoding,
  SpawnSyncOptionsWithStringEncoding,
  StdioNull,
  StdioOptions,
  StdioPipe,
  StdioPipeNamed,
} from 'node:child_process';

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
  /**
   * The first failure of a file or descriptor among the sinks; it was given up, the others and the child went on, but the run is not `ok`, unless a
   * reader went away (EPIPE).
   */
  sinkError?: ProcsError;
  /** The result lacks output that could not be read or kept (no memory, no room for the spill): `sinkError` says why. */
  incomplete: boolean;
}

/** A finished run. */
export interface RunResult<T = string> {
  pid: number;
  /** Exit code; null when a signal ended it. */
  code: number | null;
  signal: NodeJS.Signals | null;
  /** The exit code under the name of spawnSync's result. */
  status: number | null;
  /** Exit code 0, nothing cut the run short, and no output was lost. */
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

/** Runs commands, at most `jobs` at a time (default: the CPUs that this process may use); one entry each, in their order. */
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
  stderrInfo: StreamInfo;
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
