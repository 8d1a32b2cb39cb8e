// Long computations in a forked child, the event loop of the parent stays free.
'use strict';
const { fork } = require('node:child_process');

function primesBelow(limit) {
  const found = [];
  for (let number = 2; number < limit; number++) {
    if (found.every((prime) => prime * prime > number || number % prime !== 0)) found.push(number);
  }
  return found;
}

if (process.argv[2] === 'child') {
  process.on('message', ({ id, limit }) => process.send({ id, count: primesBelow(limit).length }));
} else {
  const child = fork(__filename, ['child']);
  const waiting = new Map();
  let last = 0;
  child.on('message', ({ id, count }) => {
    waiting.get(id)(count);
    waiting.delete(id);
  });
  const count = (limit) => new Promise((resolve) => {
    waiting.set(++last, resolve);
    child.send({ id: last, limit });
  });
  Promise.all([10, 100, 1000, 10_000].map(count)).then((counts) => {
    console.log('primes', counts);
    child.kill();
  });
  child.on('exit', (code, signal) => console.log('exit', code, signal));
}
