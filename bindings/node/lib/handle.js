'use strict';

// One native child: the shape of the handle that Node's ChildProcess keeps in `_handle`.

const { hub, answer, expect, forget, hold, letGo } = require('./hub.js');
const { isFailure, unwrap } = require('./errors.js');
const native = require('./native.js');
const request = require('./request.js');

/** errno of a failure without one: a refusal of the core that no system call made. */
const EINVAL = 22;

class Handle {
  #child = null;
  #referenced = true;
  #running = false;

  pid = undefined;
  /** The core's record of why the start failed. */
  failure = undefined;
  /** Whether an end by timeout or abort takes the descendants along, and how long they are given. */
  tree = false;
  grace = 0;
  /** Called once with (exitCode, signalName, record). */
  onexit = undefined;

  /** Starts the child; 0, or a negative errno. */
  spawn(options, plans) {
    const id = expect((event) => this.#ended(event));
    const wanted = request.build(options, plans);
    // As for libuv, though not for the blocking calls: an empty directory is none.
    if (wanted.cwd === '') delete wanted.cwd;
    const started = hub.spawn(id, wanted);
    if (isFailure(started)) {
      forget(id);
      this.failure = started;
      return -(started.errno || EINVAL);
    }
    this.#child = started;
    this.tree = !!options.killTree;
    this.grace = options.grace ?? 0;
    this.pid = started.pid;
    this.#running = true;
    if (this.#referenced) hold();
    return 0;
  }

  #ended(event) {
    this.#running = false;
    if (this.#referenced) letGo();
    this.onexit(event.code ?? 0, event.signal ?? '', event);
  }

  /** The host's end of a pipe. After a failed start it is an end whose other side is closed, so that streams end as in Node. */
  takeEnd(index) {
    return this.#child === null ? native.deadEnd(index) : this.#child.take(index);
  }

  /** 0, or a negative errno. */
  kill(signal) {
    return this.#child === null ? -3 : this.#child.kill(signal); // ESRCH
  }

  /** Starts the stop ladder; the promise of its report. */
  stop(steps, tree) {
    return answer((id) => unwrap(this.#child.stop(id, steps, tree)), (report) => report);
  }

  /** Whether there is a child to stop. */
  get running() {
    return this.#running;
  }

  ref() {
    if (this.#referenced) return;
    this.#referenced = true;
    if (this.#running) hold();
  }

  unref() {
    if (!this.#referenced) return;
    this.#referenced = false;
    if (this.#running) letGo();
  }

  hasRef() {
    return this.#referenced && this.#running;
  }

  close() {}
}

module.exports = { Handle };
