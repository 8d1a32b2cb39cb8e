'use strict';

// The options of a channel, checked.

const { newId } = require('./hub.js');
const { nodeError } = require('./errors.js');
const { codecNamed } = require('./message-codecs.js');
const check = require('./validate.js');

/** Bytes of messages that `send` keeps while the other side does not read, unless `maxQueuedBytes` says otherwise. */
const QUEUE_BYTES = 256 << 20;
const SIZES = ['maxMessage', 'maxQueuedBytes', 'highWater', 'ringBytes', 'maxFds', 'frameTimeout'];

/** Checks the options of a channel; what the native module is told. */
function settings(options, id = newId(), name = 'options') {
  check.object(options, name);
  const codec = codecNamed(options.codec ?? 'json', `${name}.codec`);
  const told = { __proto__: null, id, codecs: 0b11 | 1 << codec.number };
  for (const key of SIZES) {
    const value = options[key];
    if (value === undefined || value === null) continue;
    if (typeof value !== 'number') throw nodeError('ERR_INVALID_ARG_TYPE', `${name}.${key}`, 'number', value);
    const largest = key === 'maxFds' ? 253 : Number.MAX_SAFE_INTEGER;
    if (!Number.isSafeInteger(value) || value < 0 || value > largest) {
      throw nodeError('ERR_OUT_OF_RANGE', `${name}.${key}`, `an integer from 0 to ${largest}`, value);
    }
    told[key] = value;
  }
  const { spin } = options;
  if (spin === false) told.spin = 0;
  else if (typeof spin === 'number' && spin >= 0) told.spin = spin;
  else if (spin !== undefined && spin !== null && spin !== true) throw nodeError('ERR_INVALID_ARG_TYPE', `${name}.spin`, ['boolean', 'number'], spin);
  return { told, codec, queueBytes: options.maxQueuedBytes ?? QUEUE_BYTES };
}

module.exports = { settings };
