// Types of memory that processes share, what is kept in it, and arenas.

/// <reference types="node" />

/** How long something may wait. */
export interface WaitOptions {
  /** Milliseconds; none is for ever. */
  timeout?: number | undefined;
  /** Ends the wait with an AbortError; nothing is taken then. */
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
  /** Says that what the lock protects is whole again. */
  repair(): void;
  /** Gives the lock back; once, then it throws (INVALID_STATE). */
  unlock(): void;
}

/** A lock that one thread holds, in any process; it tells when its holder died. */
export class SharedMutex {
  private constructor();
  /** Bytes that it takes, at a multiple of 64. */
  static readonly SIZE: number;
  /** Blocks this thread, for at most `timeout` ms (absent: for ever); then it throws with the code ETIMEDOUT. */
  lockSync(timeout?: number): LockGuard;
  /** Null when somebody has it. */
  tryLock(): LockGuard | null;
  /** Waits without blocking this thread. Rejects with the code ETIMEDOUT, and at once (INVALID_STATE) when this very thread has it. */
  lock(options?: WaitOptions): Promise<LockGuard>;
}

/** A lock that many hold for reading or one for writing. */
export class SharedRwLock {
  private constructor();
  /** Bytes that it takes, at a multiple of 64. */
  static readonly SIZE: number;
  /** Block this thread, for at most `timeout` ms (absent: for ever); then they throw with the code ETIMEDOUT. */
  readSync(timeout?: number): LockGuard;
  writeSync(timeout?: number): LockGuard;
  /** Null when it cannot be had at once. */
  tryRead(): LockGuard | null;
  tryWrite(): LockGuard | null;
  /** Wait without blocking this thread. */
  read(options?: WaitOptions): Promise<LockGuard>;
  write(options?: WaitOptions): Promise<LockGuard>;
}

/** So many permits; those of a process that dies are free again. */
export class SharedSemaphore {
  private constructor();
  /** Bytes that it takes, at a multiple of 64. */
  static readonly SIZE: number;
  /** Blocks this thread until it has a permit, for at most `timeout` ms (absent: for ever); then it throws with the code ETIMEDOUT. */
  acquireSync(timeout?: number): void;
  /** Whether there was a permit. */
  tryAcquire(): boolean;
  /** Waits for a permit without blocking this thread. */
  acquire(options?: WaitOptions): Promise<void>;
  /** Gives permits back; adds new ones when this process holds none. */
  release(count?: number): void;
  /** Permits that are free now. */
  readonly available: number;
}

/** Something that has happened or not. */
export class SharedEvent {
  private constructor();
  /** Bytes that it takes, at a multiple of 64. */
  static readonly SIZE: number;
  /** Says that it has happened, and wakes all who wait. */
  set(): void;
  /** Says that it has not happened (again). */
  clear(): void;
  readonly isSet: boolean;
  /** Blocks this thread until it has happened, for at most `timeout` ms (absent: for ever); then it throws with the code ETIMEDOUT. */
  waitSync(timeout?: number): void;
  /** Waits without blocking this thread. */
  wait(options?: WaitOptions): Promise<void>;
}

/** A place where so many wait for one another; true for one of them. */
export class SharedBarrier {
  private constructor();
  /** Bytes that it takes, at a multiple of 64. */
  static readonly SIZE: number;
  /** How many wait for one another. */
  readonly parties: number;
  /** Blocks this thread. A time-out (`timeout` in ms) withdraws, and the others wait on. OWNER_DIED when one of them has died. */
  waitSync(timeout?: number): boolean;
  /** Waits without blocking this thread. */
  wait(options?: WaitOptions): Promise<boolean>;
}

/** Work that is done once, by whichever process comes first. */
export class SharedOnce {
  private constructor();
  /** Bytes that it takes, at a multiple of 64. */
  static readonly SIZE: number;
  readonly done: boolean;
  /**
   * Calls `work` if nobody has done it yet; blocks this thread while another does, for at most `timeout` ms. What `work` throws leaves it to the
   * next one.
   */
  callOnceSync(work: () => void, timeout?: number): void;
  /** The same without blocking, for work that may be asynchronous. */
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

/** A table of named numbers that many processes add to; it takes 128 + 64 × capacity bytes, at a multiple of 64. */
export class Counters {
  private constructor();
  /** How many names there is room for. */
  readonly capacity: number;
  /** Adds and gives the value before. */
  add(name: string, amount?: number): number;
  set(name: string, value: number): void;
  /** Every name and its value. */
  values(): Record<string, number>;
}

/** How often values of which size were recorded, by all processes. */
export class Histogram {
  private constructor();
  /** Bytes that it takes, at a multiple of 64. */
  static readonly SIZE: number;
  /** Counts one value, a whole number in a unit of your choice. */
  record(value: number): void;
  readonly count: number;
  readonly sum: number;
  /** 0 when nothing was recorded, as `max`. */
  readonly min: number;
  readonly max: number;
  /** A value that at least this part (0 to 1) of the recorded ones do not exceed, at most 1/8 too large; 0 when there is none. */
  quantile(part: number): number;
}

/** How memory is made. */
export interface SharedMemoryOptions {
  /** Others that open it cannot write. Default: false. */
  readOnly?: boolean | undefined;
  /** Memory is taken at once. Default: false. */
  prefault?: boolean | undefined;
  /** Asks the system for huge pages. Default: false. */
  hugePages?: boolean | undefined;
}

/** Memory that several processes map, without a name: it lives as long as somebody has it. */
export class SharedMemory {
  /** `size` in bytes, all of them 0. */
  constructor(size: number, options?: SharedMemoryOptions);
  /** Opens the memory behind a descriptor, which stays open and the caller's. */
  static fromFd(fd: number): SharedMemory;
  readonly size: number;
  /** The descriptor, to pass on; it belongs to this object. */
  readonly fd: number;
  /** Whether others can only read it; the creator of such memory writes nevertheless. */
  readonly readOnly: boolean;
  /** Whether this process can write to it. */
  readonly writable: boolean;
  /** Whether the system agreed to huge pages. */
  readonly hugePages: boolean;
  readonly closed: boolean;
  /** The memory itself, always the same object. Where this process cannot write to it: a copy of this moment. */
  readonly buffer: ArrayBuffer;
  /** Copies bytes out; default: all of them. Offsets and sizes are bytes, here and below. */
  read(offset?: number, size?: number): Buffer;
  /** Copies bytes in; a string in UTF-8. */
  write(offset: number, data: string | NodeJS.ArrayBufferView | ArrayBuffer | SharedArrayBuffer): void;
  /** Sets a range to one byte. Default: all to 0. */
  fill(offset?: number, size?: number, byte?: number): void;
  /** The number at an offset, a multiple of its size. Default: 'u64'. */
  cell(offset: number, kind?: 'u64' | 'i64'): AtomicCell<bigint>;
  cell(offset: number, kind: 'u32' | 'i32'): AtomicCell<number>;
  /** What is at an offset, a multiple of 64; how many bytes it takes is its class's `SIZE`. */
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

/** How an arena is made. */
export interface ArenaOptions {
  /** The most that all segments together may hold, in bytes. Default: 1 GiB. */
  maxBytes?: number | undefined;
  /** Memory is taken at once. Default: false. */
  prefault?: boolean | undefined;
  /** Asks the system for huge pages. Default: false. */
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
  /** Files that its memory has, at least one. */
  readonly segments: number;
  /** A descriptor of a segment (0), which is the caller's to give away and to close. */
  segmentFd(segment?: number): number;
  /** Adds the next segment where the arena was opened. The descriptor stays open and the caller's. */
  addSegment(fd: number): void;
  /** The seats that are taken, with the process that has each; null until it came. */
  owners(): { seat: number; pid: number | null }[];
  /** Takes back what processes held that are dead, and their seats; how many blocks they had. */
  reclaimDead(): number;
  /** The same for one seat, whether or not its process lives. */
  reclaim(seat: number): number;
  /** Bytes of blocks in use here or lent. */
  usedBytes(): number;
}

/** A block, given back by `release`, or by the collector once neither it nor its `buffer` is referred to. */
export interface ArenaBlock {
  /** In bytes. */
  readonly length: number;
  readonly place: BlockPlace;
  /** The bytes themselves: a view, all views of a segment have one ArrayBuffer. A copy where the runtime refuses memory that is not its own. */
  readonly buffer: Buffer;
  /** Copies bytes out. */
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
