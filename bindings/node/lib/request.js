'use strict';

// What the native module is told about one child. Strings travel joined by NUL: one conversion instead of one per argument.

const { nodeError } = require('./errors.js');
const { addStartOptions } = require('./start-options.js');
const { PIPE } = require('./stdio.js');

const FLAGS = { detached: 1, killTree: 2, dieWithParent: 4, noNewPrivs: 8, setsid: 16 };

function asText(value) {
  return `${value}`; // throws for a symbol, as Node does
}

/** Arguments as one block; with a Buffer among them the block is bytes, so that no byte is lost. */
function block(values) {
  if (!values.some((value) => value instanceof Uint8Array)) {
    return values.every((value) => typeof value === 'string') ? values.join('\0') : values.map(asText).join('\0');
  }
  const parts = [];
  for (const value of values) {
    if (parts.length > 0) parts.push(Buffer.of(0));
    const part = value instanceof Uint8Array ? value : Buffer.from(asText(value));
    if (part.includes(0)) throw nodeError('ERR_INVALID_ARG_VALUE', 'args', value, 'must hold no null bytes');
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** The request for normalised options and the plans of their stdio. */
function build(options, plans) {
  const { args } = options;
  let flags = 0;
  for (const name in FLAGS) if (options[name]) flags |= FLAGS[name];
  // Without a prototype: what somebody put on Object.prototype is no option of ours.
  const request = {
    __proto__: null,
    file: options.file,
    argv: block(args && args.length > 0 ? args : [options.file]),
    stdio: plans.map((plan) => plan.code),
    flags,
  };
  if (options.envPairs !== undefined) request.env = block(options.envPairs);
  if (options.cwd != null) request.cwd = options.cwd;
  if (options.uid != null) request.uid = options.uid;
  if (options.gid != null) request.gid = options.gid;
  addStartOptions(request, options);
  if (options.stderr === 'merge' && plans[1].code === PIPE) request.mergeStderr = true;
  return request;
}

module.exports = { build };
