// Types of channels to other processes.

/// <reference types="node" />

import { EventEmitter } from 'node:events';
import { WaitOptions } from './shared-memory.js';

/** How values travel: JSON; bytes as they are; or by v8.serialize, between Node processes that trust each other. */
export type ChannelCodec = 'json' | 'raw' | 'v8';

/** What a channel allows and how it waits. */
export interface ChannelOptions {
  /** What `send` uses; it is understood besides 'json' and 'raw'. Default: 'json'. */
  codec?: ChannelCodec | undefined;
  /** Bytes of one message that this end takes. Default: 1 GiB. */
  maxMessage?: number | undefined;
  /** Bytes that wait here, in either direction, while somebody does not read. Default: 256 MiB. */
  maxQueuedBytes?: number | undefined;
  /** Bytes of large messages on their way before a sender waits. Default: 3 MiB. */
  highWater?: number | undefined;
  /** Bytes of the ring of each direction; 0 is none. Default: 1 MiB. */
  ringBytes?: number | undefined;
  /** Descriptors of one message. Default: 253. */
  maxFds?: number | undefined;
  /** How long the rest of a message may take, in ms. Default: for ever. */
  frameTimeout?: number | undefined;
  /** Whether to look again, up to 50 µs (300 µs after a large message), before the event loop waits and has nothing else to do: true is by
   * experience, a number is how many ms at most. Default: true. */
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
  /** On Node's wire, what the runtime has made of a handle: a net.Socket, net.Server or dgram.Socket. */
  readonly handle?: unknown;
}

/** What goes beside a message. */
export interface SendOptions {
  /** Bytes beside the body. */
  buffers?: Iterable<NodeJS.ArrayBufferView | ArrayBuffer> | undefined;
  /** Descriptors; the other side gets copies. */
  fds?: Iterable<number> | undefined;
  /** How this one message is encoded. Default: the channel's. */
  codec?: ChannelCodec | undefined;
}

/** What a handler of `serve` is told beside the value. */
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
  /** Both ends of a new channel. */
  static pair(options?: ChannelOptions): [Channel, Channel];
  /** The end that `detach` gave. The descriptor stays open and the caller's. */
  static fromFd(fd: number, options?: ChannelOptions): Channel;
  /** Gives an unused end up as a descriptor, which is the caller's. */
  detach(): number;
  /** How `send` encodes values. */
  readonly codec: ChannelCodec;
  /** The descriptor that is readable while something can be received; -1 when closed. Never read from it. */
  readonly fd: number;
  /** Whether either side has closed. */
  readonly closed: boolean;
  /** Messages that wait here until the other side reads. */
  readonly queuedMessages: number;
  /**
   * False when the message waits here until the other side has read; 'drain' follows. Throws with the code EAGAIN when more than `maxQueuedBytes` would
   * wait. `callback` is called once the message has left this process.
   */
  send(value: unknown, callback?: (error: Error | null) => void): boolean;
  send(value: unknown, options?: SendOptions, callback?: (error: Error | null) => void): boolean;
  /** The next value. Rejects with the code ETIMEDOUT after `timeout` ms, and with an error of kind CLOSED once everything was received and the other side is gone. */
  recv(options: WaitOptions & { message: true }): Promise<ChannelMessage>;
  recv(options?: WaitOptions & { message?: false }): Promise<any>;
  /** The reply of the other side, which serves. Rejects with an error of kind TASK_FAILED when its handler threw, and as `recv`. */
  call(value: unknown, options: CallOptions & { message: true }): Promise<ChannelMessage>;
  call(value: unknown, options?: CallOptions & { message?: false }): Promise<any>;
  /** Several replies, one after the other. */
  callStream(value: unknown, options: Omit<CallOptions, 'timeout'> & { message: true }): AsyncGenerator<ChannelMessage, void, undefined>;
  callStream(value: unknown, options?: Omit<CallOptions, 'timeout'> & { message?: false }): AsyncGenerator<any, void, undefined>;
  /** Answers calls with what the handler returns, resolves to, or (generators) yields; resolves at the end of the channel. */
  serve(handler: (value: any, call: ServedCall) => unknown): Promise<void>;
  /** Closes this end once what `send` has taken is on its way. */
  close(): void;
  /** Whether waiting for messages keeps the event loop alive, as it does from the beginning. */
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

/**
 * The channel to the parent, which started this process with one; once in a process.
 *
 * Where the parent speaks Node's wire (`fork` here and in `node:child_process`, `fork` of a script in another language) it is one over `process.send` and
 * 'message', beside which both go on: JSON there and back, with `handle` in what is received. `call`, `callStream`, `serve`, `detach`, other codecs, buffers
 * and descriptors are refused there by an error of kind UNSUPPORTED; the parent's option `wire: 'native'`, or `channel` of `spawn`, has all of them.
 */
export function parentChannel(options?: ChannelOptions): Channel;
