'use strict';

// From the arguments of spawn and its relatives to one normalised set of options.

const { isMainThread } = require('node:worker_threads');
const { nodeError } = require('./errors.js');
const check = require('./validate.js');

/** Whether normalised options say more than what to run, its environment and its streams. */
const kSpecial = Symbol('kSpecial');
/** The options of which that is not so. Most starts have no others, and skip all that the others need. */
const PLAIN = new Set(['stdio', 'env', 'encoding', 'maxBuffer']);

/** Normalised options. They always have the same fields in the same order: an object that changes its shape costs more than the start. */
function Start(file, args) {
  this.file = file;
  this.args = args;
  this.stdio = undefined;
  this.env = undefined;
  this.envPairs = undefined;
  this.cwd = undefined;
  this.detached = false;
  this[kSpecial] = false;
}
// Without Object's: what somebody put there is no option of ours.
Start.prototype = Object.create(null);

const NOTHING = Object.freeze([]);

function take(start, options) {
  check.object(options, 'options');
  const names = Object.keys(options);
  for (let index = 0; index < names.length; index++) {
    // What most starts have, by a name that the engine knows: any other way to a field costs as much as all the rest that is done here.
    if (names[index] === 'stdio') start.stdio = options.stdio;
    else takeNamed(start, names[index], options[names[index]]);
  }
}

function takeNamed(start, name, value) {
  // Not what was given beside the options, nor what is made of them.
  if (value === undefined || name === 'file' || name === 'args' || name === 'envPairs') return;
  start[name] = value;
  if (!PLAIN.has(name)) start[kSpecial] = true;
}

function checkOptions(options) {
  if (options.detached != null) check.boolean(options.detached, 'options.detached');
  if (options.uid != null) check.identity(options.uid, 'options.uid');
  if (options.gid != null) check.identity(options.gid, 'options.gid');
  const { shell } = options;
  if (shell != null && typeof shell !== 'boolean' && typeof shell !== 'string') {
    throw nodeError('ERR_INVALID_ARG_TYPE', 'options.shell', ['boolean', 'string'], shell);
  }
  if (options.argv0 != null) argv0(options.argv0);
  if (options.windowsHide != null) check.boolean(options.windowsHide, 'options.windowsHide');
  if (options.windowsVerbatimArguments != null) {
    check.boolean(options.windowsVerbatimArguments, 'options.windowsVerbatimArguments');
  }
}

function argv0(value) {
  check.string(value, 'options.argv0');
  check.noNul(value, 'options.argv0');
}

/** The last process.env that was the environment of this very process. */
let ownEnvironment;

/** Whether a child without options.env can simply inherit: process.env is then the environment of this very process. */
function inheritsEnvironment() {
  const { env } = process;
  if (env === ownEnvironment) return true;
  // A replaced process.env (`process.env = {…}`) is a plain object, and a worker's is a copy.
  if (!isMainThread || Object.getPrototypeOf(env) === Object.prototype) return false;
  ownEnvironment = env;
  return true;
}

function environmentPairs(given) {
  const env = given || process.env;
  // Node lets coverage reach children whose environment was narrowed; it changes the given object, and so do we.
  if (given && process.env.NODE_V8_COVERAGE && !Object.hasOwn(given, 'NODE_V8_COVERAGE')) {
    env.NODE_V8_COVERAGE = process.env.NODE_V8_COVERAGE;
  }
  const pairs = [];
  for (const key in env) { // inherited keys are included, as in Node
    const value = env[key];
    if (value === undefined) continue;
    check.noNul(key, `options.env['${key}']`);
    check.noNul(value, `options.env['${key}']`);
    pairs.push(`${key}=${value}`);
  }
  return pairs;
}

function takeSpecial(start, args) {
  checkOptions(start);
  if (start.cwd != null) start.cwd = check.path(start.cwd, 'options.cwd');
  start.detached = !!start.detached;
  if (start.shell) {
    check.noNul(start.shell, 'options.shell');
    args = ['-c', [start.file, ...args].join(' ')];
    start.file = typeof start.shell === 'string' ? start.shell : '/bin/sh';
  }
  start.args = [typeof start.argv0 === 'string' ? start.argv0 : start.file, ...args];
}

function checkFile(file) {
  if (file === lastFile) return;
  check.string(file, 'file');
  check.noNul(file, 'file');
  if (file.length === 0) throw nodeError('ERR_INVALID_ARG_VALUE', 'file', file, 'cannot be empty');
  lastFile = file;
}

/** The second argument of a spawn without a list of arguments. */
function optionsIn(args, options) {
  if (args == null) return options;
  if (typeof args !== 'object') throw nodeError('ERR_INVALID_ARG_TYPE', 'args', 'object', args);
  return args;
}

/** The last program that was found in order, at first none: most starts are of the same few. */
let lastFile = NOTHING;

/** Checks and completes (file, args, options) of spawn; the result is what ChildProcess.spawn takes. */
function normalizeSpawn(file, args, options) {
  checkFile(file);
  return Array.isArray(args) ? normalize(file, args, options) : normalize(file, NOTHING, optionsIn(args, options));
}

function normalize(file, args, options) {
  const start = new Start(file, argvOf(file, args));
  if (options !== undefined) take(start, options);
  if (start[kSpecial]) takeSpecial(start, args);
  if (start.env || !inheritsEnvironment()) start.envPairs = environmentPairs(start.env);
  return start;
}

function argvOf(file, args) {
  if (args.length === 0) return [file];
  check.noNuls(args, 'args');
  return [file, ...args];
}

/** (command, options, callback) of exec and execSync. */
function normalizeExec(command, options, callback) {
  check.string(command, 'command');
  check.noNul(command, 'command');
  if (typeof options === 'function') {
    callback = options;
    options = undefined;
  }
  options = { __proto__: null, ...options };
  options.shell = typeof options.shell === 'string' ? options.shell : true;
  return { file: command, options, callback };
}

/** (file, args, options, callback) of execFile and execFileSync. */
function normalizeExecFile(file, args, options, callback) {
  if (Array.isArray(args)) {
    args = args.slice();
  } else if (args != null && typeof args === 'object') {
    [args, options, callback] = [null, args, options];
  } else if (typeof args === 'function') {
    [args, options, callback] = [null, null, args];
  }
  if (typeof options === 'function') {
    callback = options;
    options = undefined;
  } else if (options != null) {
    check.object(options, 'options');
  }
  options ??= { __proto__: null };
  if (callback != null) check.callable(callback, 'callback');
  if (options.argv0 != null) argv0(options.argv0);
  return { file, args: args ?? [], options, callback };
}

module.exports = { kSpecial, normalizeSpawn, normalizeExec, normalizeExecFile, inheritsEnvironment, environmentPairs };
