'use strict';

// The ways from the core back to this environment: notices about children, told by the event loop itself, and answers of the core's threads.

const { constants: { signals: SIGNALS } } = require('node:os');
const native = require('./native.js');
const { isFailure, fromFailure } = require('./errors.js');

/** What a notice says. */
const EXIT = 0;
const END = 1;
const OVER = 2;
const ENDING = 4;
const FAILED = 5;

/** No answer: where the event loop cannot wait for children, a thread asks for a look. */
const LOOK = 0;

const SIGNAL_NAMES = [];
for (const [name, number] of Object.entries(SIGNALS)) SIGNAL_NAMES[number] ??= name;

const receivers = new Map();

/** Handles by the last bits of their numbers. The others are in a map, whose entries cost several times as much. */
const PLACES = 64;
const numbers = new Array(PLACES).fill(0);
const handles = new Array(PLACES).fill(undefined);
const others = new Map();

let nextId = 1;

/** The answer to a number as a promise; the event loop stays alive until it comes. `start(id)` begins the work and throws if it cannot. */
function answer(start, convert) {
  return new Promise((resolve, reject) => {
    const id = nextId++;
    receivers.set(id, (event) => {
      hub.letGo();
      if (isFailure(event)) reject(fromFailure(event));
      else resolve(convert(event));
    });
    try {
      start(id);
    } catch (error) {
      receivers.delete(id);
      reject(error);
      return;
    }
    hub.hold();
  });
}

/** A number for a child that is about to be started. */
function newId() {
  return nextId++;
}

/** From now on the notices about a child go to this handle, until `forget`. */
function attend(id, handle) {
  const place = id % PLACES;
  if (numbers[place] !== 0) {
    others.set(id, handle);
    return;
  }
  numbers[place] = id;
  handles[place] = handle;
}

function forget(id) {
  const place = id % PLACES;
  if (numbers[place] !== id) {
    others.delete(id);
    return;
  }
  numbers[place] = 0;
  handles[place] = undefined;
}

function handleOf(id) {
  const place = id % PLACES;
  return numbers[place] === id ? handles[place] : others.get(id);
}

/**
 * Makes it an uncaught exception where it was thrown, as for the runtime's own callbacks: its handlers run in the async context of what threw it,
 * which is left once the native side finds out. That is told by `undefined`, for it must not run ticks after a throw.
 */
function uncaught(error) {
  native.uncaught(error);
  throw undefined;
}

/** A function for the native side that runs code of users. */
function guarded(call) {
  return (a, b, c, d, e) => {
    try {
      return call(a, b, c, d, e);
    } catch (error) {
      return uncaught(error);
    }
  };
}

function onAnswer(id, event) {
  if (id === LOOK) {
    hub.look();
    return;
  }
  const receive = receivers.get(id);
  receivers.delete(id);
  if (receive !== undefined) receive(event);
}

function onNotice(id, what, first, signal, userMs, systemMs, maxRssBytes) {
  const handle = handleOf(id);
  if (handle === undefined) return what === ENDING;
  if (what === EXIT) {
    const name = signal < 0 ? '' : SIGNAL_NAMES[signal] ?? `SIG${signal}`;
    const usage = userMs < 0 ? undefined : { userMs, systemMs, maxRssBytes };
    handle.ended(first < 0 ? null : first, name, usage);
    return false;
  }
  return toldOtherwise(handle, what, first);
}

function toldOtherwise(handle, what, first) {
  if (what === END) {
    handle.streamEnded(first);
  } else if (what === OVER) {
    handle.streamOver(first);
  } else if (what === ENDING) {
    return handle.streams.areRead();
  } else if (what === FAILED) {
    handle.failed(first, hub.takeFailure());
  }
  return false;
}

const hub = native.openHub(onAnswer, onNotice);
/** What every message needs. */
const quick = hub.quick();

module.exports = { hub, quick, answer, newId, attend, forget, uncaught, guarded };
