// How children end: by themselves, by an exception, by a signal.
'use strict';
const { fork } = require('node:child_process');
const { once } = require('node:events');

const ends = {
  zero() {},
  three() { process.exit(3); },
  later() { process.exitCode = 9; },
  thrown() { throw new Error('on purpose'); },
  rejected() { Promise.reject(new Error('on purpose')); },
  killed() { process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 1000); },
};

if (process.argv[2]) {
  ends[process.argv[2]]();
} else {
  (async () => {
    for (const name of Object.keys(ends)) {
      const child = fork(__filename, [name], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
      const [code, signal] = await once(child, 'exit');
      console.log(name, code, signal, child.exitCode, child.signalCode, child.killed);
    }
  })();
}
