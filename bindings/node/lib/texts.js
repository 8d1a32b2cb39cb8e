'use strict';

// What is known of a text before it is sent (bindings/node/src/outgoing.rs).

/** From this length on it is looked at: most text needs no more than a copy then. */
const LARGE = 64 * 1024;

/** Nothing, that its characters all fit one byte, that it has no half of a pair. */
const UNKNOWN = 0;
const NARROW = 1;
const WHOLE = 2;

/** The engine knows that text which it keeps in bytes has none, without looking at it. */
const WIDE = /[^\x00-\xff]/;

function shapeOf(text) {
  if (text.length <= LARGE) return UNKNOWN;
  if (!WIDE.test(text)) return NARROW;
  return text.isWellFormed?.() ? WHOLE : UNKNOWN;
}

module.exports = { shapeOf };
