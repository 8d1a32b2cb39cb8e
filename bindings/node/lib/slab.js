'use strict';

// Memory for small received messages, many in one piece: memory of their own costs more than everything else about them. The native module puts them
// there (bindings/node/src/incoming.rs): a length in four bytes, four of nothing, the bytes, filled up to a multiple of eight.

const { hub } = require('./hub.js');

const SLAB = 16 * 1024;
/** From so many bytes before its end on nothing is put into a slab: a head and the largest message that shares one. */
const LEAST = 8 + 512;

let slab;
let lengths;

function change() {
  slab = Buffer.allocUnsafeSlow(SLAB);
  lengths = new Uint32Array(slab.buffer);
  hub.useSlab(slab);
}

/** Where the message after this one is. */
function after(at, length) {
  return at + 8 + (length + 7 & ~7);
}

/** The bytes of `count` messages from `at` on. */
function bytesOf(count, at) {
  const all = [];
  const own = slab;
  for (; count > 0; count--) {
    const length = lengths[at >> 2];
    all.push(own.subarray(at + 8, at + 8 + length));
    at = after(at, length);
  }
  if (at > SLAB - LEAST) change();
  return all;
}

/** The texts of `count` messages from `at` on, which are together `text`. */
function textsOf(count, at, text) {
  if (count === 1) return [text];
  const texts = [];
  for (let from = 0; count > 0; count--) {
    const length = lengths[at >> 2];
    texts.push(text.slice(from, from += length));
    at = after(at, length);
  }
  return texts;
}

/** Notes a message that came in memory of its own: if it is a small one there was no room any more. */
function missed(body) {
  if (body.length <= LEAST) change();
}

change();

module.exports = { bytesOf, textsOf, missed };
