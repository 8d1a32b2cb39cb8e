'use strict';

// One native child: the shape of the handle that Node's ChildProcess keeps in `_handle`.

const { AsyncResource } = require('node:async_hooks');
const { kSpecial } = require('./arguments.js');
const { hub, quick, answer, newId, attend, forget, uncaught } = require('./hub.js');
const { fromFailure, isFailure, unwrap } = require('./errors.js');
const native = require('./native.js');
const request = require('./request.js');

/** errno of a failure without one: a refusal of the core that no system call made. */
const EINVAL = 22;
const ESRCH = 3;

const MANUAL = { requireManualDestroy: true };

function tellExit(handle, code, signal, usage) {
  try {
    handle.onexit(code, signal, usage);
  } catch (error) {
    uncaught(error);
  }
}

function tellStream(handle, index, over) {
  try {
    handle.onend(index, over);
  } catch (error) {
    uncaught(error);
  }
}

/** Whether the options say no more than what to run, and where its streams go. */
function isPlain(options, plans) {
  return options[kSpecial] === false && options.envPairs === undefined && plans.packed >= 0;
}

function startPlain(id, options, plans) {
  const { args } = options;
  return quick.start(id, plans.packed, args.length === 1 ? options.file : request.block(args));
}

// Every field costs each start some of its time: what few children have is on the prototype.
class Handle {
  #id = 0;
  #referenced = true;
  #running = false;
  #resource;
  /** What the child still has to tell: its end, and the ends of streams that are read natively. */
  #awaited = 0;
  #owner;
  #tellEnd;

  pid = undefined;

  /** `tellEnd(owner, code, signal, usage)` is called once, with a negative code when the start failed. */
  constructor(owner, tellEnd) {
    this.#owner = owner;
    this.#tellEnd = tellEnd;
  }

  onexit(code, signal, usage) {
    this.#tellEnd(this.#owner, code, signal, usage);
  }

  onend(index, over) {
    this.streams.nativeEnd(index, over);
  }

  /** Starts the child; 0, or a negative errno. */
  spawn(options, plans) {
    const id = newId();
    const pid = isPlain(options, plans) ? startPlain(id, options, plans) : this.#startWithMore(id, options, plans);
    return typeof pid === 'number' ? this.#begin(id, pid) : this.#fail(pid);
  }

  #begin(id, pid) {
    this.#id = id;
    this.pid = pid;
    this.#running = true;
    this.#awaited = 1;
    // What the child's events run in: the context of its start, as in Node.
    this.#resource = new AsyncResource('PROCESSWRAP', MANUAL);
    attend(id, this);
    if (!this.#referenced) hub.refer(id, false);
    return 0;
  }

  #fail(failure) {
    this.failure = failure;
    return -(failure.errno || EINVAL);
  }

  /** The same for options that few starts have: what the native module answers. */
  #startWithMore(id, options, plans) {
    const { file, args, envPairs } = options;
    const env = envPairs === undefined ? undefined : request.block(envPairs);
    const own = request.isArgument0(file, args) ? undefined : file;
    return quick.start(id, plans.packed < 0 ? 0 : plans.packed, request.argumentBlock(file, args), env, own, this.#extra(options, plans));
  }

  #extra(options, plans) {
    if (options[kSpecial] === false && plans.packed >= 0) return undefined;
    this.tree = !!options.killTree;
    this.grace = options.grace ?? 0;
    const extra = request.extra(options, plans);
    // As for libuv, though not for the blocking calls: an empty directory is none.
    if (extra !== undefined && extra.cwd === '') delete extra.cwd;
    return extra;
  }

  /** Tells the users, in the context of the start. */
  #call(tell, what, more, most) {
    if (--this.#awaited === 0) forget(this.#id);
    try {
      this.#resource.runInAsyncScope(tell, undefined, this, what, more, most);
    } finally {
      if (this.#awaited === 0) this.#resource.emitDestroy();
    }
  }

  #tellStream(index, over) {
    this.#call(tellStream, index, over);
  }

  /** The notice of the child's end; code null and no signal when its status is unknown. */
  ended(code, signal, usage) {
    this.#running = false;
    this.#call(tellExit, code ?? (signal === '' ? null : 0), signal, usage);
  }

  /** The notice that the program was not executed after all, by errno and the core's record. */
  failed(errno, failure) {
    this.failure = failure;
    this.ended(-errno, '', undefined);
  }

  /** The notice of a stream's end. */
  streamEnded(index) {
    this.#tellStream(index, false);
  }

  /** The notice that a collected stream exceeded its limit. */
  streamOver(index) {
    this.#tellStream(index, true);
  }

  #await() {
    if (this.#awaited++ === 0) attend(this.#id, this);
  }

  /** Reads an output ahead, natively, until it is taken. */
  readAhead(index) {
    if (this.#id !== 0) quick.readAhead(this.#id, index);
  }

  /** Collects an output natively; `onend` or `onover` follows. False when there is nothing to collect. */
  collect(index, limit) {
    if (this.#id === 0) return false;
    const begun = quick.collect(this.#id, index, limit);
    if (isFailure(begun)) throw fromFailure(begun);
    if (!begun) return false;
    this.#await();
    return true;
  }

  /** What was collected: for `encoding` utf8 text, else `{bytes, within}`. */
  collectedText(index) {
    return hub.collectedText(this.#id, index);
  }

  collected(index) {
    return hub.collected(this.#id, index);
  }

  /** Gives up the notice of a collected stream that was taken back or closed. */
  release() {
    if (--this.#awaited === 0) {
      forget(this.#id);
      this.#resource.emitDestroy();
    }
  }

  /** What was read of an output so far; its end can be taken then. */
  ahead(index) {
    return this.#id === 0 ? null : hub.ahead(this.#id, index);
  }

  /** Throws away what is left of an output; true when `onend` follows. */
  discard(index) {
    if (this.#id === 0) return false;
    const later = quick.discard(this.#id, index);
    if (later !== true) return false;
    this.#await();
    return true;
  }

  /** The host's end of a pipe. Where there is none any more, and after a failed start, an end whose other side is closed: streams end as in Node. */
  takeEnd(index) {
    const fd = this.#id === 0 ? -1 : hub.take(this.#id, index);
    return fd < 0 ? native.deadEnd(index) : fd;
  }

  /** 0, or a negative errno. */
  kill(signal) {
    return this.#id === 0 ? -ESRCH : hub.kill(this.#id, signal);
  }

  /** Starts the stop ladder; the promise of its report. */
  stop(steps, tree) {
    return answer((event) => unwrap(hub.stop(this.#id, event, steps, tree)), (report) => report);
  }

  /** Whether there is a child to stop. */
  get running() {
    return this.#running;
  }

  ref() {
    if (this.#referenced) return;
    this.#referenced = true;
    if (this.#running) hub.refer(this.#id, true);
  }

  unref() {
    if (!this.#referenced) return;
    this.#referenced = false;
    if (this.#running) hub.refer(this.#id, false);
  }

  hasRef() {
    return this.#referenced && this.#running;
  }

  close() {}
}

Object.assign(Handle.prototype, {
  /** The core's record of why the start failed. */
  failure: undefined,
  /** Whether an end by timeout or abort takes the descendants along, and how long they are given. */
  tree: false,
  grace: 0,
  /** Wants `nativeEnd(index, over)`: a natively read stream has ended, or exceeded its limit. */
  streams: undefined,
});

module.exports = { Handle };
