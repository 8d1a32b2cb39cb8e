// Threads: data at the start, an answer at the end.
'use strict';
const { Worker, isMainThread, parentPort, workerData, threadId } = require('node:worker_threads');

if (isMainThread) {
  console.log('main', threadId, parentPort, workerData);
  const worker = new Worker(__filename, { workerData: { numbers: [1, 2, 3], when: new Date(0) }, argv: ['an argument'], env: { NAME: 'worker' } });
  worker.on('online', () => console.log('online'));
  worker.on('message', (message) => console.log(message));
  worker.on('exit', (code) => console.log('exit', code));
} else {
  parentPort.postMessage({ sum: workerData.numbers.reduce((a, b) => a + b), when: workerData.when, argv: process.argv.slice(2), name: process.env.NAME });
}
