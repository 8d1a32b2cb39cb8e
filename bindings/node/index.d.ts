// Types of procs-native: those of node:child_process, and what child_process does not have.

/// <reference types="node" />

import * as cp from 'node:child_process';
import { EventEmitter } from 'node:events';
import { Readable, Writable } from 'node:stream';

export * from 'node:worker_threads';

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

/** As child_process.spawn, with our options, and with children that can do more. */
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

/** How long something may wait. */
export interface WaitOptions {
  /** Milliseconds; none is for ever. */
  timeout?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** Whether something in shared memory is made (true), opened (false) or whichever is needed (absent). */
export interface PlaceOptions {
  create?: boolean | undefined;
}

/** Holds a lock until `unlock`. Disposing unlocks. */
export interface LockGuard {
  /** Whether the former holder died; `repair` says that all is whole again, without it the lock is poisoned. */
  readonly ownerDied: boolean;
  repair(): void;
  unlock(): void;
}

/** A lock that one thread holds, in any process; it tells when its holder died. */
export class SharedMutex {
  private constructor();
  /** Blocks this thread. */
  lockSync(timeout?: number): LockGuard;
  /** Null when somebody has it. */
  tryLock(): LockGuard | null;
  lock(options?: WaitOptions): Promise<LockGuard>;
}

/** A lock that many hold for reading or one for writing. */
export class SharedRwLock {
  private constructor();
  readSync(timeout?: number): LockGuard;
  writeSync(timeout?: number): LockGuard;
  tryRead(): LockGuard | null;
  tryWrite(): LockGuard | null;
  read(options?: WaitOptions): Promise<LockGuard>;
  write(options?: WaitOptions): Promise<LockGuard>;
}

/** So many permits; those of a process that dies are free again. */
export class SharedSemaphore {
  private constructor();
  acquireSync(timeout?: number): void;
  tryAcquire(): boolean;
  acquire(options?: WaitOptions): Promise<void>;
  /** Gives permits back; adds new ones when this process holds none. */
  release(count?: number): void;
  readonly available: number;
}

/** Something that has happened or not. */
export class SharedEvent {
  private constructor();
  set(): void;
  clear(): void;
  readonly isSet: boolean;
  waitSync(timeout?: number): void;
  wait(options?: WaitOptions): Promise<void>;
}

/** A place where so many wait for one another; true for one of them. */
export class SharedBarrier {
  private constructor();
  readonly parties: number;
  waitSync(timeout?: number): boolean;
  wait(options?: WaitOptions): Promise<boolean>;
}

/** Work that is done once, by whichever process comes first. */
export class SharedOnce {
  private constructor();
  readonly done: boolean;
  callOnceSync(work: () => void, timeout?: number): void;
  callOnce(work: () => unknown, options?: WaitOptions): Promise<void>;
}

/** A number that all processes change atomically; arithmetic wraps around. */
export class AtomicCell<T extends number | bigint = bigint> {
  private constructor();
  load(): T;
  store(value: T): void;
  /** These give the value before. */
  swap(value: T): T;
  fetchAdd(value?: T | number): T;
  fetchSub(value?: T | number): T;
  /** Sets the value to `replacement` if it is `expected`. */
  compareExchange(expected: T, replacement: T): T;
}

/** A table of named numbers that many processes add to. */
export class Counters {
  private constructor();
  readonly capacity: number;
  /** Adds and gives the value before. */
  add(name: string, amount?: number): number;
  set(name: string, value: number): void;
  values(): Record<string, number>;
}

/** How often values of which size were recorded, by all processes. */
export class Histogram {
  private constructor();
  record(value: number): void;
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
  /** A value that this part of the recorded ones, between 0 and 1, does not exceed. */
  quantile(part: number): number;
}

export interface SharedMemoryOptions {
  /** Others that open it cannot write. Default: false. */
  readOnly?: boolean | undefined;
  /** Memory is taken at once. Default: false. */
  prefault?: boolean | undefined;
  hugePages?: boolean | undefined;
}

/** Memory that several processes map, without a name: it lives as long as somebody has it. */
export class SharedMemory {
  /** `size` in bytes. */
  constructor(size: number, options?: SharedMemoryOptions);
  /** Opens the memory behind a descriptor, which stays open and the caller's. */
  static fromFd(fd: number): SharedMemory;
  readonly size: number;
  /** The descriptor, to pass on; it belongs to this object. */
  readonly fd: number;
  readonly readOnly: boolean;
  readonly writable: boolean;
  readonly hugePages: boolean;
  readonly closed: boolean;
  /** The memory itself, always the same object. Where this process cannot write to it: a copy of this moment. */
  readonly buffer: ArrayBuffer;
  read(offset?: number, size?: number): Buffer;
  write(offset: number, data: string | NodeJS.ArrayBufferView | ArrayBuffer | SharedArrayBuffer): void;
  fill(offset?: number, size?: number, byte?: number): void;
  cell(offset: number, kind?: 'u64' | 'i64'): AtomicCell<bigint>;
  cell(offset: number, kind: 'u32' | 'i32'): AtomicCell<number>;
  mutex(offset: number, options?: PlaceOptions): SharedMutex;
  rwlock(offset: number, options?: PlaceOptions): SharedRwLock;
  /** `value` permits when it is made (1). */
  semaphore(offset: number, options?: PlaceOptions & { value?: number }): SharedSemaphore;
  event(offset: number, options?: PlaceOptions): SharedEvent;
  /** For `parties` when it is made (2). */
  barrier(offset: number, options?: PlaceOptions & { parties?: number }): SharedBarrier;
  once(offset: number, options?: PlaceOptions): SharedOnce;
  /** With room for `capacity` names when it is made (32). */
  counters(offset: number, options?: PlaceOptions & { capacity?: number }): Counters;
  histogram(offset: number, options?: PlaceOptions): Histogram;
  /** Gives the memory up. An ArrayBuffer that was handed out keeps the mapping until it is collected. */
  close(): void;
}

export interface ArenaOptions {
  /** The most that all segments together may hold, in bytes. Default: 1 GiB. */
  maxBytes?: number | undefined;
  /** Memory is taken at once. Default: false. */
  prefault?: boolean | undefined;
  hugePages?: boolean | undefined;
}

/** Where a lent block is: plain numbers, for a message. */
export interface BlockPlace {
  segment: number;
  serial: number;
  offset: number;
  length: number;
}

/** Blocks of shared memory that are lent to other processes and threads without a copy, and used again once all have given them back or died. */
export class Arena {
  /** With room for `size` bytes at first. */
  constructor(size: number, options?: ArenaOptions);
  /** Opens an arena by the descriptor of its first segment, which stays open and the caller's, at a seat that its maker kept. */
  static open(fd: number, seat: number): Arena;
  /** Keeps a seat for a process or thread that will open the arena. */
  seat(): number;
  /** A block of `length` bytes, which are what their last user left. */
  alloc(length: number): ArenaBlock;
  /** Takes a block that was lent to this seat. */
  attach(place: BlockPlace): ArenaBlock;
  readonly segments: number;
  /** A descriptor of a segment (0), which is the caller's to give away and to close. */
  segmentFd(segment?: number): number;
  /** Adds the next segment where the arena was opened. The descriptor stays open and the caller's. */
  addSegment(fd: number): void;
  owners(): { seat: number; pid: number | null }[];
  /** Takes back what processes held that are dead, and their seats; how many blocks they had. */
  reclaimDead(): number;
  reclaim(seat: number): number;
  /** Bytes of blocks in use here or lent. */
  usedBytes(): number;
}

/** A block, given back by `release`, or by the collector once neither it nor its `buffer` is referred to. */
export interface ArenaBlock {
  readonly length: number;
  readonly place: BlockPlace;
  /** The bytes themselves: a view, all views of a segment have one ArrayBuffer. A copy where the runtime refuses memory that is not its own. */
  readonly buffer: Buffer;
  read(offset?: number, length?: number): Buffer;
  /** Only in the process that made the arena, until the block is lent. */
  write(bytes: Uint8Array, offset?: number): void;
  /** Lends it: what this gives is to be attached there exactly once. */
  lend(seat: number): BlockPlace;
  /** Takes back a loan whose message was not sent. */
  unlend(seat: number): void;
  /** Gives it back; `buffer` must not be used any more. */
  release(): void;
  [Symbol.dispose](): void;
}

/** Every field of the layout of shared memory; offset and size in bytes. */
export function memoryLayout(): { name: string; offset: number; size: number }[];

/** How values travel: JSON; bytes as they are; or by v8.serialize, between Node processes that trust each other. */
export type ChannelCodec = 'json' | 'raw' | 'v8';

export interface ChannelOptions {
  /** What `send` uses; it is understood besides 'json' and 'raw'. Default: 'json'. */
  codec?: ChannelCodec | undefined;
  /** Bytes of one message that this end takes. Default: 1 GiB. */
  maxMessage?: number | undefined;
  /** Bytes that wait here, in either direction, while somebody does not read. Default: 256 MiB. */
  maxQueuedBytes?: number | undefined;
  /** Bytes of large messages on their way before a sender waits. Default: 1 MiB. */
  highWater?: number | undefined;
  /** Bytes of the ring of each direction; 0 is none. Default: 1 MiB. */
  ringBytes?: number | undefined;
  /** Descriptors of one message. Default: 253. */
  maxFds?: number | undefined;
  /** How long the rest of a message may take, in ms. Default: for ever. */
  frameTimeout?: number | undefined;
  /** Whether to look again, up to 50 µs, before the event loop waits and has nothing else to do: true is by experience, a number is how many ms at
   * most. Default: true. */
  spin?: boolean | number | undefined;
}

/** A received message. */
export interface ChannelMessage<T = any> {
  readonly value: T;
  readonly codec: ChannelCodec;
  /** The body as it came: text for JSON, else bytes. */
  readonly body: string | Buffer;
  readonly buffers: Buffer[];
  /** Descriptors that are the receiver's to close. */
  readonly fds: number[];
}

export interface SendOptions {
  /** Bytes beside the body. */
  buffers?: Iterable<NodeJS.ArrayBufferView | ArrayBuffer> | undefined;
  /** Descriptors; the other side gets copies. */
  fds?: Iterable<number> | undefined;
  codec?: ChannelCodec | undefined;
}

export interface ServedCall {
  /** Whether the caller has given up. */
  readonly cancelled: boolean;
  readonly buffers: Buffer[];
  /** Descriptors that are the handler's to close. */
  readonly fds: number[];
  /** A reply, or one part of it, with what goes beside it: for the handler to return or yield. */
  reply(value: unknown, options?: Omit<SendOptions, 'codec'>): object;
}

/** What goes beside a call. */
export type CallOptions = WaitOptions & SendOptions;

/** One end of a channel to another process, of any of the languages of procs. While somebody waits for messages it keeps the event loop alive. */
export class Channel extends EventEmitter {
  private constructor();
  static pair(options?: ChannelOptions): [Channel, Channel];
  /** The end that `detach` gave. The descriptor stays open and the caller's. */
  static fromFd(fd: number, options?: ChannelOptions): Channel;
  /** Gives an unused end up as a descriptor, which is the caller's. */
  detach(): number;
  readonly codec: ChannelCodec;
  /** The descriptor that is readable while something can be received; -1 when closed. Never read from it. */
  readonly fd: number;
  /** Whether either side has closed. */
  readonly closed: boolean;
  /** Messages that wait here until the other side reads. */
  readonly queuedMessages: number;
  /** False when the message waits here until the other side has read; 'drain' follows. */
  send(value: unknown, callback?: (error: Error | null) => void): boolean;
  send(value: unknown, options?: SendOptions, callback?: (error: Error | null) => void): boolean;
  /** The next value; ERR code EPIPE at the end. */
  recv(options: WaitOptions & { message: true }): Promise<ChannelMessage>;
  recv(options?: WaitOptions & { message?: false }): Promise<any>;
  /** The reply of the other side, which serves. */
  call(value: unknown, options: CallOptions & { message: true }): Promise<ChannelMessage>;
  call(value: unknown, options?: CallOptions & { message?: false }): Promise<any>;
  /** Several replies, one after the other. */
  callStream(value: unknown, options: Omit<CallOptions, 'timeout'> & { message: true }): AsyncGenerator<ChannelMessage, void, undefined>;
  callStream(value: unknown, options?: Omit<CallOptions, 'timeout'> & { message?: false }): AsyncGenerator<any, void, undefined>;
  /** Answers calls with what the handler returns, resolves to, or (generators) yields; resolves at the end of the channel. */
  serve(handler: (value: any, call: ServedCall) => unknown): Promise<void>;
  /** Closes this end once what `send` has taken is on its way. */
  close(): void;
  ref(): this;
  unref(): this;
  hasRef(): boolean;
  [Symbol.asyncIterator](): AsyncGenerator<any, void, undefined>;
  on(event: 'message', listener: (value: any, message: ChannelMessage) => void): this;
  on(event: 'drain' | 'close', listener: () => void): this;
  on(event: 'error', listener: (error: Error) => void): this;
  once(event: 'message', listener: (value: any, message: ChannelMessage) => void): this;
  once(event: 'drain' | 'close', listener: () => void): this;
  once(event: 'error', listener: (error: Error) => void): this;
}

/** The channel to the parent, which started this process with one; once in a process. */
export function parentChannel(options?: ChannelOptions): Channel;
