// A pool of children built by hand: one task at a time for each, a new child for one that died.
'use strict';
const { fork } = require('node:child_process');

if (process.argv[2] === 'child') {
  process.on('message', (task) => {
    if (task.number === 5 && task.attempt === 0) process.exit(1);
    process.send({ number: task.number, result: task.number ** 2 });
  });
} else {
  const queue = Array.from({ length: 12 }, (_, number) => ({ number, attempt: 0 }));
  const results = [];
  let running = 0;
  let died = 0;
  const start = () => {
    const child = fork(__filename, ['child']);
    let task;
    running++;
    const next = () => {
      task = queue.shift();
      if (task) child.send(task);
      else child.disconnect();
    };
    child.on('message', ({ number, result }) => {
      results[number] = result;
      next();
    });
    child.on('exit', (code) => {
      running--;
      if (code !== 0) {
        died++;
        queue.unshift({ ...task, attempt: 1 });
        start();
      }
      if (running === 0) console.log(results, 'died', died);
    });
    next();
  };
  for (let index = 0; index < 2; index++) start();
}
