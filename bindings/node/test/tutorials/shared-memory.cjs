// Threads that count in one memory.
'use strict';
const { Worker, isMainThread, workerData } = require('node:worker_threads');
const { once } = require('node:events');

if (isMainThread) {
  const cells = new Int32Array(new SharedArrayBuffer(8));
  const workers = Array.from({ length: 3 }, () => new Worker(__filename, { workerData: cells }));
  Promise.all(workers.map((worker) => once(worker, 'exit'))).then((ends) => console.log(ends, cells[0], cells[1]));
  Atomics.store(cells, 1, 1);
  Atomics.notify(cells, 1);
} else {
  Atomics.wait(workerData, 1, 0);
  for (let round = 0; round < 10_000; round++) Atomics.add(workerData, 0, 1);
}
