// A child that is no longer wanted.
'use strict';
const { fork } = require('node:child_process');

if (process.argv[2] === 'child') {
  setInterval(() => {}, 1000);
  process.send('started');
} else {
  const controller = new AbortController();
  const child = fork(__filename, ['child'], { signal: controller.signal });
  child.on('message', (message) => {
    console.log(message);
    controller.abort(new Error('enough'));
  });
  child.on('error', (error) => console.log(error.name, error.code, error.message, error.cause?.message));
  child.on('exit', (code, signal) => {
    console.log('exit', code, signal, child.killed);
    const late = fork(__filename, ['child'], { signal: AbortSignal.abort(), killSignal: 'SIGKILL' });
    late.on('error', (error) => console.log('late', error.name));
    late.on('exit', (...how) => console.log('late exit', ...how));
  });
}
