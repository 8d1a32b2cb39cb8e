'use strict';

// spawn: starts a child and watches its timeout and AbortSignal.

const { AbortError } = require('./errors.js');
const { kSpecial, normalizeSpawn, environmentPairs } = require('./arguments.js');
const { ChildProcess, start } = require('./child-process.js');
require('./additions.js');
const check = require('./validate.js');

const SIGKILL = 9;
const SIGTERM = 15;
const KILL_PATIENCE = 10_000;

const ownSpawn = ChildProcess.prototype.spawn;

/** Ends a child that is out of time or aborted: by one signal, as child_process does; with `killTree` by the ladder, for its whole tree. */
function terminate(child, killSignal) {
  const handle = child._handle;
  if (!handle?.tree || !handle.running) return child.kill(killSignal);
  const steps = [{ signal: killSignal ?? SIGTERM, waitMs: handle.grace }, { signal: SIGKILL, waitMs: KILL_PATIENCE }];
  child.killed = true;
  handle.stop(steps, true).catch((error) => child.emit('error', error));
  return true;
}

function abort(child, killSignal, reason) {
  try {
    if (terminate(child, killSignal)) child.emit('error', new AbortError(reason));
  } catch (error) {
    child.emit('error', error);
  }
}

function watchTimeout(child, timeout, killSignal) {
  const timer = setTimeout(() => {
    try {
      terminate(child, killSignal);
    } catch (error) {
      child.emit('error', error);
    }
  }, timeout);
  child.once('exit', () => clearTimeout(timer));
}

function watchSignal(child, signal, killSignal) {
  const onAbort = () => abort(child, killSignal, signal.reason);
  if (signal.aborted) {
    process.nextTick(onAbort);
    return;
  }
  signal.addEventListener('abort', onAbort, { once: true });
  child.once('exit', () => signal.removeEventListener('abort', onAbort));
}

/** Starts a program without a shell. Signature, options and events as in node:child_process. */
function spawn(file, args, options) {
  options = normalizeSpawn(file, args, options);
  return options[kSpecial] ? spawnSpecially(options) : started(new ChildProcess(), options);
}

function spawnSpecially(options) {
  check.timeout(options.timeout);
  check.abortSignal(options.signal, 'options.signal');
  const killSignal = check.killSignal(options.killSignal);
  const child = started(new ChildProcess(), options);
  if (options.timeout > 0) watchTimeout(child, options.timeout, killSignal);
  if (options.signal) watchSignal(child, options.signal, killSignal);
  return child;
}

function started(child, options) {
  if (child.spawn === ownSpawn) start(child, options);
  else spawnWrapped(child, options);
  return child;
}

/** Whoever wraps the method expects the environment in the options and the fields of Windows, and may change any of them. */
function spawnWrapped(child, options) {
  options.envPairs ??= environmentPairs();
  options.windowsHide = !!options.windowsHide;
  options.windowsVerbatimArguments = !!options.windowsVerbatimArguments;
  options[kSpecial] = true;
  child.spawn(options);
}

module.exports = { spawn, terminate };
