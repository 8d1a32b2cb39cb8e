// A deadline for a child, and the signal that ends it.
'use strict';
const { fork } = require('node:child_process');
const { once } = require('node:events');

if (process.argv[2] === 'child') {
  setInterval(() => {}, 1000);
} else {
  (async () => {
    for (const killSignal of ['SIGTERM', 'SIGKILL']) {
      const child = fork(__filename, ['child'], { timeout: 300, killSignal });
      console.log(killSignal, await once(child, 'exit'), child.killed);
    }
  })();
}
