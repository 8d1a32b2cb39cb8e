'use strict';

// spawnSync, execFileSync, execSync: the event loop waits, the core runs the child.

const { errnoError, nodeError, annotate, isFailure, fromFailure } = require('./errors.js');
const { normalizeSpawn, normalizeExec, normalizeExecFile } = require('./arguments.js');
const native = require('./native.js');
const request = require('./request.js');
const stdio = require('./stdio.js');
const check = require('./validate.js');
const { beforeBlocking, handOutBlocking } = require('./young.js');

const MAX_BUFFER = 1024 * 1024;
const SIGTERM = 15;
/** The streams of a call that did not start: null in Node 20, undefined from Node 22 on. */
const NO_STREAM = Number.parseInt(process.versions.node, 10) >= 22 ? undefined : null;

function inputBytes(input, index, encoding) {
  if (ArrayBuffer.isView(input)) return check.viewBytes(input);
  if (typeof input === 'string') return Buffer.from(input, encoding);
  throw nodeError('ERR_INVALID_ARG_TYPE', `options.stdio[${index}]`, ['Buffer', 'TypedArray', 'DataView', 'string'], input);
}

function syncError(errno, options, failure) {
  const error = errnoError(errno, `spawnSync ${options.file}`);
  error.path = options.file;
  error.spawnargs = options.args.slice(1);
  return failure ? annotate(error, failure) : error;
}

function decode(output, encoding) {
  if (!encoding || encoding === 'buffer') return output;
  return output.map((bytes) => (bytes ? bytes.toString(encoding) : bytes));
}

function toResult(outcome, options) {
  if (!isFailure(outcome)) for (const bytes of outcome.output) if (bytes) handOutBlocking(bytes.length);
  if (isFailure(outcome)) {
    const error = outcome.errno ? syncError(-outcome.errno, options, outcome) : fromFailure(outcome);
    return { error, status: null, signal: null, output: null, pid: 0, stdout: NO_STREAM, stderr: NO_STREAM };
  }
  const output = decode(outcome.output, options.encoding);
  const result = {
    status: outcome.code ?? null,
    signal: outcome.signal ?? null,
    output,
    pid: outcome.pid,
    stdout: output[1],
    stderr: output[2],
  };
  if (outcome.usage) Object.defineProperty(result, 'usage', { value: outcome.usage, configurable: true });
  return outcome.errno === 0 ? result : { error: syncError(-outcome.errno, options), ...result };
}

/** Runs a program to its end and returns what came of it. Signature, options and result as in node:child_process. */
function spawnSync(file, args, options) {
  options = { __proto__: null, maxBuffer: MAX_BUFFER, ...normalizeSpawn(file, args, options) };
  check.timeout(options.timeout);
  check.maxBuffer(options.maxBuffer);
  options.killSignal = check.killSignal(options.killSignal);
  const plans = stdio.plan(options.stdio || 'pipe', true);
  const given = options.input ? inputBytes(options.input, 0, options.encoding) : undefined;
  // As for child_process, input for a child that does not read from here is left alone.
  const input = plans.list[0].code === stdio.PIPE ? given : undefined;
  beforeBlocking();
  const outcome = native.runSync(request.build(options, plans), {
    __proto__: null,
    input,
    timeoutMs: options.timeout > 0 ? options.timeout : undefined,
    // As for child_process, 0 is no limit here.
    maxBuffer: options.maxBuffer > 0 && options.maxBuffer !== Infinity ? options.maxBuffer : undefined,
    killSignal: options.killSignal ?? SIGTERM,
    killTree: !!options.killTree,
  });
  return toResult(outcome, options);
}

function failureOf(result, command) {
  if (result.error) return Object.assign(result.error, result);
  if (result.status === 0) return undefined;
  const text = result.stderr && result.stderr.length > 0 ? `\n${result.stderr.toString()}` : '';
  return Object.assign(new Error(`Command failed: ${command}${text}`), result);
}

function stdoutOf(result, showStderr, command) {
  if (showStderr && result.stderr) process.stderr.write(result.stderr);
  const error = failureOf(result, command);
  if (error) throw error;
  return result.stdout;
}

/** Runs a program and returns its standard output; throws unless it exited with 0. */
function execFileSync(file, args, options) {
  ({ file, args, options } = normalizeExecFile(file, args, options));
  const showStderr = !options.stdio;
  return stdoutOf(spawnSync(file, args, options), showStderr, [options.argv0 || file, ...args].join(' '));
}

/** Runs a command line in a shell and returns its standard output; throws unless it exited with 0. */
function execSync(command, options) {
  const normal = normalizeExec(command, options, null);
  const showStderr = !normal.options.stdio;
  return stdoutOf(spawnSync(normal.file, normal.options), showStderr, command);
}

module.exports = { spawnSync, execFileSync, execSync };
