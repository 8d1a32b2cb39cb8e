'use strict';

// What can be sent by Node's channel, and what of that is Node's own.

const PREFIX = 'NODE_';

function isMessage(value) {
  switch (typeof value) {
    case 'string':
    case 'object':
    case 'number':
    case 'boolean':
      return true;
    default:
      return false;
  }
}

function isAnswer(message) {
  return message?.cmd === 'NODE_HANDLE_ACK' || message?.cmd === 'NODE_HANDLE_NACK';
}

function isInternal(message) {
  const cmd = message !== null && typeof message === 'object' ? message.cmd : undefined;
  return typeof cmd === 'string' && cmd.length > PREFIX.length && cmd.startsWith(PREFIX);
}

/** A message of Node itself, or of a library, in its place among the others. */
class Internal {
  constructor(message) {
    this.message = message;
  }
}

module.exports = { Internal, isAnswer, isInternal, isMessage };
