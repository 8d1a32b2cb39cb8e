'use strict';

// The options of a start that child_process does not have: their names, and their checks before anything is started.

const { nodeError } = require('./errors.js');
const check = require('./validate.js');

const START_OPTIONS = [
  'killTree', 'grace', 'dieWithParent', 'noNewPrivs', 'limits', 'umask', 'nice', 'affinity', 'groups', 'processGroup',
];

function integer(value, name) {
  if (typeof value !== 'number') throw nodeError('ERR_INVALID_ARG_TYPE', name, 'number', value);
  if (value !== (value | 0) && !(Number.isInteger(value) && value > 0 && value < 2 ** 32)) {
    throw nodeError('ERR_OUT_OF_RANGE', name, 'an integer', value);
  }
}

function integers(values, name) {
  check.array(values, name);
  values.forEach((value, index) => integer(value, `${name}[${index}]`));
}

/** One side of a limit: a count, or undefined for no limit. */
function side(value, name) {
  if (typeof value !== 'number') throw nodeError('ERR_INVALID_ARG_TYPE', name, 'number', value);
  if (value === Infinity) return undefined;
  if (!(Number.isSafeInteger(value) && value >= 0)) throw nodeError('ERR_OUT_OF_RANGE', name, 'a non-negative integer or Infinity', value);
  return value;
}

/** The limits option as the native module takes it. */
function limitList(limits) {
  check.object(limits, 'options.limits');
  return Object.entries(limits).map(([resource, value]) => {
    const [soft, hard] = Array.isArray(value) ? value : [value, value];
    const name = `options.limits.${resource}`;
    // Without a prototype: what somebody put on Object.prototype is no limit.
    return { __proto__: null, resource, soft: side(soft, name), hard: side(hard, name) };
  });
}

/** Copies the given options of a start into a request. */
function addStartOptions(request, options) {
  for (const name of ['umask', 'nice', 'processGroup']) {
    if (options[name] == null) continue;
    integer(options[name], `options.${name}`);
    request[name] = options[name];
  }
  for (const name of ['affinity', 'groups']) {
    if (options[name] == null) continue;
    integers(options[name], `options.${name}`);
    request[name] = options[name];
  }
  if (options.limits != null) request.limits = limitList(options.limits);
}

module.exports = { START_OPTIONS, addStartOptions };
