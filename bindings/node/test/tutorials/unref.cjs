// A channel that keeps neither side alive, and messages of a child that nobody waits for.
'use strict';
const { fork } = require('node:child_process');

if (process.argv[2] === 'child') {
  process.on('message', (message) => {
    console.log('child got', message);
    process.channel.unref();
    process.send('once');
  });
} else {
  const child = fork(__filename, ['child']);
  child.on('message', (message) => {
    console.log('parent got', message);
    child.unref();
    child.channel.unref();
  });
  child.send('hello');
  process.on('exit', () => console.log('parent ends'));
}
