'use strict';

// What the native module is told about one child. Strings travel joined by NUL: one conversion instead of one per argument.

const { PIPE } = require('./stdio.js');

const FLAGS = { detached: 1, killTree: 2, dieWithParent: 4, noNewPrivs: 8, setsid: 16 };

/** The options of a start that child_process does not have. */
const START_OPTIONS = [
  'killTree', 'grace', 'dieWithParent', 'noNewPrivs', 'limits', 'umask', 'nice', 'affinity', 'groups', 'processGroup',
];

function asText(value) {
  return typeof value === 'string' ? value : String(value);
}

/** Arguments as one block; with a Buffer among them the block is bytes, so that no byte is lost. */
function block(values) {
  if (!values.some((value) => value instanceof Uint8Array)) {
    return values.every((value) => typeof value === 'string') ? values.join('\0') : values.map(asText).join('\0');
  }
  const parts = [];
  for (const value of values) {
    if (parts.length > 0) parts.push(Buffer.of(0));
    parts.push(value instanceof Uint8Array ? value : Buffer.from(asText(value)));
  }
  return Buffer.concat(parts);
}

function limitList(limits) {
  return Object.entries(limits).map(([resource, value]) => {
    const [soft, hard] = Array.isArray(value) ? value : [value, value];
    return { __proto__: null, resource, soft: soft === Infinity ? undefined : soft, hard: hard === Infinity ? undefined : hard };
  });
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
  if (options.umask != null) request.umask = options.umask;
  if (options.nice != null) request.nice = options.nice;
  if (options.affinity != null) request.affinity = options.affinity;
  if (options.groups != null) request.groups = options.groups;
  if (options.processGroup != null) request.processGroup = options.processGroup;
  if (options.limits != null) request.limits = limitList(options.limits);
  if (options.stderr === 'merge' && plans[1].code === PIPE) request.mergeStderr = true;
  return request;
}

module.exports = { build, START_OPTIONS };
