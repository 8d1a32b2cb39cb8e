'use strict';

// Memory for small received messages, many in one piece: memory of their own costs more than everything else about them.

const { hub } = require('./hub.js');

const SLAB = 16 * 1024;
/** The largest message that shares a slab with others: whoever keeps it keeps the slab. */
const SMALL = 512;

let slab = Buffer.allocUnsafeSlow(SLAB);
let room = slab.subarray(0, SMALL);

/** As `hub.channelReceive`, with every body that is nothing but bytes as a Buffer. */
function receive(id) {
  const came = hub.channelReceive(id, room, false);
  if (typeof came !== 'number') return came;
  const bytes = room.subarray(0, came);
  // Eight bytes apart, for typed arrays over them.
  const next = room.byteOffset + (came + 7 & ~7);
  if (next + SMALL > SLAB) {
    slab = Buffer.allocUnsafeSlow(SLAB);
    room = slab.subarray(0, SMALL);
  } else {
    room = slab.subarray(next, next + SMALL);
  }
  return bytes;
}

module.exports = { receive };
