// Memory that changes hands instead of being copied.
'use strict';
const { Worker, isMainThread, parentPort } = require('node:worker_threads');

if (isMainThread) {
  const worker = new Worker(__filename);
  const bytes = new Uint8Array(1 << 20).fill(7);
  worker.on('message', (back) => {
    console.log('back', back.length, back[0], back.at(-1));
    worker.terminate().then((code) => console.log('terminated', code));
  });
  worker.postMessage(bytes, [bytes.buffer]);
  console.log('after the transfer', bytes.length);
  try {
    worker.postMessage(bytes, [bytes.buffer]);
  } catch (error) {
    console.log(error.name);
  }
} else {
  parentPort.on('message', (bytes) => {
    bytes[0] = 8;
    parentPort.postMessage(bytes, [bytes.buffer]);
  });
}
