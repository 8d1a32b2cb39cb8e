// What the listeners and callbacks of children throw, and the context in which it is handled.
'use strict';
const { AsyncLocalStorage, executionAsyncId } = require('node:async_hooks');
const { exec, execFile, fork, spawn } = require('node:child_process');

if (process.argv[2] === 'child') {
  for (const number of [1, 2, 3]) process.send(number);
} else {
  const request = new AsyncLocalStorage();
  const place = () => `in ${request.getStore()}${executionAsyncId() === 0 ? ', outside of everything' : ''}`;
  let next;
  process.on('uncaughtException', (error) => {
    console.log(error, place());
    // What the same turn left to the loop is still done.
    setImmediate(() => setImmediate(next));
  });
  const thrown = (value) => () => {
    console.log('called', place());
    process.nextTick(() => console.log('tick'));
    throw value;
  };
  const starts = {
    exit: () => spawn('true', { stdio: 'ignore' }).on('exit', thrown('at exit')),
    close: () => spawn('true', { stdio: 'ignore' }).on('close', thrown('at close')),
    error: () => spawn('no-such-program').on('error', thrown('at error')),
    data: () => spawn('echo', ['x']).stdout.on('data', thrown('at data')),
    exec: () => exec('exit 3', thrown(undefined)),
    execFile: () => execFile('echo', ['x'], function callback(error, stdout) { console.log(error, stdout, this); thrown(null)(); }),
    limit: () => exec('yes', { maxBuffer: 10 }, thrown('beyond the limit')),
    timeout: () => exec('sleep 30', { timeout: 10 }, thrown('too late')),
    message: () => fork(__filename, ['child']).on('message', (number) => {
      console.log('message', number, place());
      if (number === 3) thrown('at a message')();
    }),
  };
  const names = Object.keys(starts);
  next = () => {
    const name = names.shift();
    if (name !== undefined) request.run(name, starts[name]);
  };
  next();
}
