'use strict';

// What our ChildProcess can do beyond Node's.

const { ChildProcess } = require('./child-process.js');
const { nodeError } = require('./errors.js');
const check = require('./validate.js');

const DEFAULT_GRACE = 5000;
const KILL_PATIENCE = 10000;
const SIGKILL = 9;

function alreadyEnded(child) {
  return Promise.resolve({ code: child.exitCode, signal: child.signalCode, endedBy: null, level: 'process', survivors: [] });
}

function toReport(event) {
  return {
    code: event.code ?? null,
    signal: event.signal ?? null,
    endedBy: event.endedBy ?? null,
    level: event.level,
    survivors: event.survivors,
  };
}

function climb(child, steps, tree) {
  if (!child._handle?.running) return alreadyEnded(child);
  child.killed = true;
  return child._handle.stop(steps, tree).then(toReport);
}

function grace(value) {
  if (value === undefined) return DEFAULT_GRACE;
  if (typeof value !== 'number') throw nodeError('ERR_INVALID_ARG_TYPE', 'options.grace', 'number', value);
  if (!(value >= 0)) throw nodeError('ERR_OUT_OF_RANGE', 'options.grace', '>= 0', value);
  return value;
}

/**
 * Ends the child: closes its stdin (`closeStdin: true`), sends `signal` (default SIGTERM), after `grace` ms (default 5000) SIGKILL.
 * `killTree` also ends its descendants (default: as the spawn said). Resolves with how it ended and by what.
 */
ChildProcess.prototype.stop = function stop(options = {}) {
  check.object(options, 'options');
  const signal = check.signalNumber(options.signal ?? 'SIGTERM');
  const steps = [{ signal, waitMs: grace(options.grace) }, { signal: SIGKILL, waitMs: KILL_PATIENCE }];
  if (options.closeStdin) this.stdin?.end();
  return climb(this, steps, options.killTree);
};

/** Ends the child and all its descendants at once. */
ChildProcess.prototype.killTree = function killTree() {
  return climb(this, [{ signal: SIGKILL, waitMs: KILL_PATIENCE }], true);
};

/** The lines of standard output as an async iterator. */
ChildProcess.prototype.lines = function linesOfStdout(options) {
  if (!this.stdout) throw nodeError('ERR_PROCS_INVALID_STATE', 'lines: standard output is not a pipe');
  return require('./lines.js').lines(this.stdout, options);
};
