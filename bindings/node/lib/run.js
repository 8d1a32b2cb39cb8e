'use strict';

// run: a program to its end as a promise, captured by the core beside the event loop; runMany, waitAny.

const { availableParallelism } = require('node:os');
const { AbortError, ProcsError, nodeError, unwrap } = require('./errors.js');
const { normalizeSpawn } = require('./arguments.js');
const { hub, answer } = require('./hub.js');
const request = require('./request.js');
const { sinkList, deliver, isFlow, feed } = require('./sinks.js');
const stdio = require('./stdio.js');
const { streamInfo, isComplete, streamProblem } = require('./stream-info.js');
const check = require('./validate.js');
const { handOut } = require('./young.js');

/** What of each stream is kept unless said otherwise; one byte more stops the child. */
const DEFAULT_LIMIT = { policy: 'error', bytes: 64 * 1024 * 1024 };
const POLICIES = ['unlimited', 'error', 'head', 'tail', 'spill'];

function milliseconds(value, name) {
  if (value == null) return undefined;
  if (typeof value !== 'number') throw nodeError('ERR_INVALID_ARG_TYPE', name, 'number', value);
  if (!(value >= 0)) throw nodeError('ERR_OUT_OF_RANGE', name, '>= 0', value);
  return value === Infinity ? undefined : value;
}

function outputLimit(value, name) {
  if (value == null) return DEFAULT_LIMIT;
  if (value === Infinity) return { policy: 'unlimited', bytes: 0 };
  const limit = typeof value === 'number' ? { policy: 'error', bytes: value } : { bytes: 0, ...value };
  if (!POLICIES.includes(limit.policy)) {
    throw nodeError('ERR_INVALID_ARG_VALUE', name, value, `must be bytes or {policy, bytes} with a policy of ${POLICIES.join(', ')}`);
  }
  if (!(Number.isSafeInteger(limit.bytes) && limit.bytes >= 0)) {
    throw nodeError('ERR_OUT_OF_RANGE', name, 'a number of bytes', limit.bytes);
  }
  return limit;
}

function inputBytes(input) {
  if (input == null || isFlow(input)) return undefined;
  if (typeof input === 'string') return Buffer.from(input);
  // Refuses a view whose memory was transferred away: as in all our own calls, nothing is guessed.
  if (ArrayBuffer.isView(input)) return new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
  throw nodeError('ERR_INVALID_ARG_TYPE', 'options.input', ['string', 'Buffer', 'TypedArray', 'DataView', 'Readable'], input);
}

/** The bounds of a run for the native module. */
function bounds(options) {
  const { maxOutput } = options;
  const each = maxOutput !== null && typeof maxOutput === 'object' && !('policy' in maxOutput) ? maxOutput : undefined;
  return {
    __proto__: null,
    input: inputBytes(options.input),
    // 0 is no timeout, as everywhere in child_process.
    timeoutMs: milliseconds(options.timeout, 'options.timeout') || undefined,
    graceMs: milliseconds(options.grace, 'options.grace'),
    stopSignal: check.killSignal(options.killSignal),
    drainGraceMs: milliseconds(options.drainGrace, 'options.drainGrace'),
    drainAfterExitMs: milliseconds(options.drainAfterExit, 'options.drainAfterExit'),
    killTree: !!options.killTree,
    stdoutLimit: outputLimit(each ? each.stdout : maxOutput, 'options.maxOutput'),
    stderrLimit: outputLimit(each ? each.stderr : maxOutput, 'options.maxOutput'),
  };
}

function streamPlans(options) {
  const stdin = options.input != null ? 'pipe' : options.stdin ?? 'ignore';
  const stderr = options.stderr === 'merge' ? 'pipe' : options.stderr ?? 'pipe';
  const plans = stdio.plan([stdin, options.stdout ?? 'pipe', stderr], false);
  stdio.refuseChannel(plans);
  return plans;
}

function decoded(bytes, encoding) {
  return encoding === 'buffer' || encoding === null ? bytes : bytes.toString(encoding);
}

/** The result that users see. */
function toResult(event, options) {
  const encoding = options.encoding === undefined ? 'utf8' : options.encoding;
  handOut(event.stdout.length + event.stderr.length);
  const stdoutInfo = streamInfo(event.stdoutInfo);
  const stderrInfo = streamInfo(event.stderrInfo);
  return {
    pid: event.pid,
    code: event.code ?? null,
    signal: event.signal ?? null,
    status: event.code ?? null,
    ok: event.code === 0 && !event.timedOut && !event.cancelled && isComplete(stdoutInfo) && isComplete(stderrInfo),
    stdout: decoded(event.stdout, encoding),
    stderr: decoded(event.stderr, encoding),
    stdoutInfo,
    stderrInfo,
    timedOut: event.timedOut,
    cancelled: event.cancelled,
    pipesLeftOpen: event.pipesLeftOpen,
    wallMs: event.wallMs,
    usage: event.usage ?? null,
    stopped: event.stopped ?? null,
  };
}

function statusText(result) {
  return result.signal === null ? `exit code ${result.status}` : `signal ${result.signal}`;
}

function complaint(result, command) {
  if (result.timedOut) return new ProcsError(`run: the timeout passed (command = ${command})`, 'TIMEOUT', 'ETIMEDOUT');
  const problem = streamProblem('run', `command = ${command}, stream = stdout`, result.stdoutInfo)
    ?? streamProblem('run', `command = ${command}, stream = stderr`, result.stderrInfo);
  if (problem) return problem;
  const text = `run: the child failed (command = ${command}, status = ${statusText(result)}, expected exit code 0)`;
  return new ProcsError(text, 'CHILD_FAILED', 'ERR_PROCS_CHILD_FAILED');
}

function finished(event, options) {
  const result = toResult(event, options);
  if (result.cancelled) throw Object.assign(new AbortError(options.signal?.reason), { result });
  if (options.check && !result.ok) {
    throw Object.assign(complaint(result, options.args.join(' ')), { cmd: options.args.join(' '), result });
  }
  return result;
}

/** Cancels through `cancel` when the signal aborts; gives a function that stops listening. */
function onAbort(signal, cancel) {
  if (!signal) return () => {};
  if (signal.aborted) cancel();
  else signal.addEventListener('abort', cancel, { once: true });
  return () => signal.removeEventListener('abort', cancel);
}

/** A name with an equals sign would set another variable than the one asked for; child_process lets that pass. */
function checkNames(env) {
  for (const name in env ?? {}) {
    if (name === '' || name.includes('=')) {
      throw nodeError('ERR_INVALID_ARG_VALUE', `options.env['${name}']`, name, 'must be a name without an equals sign');
    }
  }
}

/** Joins a run with those who take its output and feed it. The failure of one stops the run and is the run's failure. */
function join(native, takers, input) {
  const flows = takers.map((taker) => deliver(native.takeSink(), taker));
  if (input !== undefined) flows.push(feed(native.takeInput(), input));
  const all = Promise.all(flows);
  all.catch(() => native.cancel());
  return all;
}

/**
 * Runs a program to its end and resolves with what it wrote and how it ended, whatever the status; `check: true` rejects unless it exited
 * with 0. Times are milliseconds, sizes bytes.
 */
async function run(file, args, options) {
  const normal = normalizeSpawn(file, args, options);
  check.abortSignal(normal.signal, 'options.signal');
  checkNames(normal.env);
  const limits = bounds(normal);
  const takers = [];
  limits.stdoutSinks = sinkList(normal.stdoutSink, 'options.stdoutSink', takers);
  limits.stderrSinks = sinkList(normal.stderrSink, 'options.stderrSink', takers);
  limits.feed = normal.input != null && isFlow(normal.input);
  const plans = streamPlans(normal);
  if (normal.signal?.aborted) throw new AbortError(normal.signal.reason);
  let native;
  const done = answer((id) => {
    native = unwrap(hub.run(id, request.build(normal, plans), limits));
  }, (event) => event);
  const release = onAbort(normal.signal, () => native?.cancel());
  try {
    const flows = native === undefined ? [] : join(native, takers, limits.feed ? normal.input : undefined);
    const event = await done;
    await flows;
    return finished(event, normal);
  } finally {
    release();
    native?.over();
  }
}

/**
 * Runs commands (`[file, args, options]`), at most `jobs` at a time (default: as many as there are CPUs for this process), and resolves
 * with one `{status: 'fulfilled', value}` or `{status: 'rejected', reason}` for each, in their order. `onProgress(index, settled)` is called as each ends.
 */
async function runMany(commands, options = {}) {
  check.array(commands, 'commands');
  check.object(options, 'options');
  const jobs = options.jobs ?? availableParallelism();
  if (!(Number.isInteger(jobs) && jobs > 0)) throw nodeError('ERR_OUT_OF_RANGE', 'options.jobs', 'a positive integer', jobs);
  const results = new Array(commands.length);
  let next = 0;
  const worker = async () => {
    while (next < commands.length) {
      const index = next++;
      [results[index]] = await Promise.allSettled([run(...[].concat(commands[index]))]);
      options.onProgress?.(index, results[index]);
    }
  };
  await Promise.all(Array.from({ length: Math.min(jobs, commands.length) }, worker));
  return results;
}

/** Resolves with the index of a child that has ended, or with null when `timeout` passes first. */
async function waitAny(children, options = {}) {
  check.array(children, 'children');
  if (children.length === 0) throw nodeError('ERR_INVALID_ARG_VALUE', 'children', children, 'must not be empty');
  for (const [index, child] of children.entries()) {
    if (typeof child?.once !== 'function') throw nodeError('ERR_INVALID_ARG_TYPE', `children[${index}]`, 'ChildProcess', child);
  }
  check.object(options, 'options');
  const timeout = milliseconds(options.timeout, 'options.timeout');
  return new Promise((resolve) => {
    const listeners = [];
    let timer;
    const settle = (value) => {
      clearTimeout(timer);
      for (const [child, listener] of listeners) child.off('exit', listener).off('error', listener);
      resolve(value);
    };
    for (const [index, child] of children.entries()) {
      if (child.exitCode !== null || child.signalCode !== null) return settle(index);
      const listener = () => settle(index);
      listeners.push([child, listener]);
      child.once('exit', listener).once('error', listener);
    }
    if (timeout !== undefined) timer = setTimeout(() => settle(null), timeout);
  });
}

module.exports = { run, runMany, waitAny, bounds, onAbort, decoded };
