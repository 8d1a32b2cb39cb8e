// How threads end: an error, an exit code, from outside.
'use strict';
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');

if (isMainThread) {
  (async () => {
    for (const end of ['error', 'exit', 'wait', 'syntax']) {
      const worker = end === 'syntax' ? new Worker('this is no JavaScript', { eval: true }) : new Worker(__filename, { workerData: end });
      worker.on('error', (error) => console.log(end, 'error', error.name));
      worker.on('message', () => worker.terminate());
      const code = await new Promise((resolve) => worker.on('exit', resolve));
      console.log(end, 'exit', code, worker.threadId);
    }
  })();
} else if (workerData === 'error') {
  throw new TypeError('on purpose');
} else if (workerData === 'exit') {
  process.exit(5);
} else {
  parentPort.postMessage('ready');
  parentPort.on('message', () => {});
}
