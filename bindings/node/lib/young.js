'use strict';

// Asks the collector to look at the young objects. What hangs on a few of them may be large: results of children, chunks of their output. The
// collector sees small objects and waits; the memory behind them would pile up, and fresh memory is dear.

const native = require('./native.js');

/** The collector looks at the young objects when an ArrayBuffer is made while 32 MiB hang on them: this much does, until it has looked. */
const WEIGHT = 33 * 1024 * 1024;

/** Bytes after which it is worth a look, which costs a fraction of a millisecond. */
const OFTEN = 16 * 1024 * 1024;

/** The same for received bodies: so few are on their way that the caches keep their memory. */
const OFTEN_RECEIVED = 4 * 1024 * 1024;

let handedOut = 0;
let handedOver = 0;

/** Has the young objects looked at, here and now. */
function collectYoung() {
  try {
    // Nothing is written to it, so it is only addresses.
    Buffer.allocUnsafeSlow(WEIGHT);
    Buffer.allocUnsafeSlow(128);
  } catch {
    // There are none left: the collector has looked at everything before it said so.
  }
}

/** Counts a result that is being handed out. Once whoever got it has had a turn of the loop to use it, it may be nobody's any more. */
function handOut(bytes) {
  handedOut += bytes;
  if (handedOut < OFTEN) return;
  handedOut = 0;
  setImmediate(collectYoung);
}

/** Bytes of blocking calls' results after which all objects are looked at, in a heap of at most so many bytes: some milliseconds. */
const MUCH = 32 * 1024 * 1024;
const SMALL_HEAP = 64 * 1024 * 1024;

let blocking = 0;

/** As handOut, for a blocking call: whoever calls in a row may have no turn of the loop for long. Looked at when the next one begins. */
function handOutBlocking(bytes) {
  blocking += bytes;
}

/**
 * A blocking call begins: what the last ones gave may be nobody's any more. A large result makes the collector look at everything while somebody
 * still has the result, which is old then.
 */
function beforeBlocking() {
  if (blocking < OFTEN) return;
  const { arrayBuffers, heapUsed } = process.memoryUsage();
  collectYoung();
  const old = blocking >= MUCH && process.memoryUsage().arrayBuffers > arrayBuffers - blocking / 2;
  if (old && heapUsed <= SMALL_HEAP) native.collectAll();
  blocking = 0;
}

/** Received bodies from this size on lie in memory that is used again (bindings/node/src/spare.rs). */
const LARGE = 256 * 1024;

/** Counts a received body. A text is told to the collector, which frees it with the old objects only. */
function received(body) {
  if (typeof body === 'string' || body.length < LARGE) return;
  handedOver += body.length;
  if (handedOver < OFTEN_RECEIVED) return;
  handedOver = 0;
  setImmediate(collectYoung);
}

module.exports = { beforeBlocking, collectYoung, handOut, handOutBlocking, received };
