'use strict';

// What the native module is told about one child. Strings travel joined by NUL: one conversion instead of one per argument.

const { nodeError } = require('./errors.js');
const { addStartOptions } = require('./start-options.js');
const { PIPE } = require('./stdio.js');

const FLAGS = { detached: 1, killTree: 2, dieWithParent: 4, noNewPrivs: 8, setsid: 16 };

function asText(value) {
  return `${value}`; // throws for a symbol, as Node does
}

function areStrings(values) {
  for (let index = 0; index < values.length; index++) if (typeof values[index] !== 'string') return false;
  return true;
}

/** Arguments as one block; with a Buffer among them the block is bytes, so that no byte is lost. */
function block(values) {
  if (areStrings(values)) return values.length === 1 ? values[0] : values.join('\0');
  if (!values.some((value) => value instanceof Uint8Array)) return values.map(asText).join('\0');
  const parts = [];
  for (const value of values) {
    if (parts.length > 0) parts.push(Buffer.of(0));
    const part = value instanceof Uint8Array ? value : Buffer.from(asText(value));
    if (part.includes(0)) throw nodeError('ERR_INVALID_ARG_VALUE', 'args', value, 'must hold no null bytes');
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** Argument 0 and the arguments as one block; those of a program without any are its name. */
function argumentBlock(file, args) {
  return args === undefined || args.length === 0 ? file : block(args);
}

/** Whether argument 0 is the program, which need not be told then. */
function isArgument0(file, args) {
  return args === undefined || args.length === 0 || args[0] === file;
}

/** Everything but program, arguments, environment and plain streams, or undefined. */
function extra(options, plans) {
  if (plans.packed >= 0 && options.stderr !== 'merge' && options.channelSettings === undefined && !isSpecial(options)) return undefined;
  let flags = 0;
  for (const name in FLAGS) if (options[name]) flags |= FLAGS[name];
  // Without a prototype: what somebody put on Object.prototype is no option of ours.
  const request = { __proto__: null, flags };
  if (plans.packed < 0) request.stdio = plans.list.map((plan) => plan.code);
  if (options.cwd != null) request.cwd = options.cwd;
  if (options.uid != null) request.uid = options.uid;
  if (options.gid != null) request.gid = options.gid;
  addStartOptions(request, options);
  if (options.channelSettings !== undefined) request.channel = options.channelSettings.told;
  if (options.stderr === 'merge' && plans.list[1].code === PIPE) request.mergeStderr = true;
  return request;
}

/** The options that have a place among the rarely used. */
const EXTRA = [...Object.keys(FLAGS), 'cwd', 'uid', 'gid', 'umask', 'nice', 'processGroup', 'affinity', 'groups', 'limits'];

function isSpecial(options) {
  return EXTRA.some((name) => options[name] != null && options[name] !== false);
}

/** The request for normalised options and the plans of their stdio. */
function build(options, plans) {
  const { args, envPairs } = options;
  return {
    __proto__: null,
    file: isArgument0(options.file, args) ? undefined : options.file,
    argv: argumentBlock(options.file, args),
    stdio: plans.packed < 0 ? 0 : plans.packed,
    env: envPairs === undefined ? undefined : block(envPairs),
    extra: extra(options, plans),
  };
}

module.exports = { build, block, argumentBlock, isArgument0, extra };
