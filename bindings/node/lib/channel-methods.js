'use strict';

// What a child's object, or `process`, has of its channel: the methods and properties of Node.

const { deprecate } = require('node:util');
const { Channel, NO_OPTIONS } = require('./channel.js');
const { Control } = require('./control.js');
const { nodeError } = require('./errors.js');
const { Offer } = require('./offer.js');
const { NodeWire } = require('./wires.js');
const check = require('./validate.js');

const deprecated = '_channel is deprecated. Use ChildProcess.channel instead.';

/** Gives a child its channel, and the methods and events of Node for it. `closes` is called when the other side has ended it. */
function setUp(target, id, { serialization = 'json', wire }, closes) {
  const upgrade = wire === 'node' ? null : new Offer(serialization);
  const channel = new Channel(target, (owner) => new NodeWire(id, owner), serialization, { closes, upgrade });
  channel.reference(true);
  target.channel = new Control(channel);
  Object.defineProperty(target, '_channel', {
    get: deprecate(() => target.channel, deprecated, 'DEP0129'),
    set: deprecate((value) => { target.channel = value; }, deprecated, 'DEP0129'),
    configurable: true,
    enumerable: false,
  });
  target.connected = true;
  giveMethods(target, channel);
  return channel;
}

/** The methods of whoever has a channel: a child's object, or `process`. */
function giveMethods(target, channel) {
  target.send = function send(message, handle, options, callback) {
    if (typeof handle === 'function') {
      callback = handle;
      handle = options = undefined;
    } else if (typeof options === 'function') {
      callback = options;
      options = undefined;
    } else if (options !== undefined) {
      check.object(options, 'options');
    }
    if (this.connected) return channel.send(message, handle, options === undefined ? NO_OPTIONS : { ...options }, callback);
    const error = nodeError('ERR_IPC_CHANNEL_CLOSED');
    if (typeof callback === 'function') process.nextTick(callback, error);
    else process.nextTick(() => this.emit('error', error));
    return false;
  };
  target._send = (message, handle, options, callback) => channel.send(message, handle, options, callback);
  target.disconnect = function disconnect() {
    if (!this.connected) {
      this.emit('error', nodeError('ERR_IPC_DISCONNECTED'));
      return;
    }
    // No new messages; those that wait for a handle's acknowledgement still go.
    this.connected = false;
    if (!channel.isBusy) this._disconnect();
  };
  target._disconnect = () => channel.disconnect();
}

module.exports = { setUp, giveMethods };
