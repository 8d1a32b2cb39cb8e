'use strict';

// The way from the core's threads back to this environment: each outstanding child or run has a number and a function here.

const { setInterval } = require('node:timers');
const native = require('./native.js');
const { isFailure, fromFailure } = require('./errors.js');

const LONGEST_TIMER = 0x7fffffff;

const receivers = new Map();
let nextId = 1;
let holds = 0;
let keeper;

/** The answer to a number as a promise; the event loop stays alive until it comes. `start(id)` begins the work and throws if it cannot. */
function answer(start, convert) {
  return new Promise((resolve, reject) => {
    const id = expect((event) => {
      letGo();
      if (isFailure(event)) reject(fromFailure(event));
      else resolve(convert(event));
    });
    try {
      start(id);
    } catch (error) {
      forget(id);
      reject(error);
      return;
    }
    hold();
  });
}

/** Registers a function for the one event of a new number. */
function expect(receive) {
  const id = nextId++;
  receivers.set(id, receive);
  return id;
}

function forget(id) {
  receivers.delete(id);
}

/** Keeps this environment's event loop alive until the matching `letGo`. */
function hold() {
  if (++holds > 1) return;
  // The native side is always weak. A timer that never comes is the one portable thing that can hold and release a loop at will.
  if (keeper === undefined) keeper = setInterval(() => {}, LONGEST_TIMER);
  else keeper.ref();
}

function letGo() {
  if (--holds === 0) keeper.unref();
}

const hub = native.openHub((id, event) => {
  const receive = receivers.get(id);
  receivers.delete(id);
  if (receive !== undefined) receive(event);
});

module.exports = { hub, answer, expect, forget, hold, letGo };
