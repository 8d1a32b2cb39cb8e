'use strict';

// parentChannel: the channel to the process that started this one, whatever the wire.

const { hub } = require('./hub.js');
const { ProcsError, fromFailure, isFailure } = require('./errors.js');
const { made } = require('./message-channel.js');
const { settings } = require('./message-settings.js');
const { ProcessChannel, isThere } = require('./process-channel.js');

let isTaken = false;

/** The channel to the parent; once in a process. Where the runtime itself talks to the parent, by Node's wire, it goes on doing so. */
function parentChannel(options = {}) {
  const wanted = settings(options);
  const failure = hub.channelFromParent(wanted.told);
  if (!isFailure(failure)) return made(wanted);
  const error = fromFailure(failure);
  if (error.kind !== 'NOT_FOUND' || !isThere()) throw error;
  if (isTaken) throw new ProcsError('channel.parent: the channel was taken before', 'INVALID_STATE', 'ERR_PROCS_INVALID_STATE');
  const channel = new ProcessChannel(wanted.codec);
  isTaken = true;
  return channel;
}

module.exports = { parentChannel };
