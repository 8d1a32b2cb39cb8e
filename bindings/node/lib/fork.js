'use strict';

// fork: a Node child with a channel.

const { nodeError } = require('./errors.js');
const { spawn } = require('./spawn.js');
const { shorthand } = require('./stdio.js');
const check = require('./validate.js');

/** The options of this process for its children, without a script given by -e: it would start itself for ever. */
function ownExecArgv() {
  const own = process.execArgv;
  const at = process._eval == null ? -1 : own.lastIndexOf(process._eval);
  return at > 0 ? [...own.slice(0, at - 1), ...own.slice(at + 1)] : own;
}

/** Starts a Node program with a channel to it. Signature, options and events as in node:child_process. */
function fork(modulePath, args = [], options) {
  modulePath = check.path(modulePath, 'modulePath');
  if (args == null) args = [];
  else if (typeof args === 'object' && !Array.isArray(args)) [args, options] = [[], args];
  else check.array(args, 'args');
  if (options != null) check.object(options, 'options');
  options = { __proto__: null, ...options, shell: false };
  options.execPath ||= process.execPath;
  check.noNul(options.execPath, 'options.execPath');
  const execArgv = options.execArgv || ownExecArgv();
  check.noNuls(execArgv, 'options.execArgv');
  if (typeof options.stdio === 'string') options.stdio = [...shorthand(options.stdio), 'ipc'];
  else if (!Array.isArray(options.stdio)) options.stdio = [...shorthand(options.silent ? 'pipe' : 'inherit'), 'ipc'];
  else if (!options.stdio.includes('ipc')) throw nodeError('ERR_CHILD_PROCESS_IPC_REQUIRED', 'options.stdio');
  return spawn(options.execPath, [...execArgv, modulePath, ...args], options);
}

module.exports = { fork };
