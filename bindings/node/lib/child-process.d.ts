// Types of children: those of node:child_process, with the options and methods that it does not have.

/// <reference types="node" />

import * as cp from 'node:child_process';
import { EventEmitter } from 'node:events';
import { Readable, Writable } from 'node:stream';
import { Channel, ChannelOptions } from './message-channel.js';

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

/** Options of child_process with ours. A union, so that what somebody has typed as child_process's alone finds the same overload. */
type With<O, Own = StartOptions> = O | (O & Own);

type Piped = cp.StdioNull | cp.StdioPipe;
type In<S> = S extends cp.StdioPipe ? Writable : null;
type Out<S> = S extends cp.StdioPipe ? Readable : null;

/** A child with a native channel, from `spawn` with the option `channel`. If it does not start, its channel has ended. */
export type ChildWithChannel = Omit<ChildProcess, 'channel'> & { readonly channel: Channel };

/**
 * As child_process.spawn, with our options, and with children that can do more. A program that this process has executed before is not waited
 * for: if it cannot be executed any more although its file looks unchanged, `'error'` comes after `'spawn'`, and no `'exit'`.
 */
export interface Spawn {
  (command: string, args: readonly string[], options: cp.SpawnOptions & StartOptions & { channel: true | ChannelOptions }): ChildWithChannel;
  (command: string, options?: With<cp.SpawnOptionsWithoutStdio>): ChildProcessWithoutNullStreams;
  <I extends Piped, O extends Piped, E extends Piped>(
    command: string,
    options: With<cp.SpawnOptionsWithStdioTuple<I, O, E>>,
  ): ChildProcessByStdio<In<I>, Out<O>, Out<E>>;
  (command: string, options: With<cp.SpawnOptions>): ChildProcess;
  (
    command: string,
    args?: readonly string[],
    options?: With<cp.SpawnOptionsWithoutStdio>,
  ): ChildProcessWithoutNullStreams;
  <I extends Piped, O extends Piped, E extends Piped>(
    command: string,
    args: readonly string[],
    options: With<cp.SpawnOptionsWithStdioTuple<I, O, E>>,
  ): ChildProcessByStdio<In<I>, Out<O>, Out<E>>;
  (command: string, args: readonly string[], options: With<cp.SpawnOptions>): ChildProcess;
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

export interface ForkWire {
  /** 'node' keeps Node's own wire, also with a child that could do better. */
  wire?: 'node' | undefined;
}

/** As child_process.fork, with our options. */
export interface Fork {
  (modulePath: string | URL, options?: With<cp.ForkOptions, StartOptions & ForkWire>): ForkedChild;
  (modulePath: string | URL, args?: readonly string[], options?: With<cp.ForkOptions, StartOptions & ForkWire>): ForkedChild;
}

export const fork: Fork;

/** What `util.promisify` makes of exec and execFile. */
export interface PromiseWithChild<T> extends Promise<T> {
  child: ChildProcess;
}

/** What child_process gives for bytes. */
type Bytes = Exclude<ReturnType<typeof cp.execSync>, string>;
type Arguments = readonly string[] | null | undefined;
type Outputs<T> = PromiseWithChild<{ stdout: T; stderr: T }>;
type ExecTaker<T> = (error: cp.ExecException | null, stdout: T, stderr: T) => void;
type FileTaker<T> = (error: cp.ExecFileException | null, stdout: T, stderr: T) => void;

/** As child_process.exec, with our options, and with a child that can do more. */
export interface Exec {
  (command: string, callback?: ExecTaker<string>): ChildProcess;
  (command: string, options: With<cp.ExecOptionsWithBufferEncoding>, callback?: ExecTaker<Bytes>): ChildProcess;
  (command: string, options: With<cp.ExecOptionsWithStringEncoding>, callback?: ExecTaker<string>): ChildProcess;
  (command: string, options: With<cp.ExecOptions> | null | undefined, callback?: ExecTaker<string | Bytes>): ChildProcess;
  __promisify__: {
    (command: string): Outputs<string>;
    (command: string, options: With<cp.ExecOptionsWithBufferEncoding>): Outputs<Bytes>;
    (command: string, options: With<cp.ExecOptionsWithStringEncoding>): Outputs<string>;
    (command: string, options: With<cp.ExecOptions> | null | undefined): Outputs<string | Bytes>;
  };
}

/** As child_process.execFile, with our options, and with a child that can do more. */
export interface ExecFile {
  (file: string, callback?: FileTaker<string>): ChildProcess;
  (file: string, args: Arguments, callback?: FileTaker<string>): ChildProcess;
  (file: string, options: With<cp.ExecFileOptionsWithBufferEncoding>, callback?: FileTaker<Bytes>): ChildProcess;
  (file: string, args: Arguments, options: With<cp.ExecFileOptionsWithBufferEncoding>, callback?: FileTaker<Bytes>): ChildProcess;
  (file: string, options: With<cp.ExecFileOptionsWithStringEncoding>, callback?: FileTaker<string>): ChildProcess;
  (file: string, args: Arguments, options: With<cp.ExecFileOptionsWithStringEncoding>, callback?: FileTaker<string>): ChildProcess;
  (file: string, options: With<cp.ExecFileOptions> | null | undefined, callback: FileTaker<string | Bytes> | null | undefined): ChildProcess;
  (file: string, args: Arguments, options: With<cp.ExecFileOptions> | null | undefined, callback: FileTaker<string | Bytes> | null | undefined): ChildProcess;
  __promisify__: {
    (file: string): Outputs<string>;
    (file: string, args: Arguments): Outputs<string>;
    (file: string, options: With<cp.ExecFileOptionsWithBufferEncoding>): Outputs<Bytes>;
    (file: string, args: Arguments, options: With<cp.ExecFileOptionsWithBufferEncoding>): Outputs<Bytes>;
    (file: string, options: With<cp.ExecFileOptionsWithStringEncoding>): Outputs<string>;
    (file: string, args: Arguments, options: With<cp.ExecFileOptionsWithStringEncoding>): Outputs<string>;
    (file: string, options: With<cp.ExecFileOptions> | null | undefined): Outputs<string | Bytes>;
    (file: string, args: Arguments, options: With<cp.ExecFileOptions> | null | undefined): Outputs<string | Bytes>;
  };
}

/** The result of spawnSync: child_process's, and what the child used. */
export interface SpawnSyncReturns<T> extends cp.SpawnSyncReturns<T> {
  readonly usage?: Usage | undefined;
}

/** As child_process.spawnSync, with our options. */
export interface SpawnSync {
  (command: string): SpawnSyncReturns<Bytes>;
  (command: string, options: With<cp.SpawnSyncOptionsWithStringEncoding>): SpawnSyncReturns<string>;
  (command: string, options: With<cp.SpawnSyncOptionsWithBufferEncoding>): SpawnSyncReturns<Bytes>;
  (command: string, options?: With<cp.SpawnSyncOptions>): SpawnSyncReturns<string | Bytes>;
  (command: string, args: readonly string[]): SpawnSyncReturns<Bytes>;
  (command: string, args: readonly string[], options: With<cp.SpawnSyncOptionsWithStringEncoding>): SpawnSyncReturns<string>;
  (command: string, args: readonly string[], options: With<cp.SpawnSyncOptionsWithBufferEncoding>): SpawnSyncReturns<Bytes>;
  (command: string, args?: readonly string[], options?: With<cp.SpawnSyncOptions>): SpawnSyncReturns<string | Bytes>;
}

/** As child_process.execSync, with our options. */
export interface ExecSync {
  (command: string): Bytes;
  (command: string, options: With<cp.ExecSyncOptionsWithStringEncoding>): string;
  (command: string, options: With<cp.ExecSyncOptionsWithBufferEncoding>): Bytes;
  (command: string, options?: With<cp.ExecSyncOptions>): string | Bytes;
}

/** As child_process.execFileSync, with our options. */
export interface ExecFileSync {
  (file: string): Bytes;
  (file: string, options: With<cp.ExecFileSyncOptionsWithStringEncoding>): string;
  (file: string, options: With<cp.ExecFileSyncOptionsWithBufferEncoding>): Bytes;
  (file: string, options?: With<cp.ExecFileSyncOptions>): string | Bytes;
  (file: string, args: readonly string[]): Bytes;
  (file: string, args: readonly string[], options: With<cp.ExecFileSyncOptionsWithStringEncoding>): string;
  (file: string, args: readonly string[], options: With<cp.ExecFileSyncOptionsWithBufferEncoding>): Bytes;
  (file: string, args?: readonly string[], options?: With<cp.ExecFileSyncOptions>): string | Bytes;
}

export const exec: Exec;
export const execFile: ExecFile;
export const spawnSync: SpawnSync;
export const execSync: ExecSync;
export const execFileSync: ExecFileSync;
