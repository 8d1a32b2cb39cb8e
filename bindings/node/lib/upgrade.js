'use strict';

// The native wire for a process that Node's fork, or ours, has started: the child's half. Only a parent that is procs-native answers the wish;
// every other keeps Node's wire and never notices.

const { isMainThread } = require('node:worker_threads');
const { Channel } = require('./channel.js');
const { giveMethods } = require('./channel-methods.js');
const { hub, newId } = require('./hub.js');
const { isFailure } = require('./errors.js');
const { ASK, OFFER, SWITCHED, VERSION } = require('./offer.js');
const { NativeWire } = require('./wires.js');

const ignore = () => {};

/** The handle of Node's own channel, behind one of the symbols of `process`. */
function handleOfNode() {
  const key = Object.getOwnPropertySymbols(process).find((symbol) => symbol.description === 'kChannelHandle');
  return key === undefined ? undefined : process[key];
}

/** Asks the parent for the native wire, if it is one that sent messages so far over Node's. */
function ask() {
  // Once in a process, also when the package is there twice; threads have no channel of their own.
  const asked = Symbol.for('procs-native.asked');
  const pipe = handleOfNode();
  if (!isMainThread || !process.connected || !pipe || process._handleQueue === undefined || process[asked]) return;
  Object.defineProperty(process, asked, { value: true });
  let offered = null;
  const changeOver = () => {
    // Node's own queue must be empty: what waits there goes by Node's wire.
    if (offered === null || process._handleQueue !== null) return;
    process.removeListener('internalMessage', look);
    if (process.connected) switchTo(offered, pipe);
    else hub.closeChannel(offered.id);
  };
  const look = (message, handle) => {
    if (message.cmd === OFFER && handle && offered === null) {
      const id = newId();
      const opened = hub.channelFromFd(NativeWire.settings(id), handle.fd);
      handle.close();
      if (isFailure(opened)) {
        // The parent speaks only there from now on: better an end than silence.
        process.disconnect();
        return;
      }
      offered = { id, serialization: message.serialization, latin1: message.latin1 };
    }
    changeOver();
  };
  process.on('internalMessage', look);
  leaveUnanswered();
  process._send({ cmd: ASK, version: VERSION, latin1: true }, undefined, true);
}

/** An offer that comes after the program has disconnected is not acknowledged: Node takes an answer without a channel for a fault of its own. */
function leaveUnanswered() {
  const send = process._send;
  process._send = function _send(message, ...rest) {
    if (!this.connected && !this.channel && (message?.cmd === 'NODE_HANDLE_ACK' || message?.cmd === 'NODE_HANDLE_NACK')) return true;
    return send.call(this, message, ...rest);
  };
}

/** Everything goes by the native channel from here on; Node's is closed once its last message has left. */
function switchTo(offered, pipe) {
  const { id, serialization } = offered;
  pipe.readStop();
  process._send({ cmd: SWITCHED }, undefined, { swallowErrors: true }, () => pipe.close());
  const held = pipe.hasRef();
  let wire;
  const makeWire = (owner) => (wire = new NativeWire(id, offered, owner));
  const channel = new Channel(process, makeWire, serialization, { closes: ignore, upgrade: null });
  giveMethods(process, channel);
  Object.defineProperty(process.channel, 'wire', { get: () => channel.wire, configurable: true });
  Object.defineProperty(process.channel, 'fd', { get: () => channel.fd, configurable: true });
  // Node counts listeners and remembers what the program asked for; only what that holds is another thing now.
  pipe.ref = () => channel.reference(true);
  pipe.unref = () => channel.reference(false);
  pipe.hasRef = () => channel.referenced;
  channel.reference(held);
  wire.watch();
}

module.exports = { ask };
