'use strict';

// Where the output of a run goes besides its result, and what feeds it: functions, streams, files.

const { pipeline, finished } = require('node:stream');
const { nodeError } = require('./errors.js');
const { socketFor } = require('./sockets.js');

const WORDS = ['buffer', 'discard'];

function isWritable(value) {
  return value !== null && typeof value === 'object' && typeof value.write === 'function' && typeof value.end === 'function';
}

function one(sink, name, takers) {
  if (typeof sink === 'function' || isWritable(sink)) {
    takers.push(sink);
    return { __proto__: null, kind: 'stream' };
  }
  if (WORDS.includes(sink)) return { __proto__: null, kind: sink };
  if (Number.isInteger(sink) && sink >= 0) return { __proto__: null, kind: 'fd', fd: sink };
  for (const kind of ['file', 'append']) {
    if (typeof sink?.[kind] === 'string' && !sink[kind].includes('\0')) return { __proto__: null, kind, path: sink[kind] };
  }
  throw nodeError('ERR_INVALID_ARG_VALUE', name, sink,
    "must be a function, a Writable, a descriptor, {file}, {append}, 'buffer', 'discard', or an array of these");
}

/** The sinks option for the native module; whoever takes chunks in JavaScript is added to `takers`. */
function sinkList(value, name, takers) {
  if (value == null) return undefined;
  return Array.from(Array.isArray(value) ? value : [value], (sink) => one(sink, name, takers));
}

/** Passes on what comes out of a descriptor; the promise of its end. A slow taker holds the child back. */
function deliver(fd, taker) {
  const stream = socketFor(fd, 1);
  return new Promise((resolve, reject) => {
    const settle = (error) => (error ? reject(error) : resolve());
    if (typeof taker !== 'function') {
      // The stream stays its owner's: several runs may write to it.
      stream.pipe(taker, { end: false });
      taker.once('error', (error) => stream.destroy(error));
      finished(stream, { writable: false }, settle);
      return;
    }
    stream.on('data', (chunk) => {
      try {
        taker(chunk);
      } catch (error) {
        stream.destroy(error);
      }
    });
    finished(stream, { writable: false }, settle);
  });
}

/** Whether an input is a stream or an iterable of chunks. */
function isFlow(input) {
  return input !== null && typeof input === 'object' && !ArrayBuffer.isView(input)
    && (typeof input.pipe === 'function' || Symbol.asyncIterator in input || Symbol.iterator in input);
}

/** Feeds a stream or iterable to a descriptor; a child that ends before it has read everything is no failure. */
function feed(fd, input) {
  return new Promise((resolve, reject) => {
    pipeline(input, socketFor(fd, 0), (error) => {
      const childIsGone = error && ['EPIPE', 'ECONNRESET'].includes(error.code) && error.syscall === 'write';
      if (error && !childIsGone && error.code !== 'ERR_STREAM_PREMATURE_CLOSE') reject(error);
      else resolve();
    });
  });
}

module.exports = { sinkList, deliver, isFlow, feed };
