'use strict';

// What the native module is told about one child. Strings travel joined by NUL: one conversion instead of one per argument.

const { nodeError } = require('./errors.js');
const { addStartOptions } = require('./start-options.js');
const { PIPE, IGNORE } = require('./stdio.js');

/** Added to the code of a stream in a byte. */
const STDIO_OFFSET = 2;
/** No stream is set. */
const UNSET = 0xffffffff;

const FLAGS = { detached: 1, killTree: 2, dieWithParent: 4, noNewPrivs: 8, setsid: 16 };

function asText(value) {
  return `${value}`; // throws for a symbol, as Node does
}

/** Arguments as one block; with a Buffer among them the block is bytes, so that no byte is lost. */
function block(values) {
  if (values.length === 1 && typeof values[0] === 'string') return values[0];
  if (values.every((value) => typeof value === 'string')) return values.join('\0');
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

/** The options that have a place among the rarely used. */
const EXTRA = [...Object.keys(FLAGS), 'cwd', 'uid', 'gid', 'umask', 'nice', 'processGroup', 'affinity', 'groups', 'limits'];

/** Codes of descriptors 0 to 2 in a byte each; -1 when they do not fit. */
function packed(plans) {
  if (plans.length === 0) return UNSET;
  if (plans.length > 3) return -1;
  let bytes = 0;
  for (let index = 0; index < 3; index++) {
    const code = (index < plans.length ? plans[index].code : IGNORE) + STDIO_OFFSET;
    if (code > 255) return -1;
    bytes |= code << (8 * index);
  }
  return bytes;
}

/** Everything but program, arguments, environment and plain streams, or undefined. */
function extra(options, plans, stdio) {
  let found = stdio < 0 || options.stderr === 'merge' || options.channelSettings !== undefined;
  for (let i = 0; !found && i < EXTRA.length; i++) {
    const value = options[EXTRA[i]];
    found = value != null && value !== false;
  }
  if (!found) return undefined;
  let flags = 0;
  for (const name in FLAGS) if (options[name]) flags |= FLAGS[name];
  // Without a prototype: what somebody put on Object.prototype is no option of ours.
  const request = { __proto__: null, flags };
  if (stdio < 0) request.stdio = plans.map((plan) => plan.code);
  if (options.cwd != null) request.cwd = options.cwd;
  if (options.uid != null) request.uid = options.uid;
  if (options.gid != null) request.gid = options.gid;
  addStartOptions(request, options);
  if (options.channelSettings !== undefined) request.channel = options.channelSettings.told;
  if (options.stderr === 'merge' && plans[1].code === PIPE) request.mergeStderr = true;
  return request;
}

/** The request for normalised options and the plans of their stdio. */
function build(options, plans) {
  const { args, envPairs } = options;
  const stdio = packed(plans);
  return {
    __proto__: null,
    file: options.file,
    argv: args && args.length > 0 ? block(args) : options.file,
    stdio: stdio < 0 ? 0 : stdio,
    env: envPairs === undefined ? undefined : block(envPairs),
    extra: extra(options, plans, stdio),
  };
}

module.exports = { build };
