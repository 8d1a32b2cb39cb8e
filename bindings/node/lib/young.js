'use strict';

// Asks the collector to look at the young objects. What hangs on a few of them may be large: results of children, chunks of their output. The
// collector sees small objects and waits; the memory behind them would pile up, and fresh memory is dear.

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
  // Nothing is written to it, so it is only addresses.
  Buffer.allocUnsafeSlow(WEIGHT);
  Buffer.allocUnsafeSlow(128);
}

/** Counts a result that is being handed out. Once whoever got it has had a turn of the loop to use it, it may be nobody's any more. */
function handOut(bytes) {
  handedOut += bytes;
  if (handedOut < OFTEN) return;
  handedOut = 0;
  setImmediate(collectYoung);
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

module.exports = { collectYoung, handOut, received };
