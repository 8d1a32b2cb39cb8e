// A pool of threads whose callbacks run in the context of whoever asked.
'use strict';
const { AsyncLocalStorage, AsyncResource } = require('node:async_hooks');
const { EventEmitter } = require('node:events');
const { Worker, isMainThread, parentPort } = require('node:worker_threads');

class Task extends AsyncResource {
  constructor(callback) {
    super('Task');
    this.callback = callback;
  }

  done(error, result) {
    this.runInAsyncScope(this.callback, null, error, result);
    this.emitDestroy();
  }
}

class Pool extends EventEmitter {
  constructor(size) {
    super();
    this.workers = [];
    this.free = [];
    this.tasks = [];
    for (let index = 0; index < size; index++) this.add();
    this.on('free', () => {
      if (this.tasks.length > 0) this.run(...this.tasks.shift());
    });
  }

  add() {
    const worker = new Worker(__filename);
    const release = (...result) => {
      worker.task?.done(...result);
      worker.task = null;
    };
    worker.on('message', (result) => {
      release(null, result);
      this.free.push(worker);
      this.emit('free');
    });
    worker.on('error', (error) => {
      this.workers.splice(this.workers.indexOf(worker), 1);
      release(error, null);
      // The last answer may have closed the pool.
      if (!this.closed) this.add();
    });
    this.workers.push(worker);
    this.free.push(worker);
    this.emit('free');
  }

  run(task, callback) {
    if (this.free.length === 0) {
      this.tasks.push([task, AsyncResource.bind(callback)]);
      return;
    }
    const worker = this.free.pop();
    worker.task = new Task(callback);
    worker.postMessage(task);
  }

  close() {
    this.closed = true;
    return Promise.all(this.workers.map((worker) => worker.terminate()));
  }
}

if (isMainThread) {
  const pool = new Pool(2);
  const who = new AsyncLocalStorage();
  const results = [];
  let left = 8;
  for (let number = 0; number < 8; number++) {
    who.run(`caller ${number}`, () => pool.run(number, (error, result) => {
      results[number] = `${who.getStore()}: ${error?.message ?? result}`;
      if (--left === 0) pool.close().then(() => console.log(results));
    }));
  }
} else {
  parentPort.on('message', (number) => {
    if (number === 3) throw new Error('not three');
    parentPort.postMessage(number ** 3);
  });
}
