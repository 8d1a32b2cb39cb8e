// Parent and child count together: the program forks itself.
'use strict';
const { fork } = require('node:child_process');

if (process.argv[2] === 'child') {
  process.on('message', ({ count }) => {
    console.log('child got', count);
    process.send({ count: count + 1 });
  });
} else {
  const child = fork(__filename, ['child']);
  child.on('message', ({ count }) => {
    console.log('parent got', count);
    if (count >= 6) child.disconnect();
    else child.send({ count: count + 1 });
  });
  child.on('exit', (code, signal) => console.log('exit', code, signal));
  child.send({ count: 1 });
}
