'use strict';

// procs-native: node:child_process on libprocs, and what child_process lacks.

// Threads are Node's own: one require serves for both.
const workerThreads = require('node:worker_threads');

/** Where each name comes from. A module is loaded when one of its names is first asked for: most programs need few of them. */
const MODULES = {
  __proto__: null,
  spawn: ['spawn'],
  fork: ['fork'],
  exec: ['exec', 'execFile'],
  sync: ['execFileSync', 'execSync', 'spawnSync'],
  'child-process': ['ChildProcess'],
  run: ['run', 'runMany', 'waitAny'],
  pipeline: ['pipeline'],
  lines: ['lines'],
  'message-channel': ['Channel'],
  'parent-channel': ['parentChannel'],
  arena: ['Arena'],
  'shared-memory': ['SharedMemory', 'AtomicCell', 'Counters', 'Histogram', 'memoryLayout'],
  'shared-locks': ['SharedMutex', 'SharedRwLock', 'SharedSemaphore', 'SharedEvent', 'SharedBarrier', 'SharedOnce'],
  native: ['engineInfo'],
  errors: ['ProcsError'],
};

/** Makes a name a plain property, as it would have been from the beginning. */
function settle(name, value) {
  Object.defineProperty(module.exports, name, { value, writable: true, enumerable: true, configurable: true });
  return value;
}

function load(file) {
  const loaded = require(`./lib/${file}.js`);
  // What a child's object has beyond Node's.
  if (file === 'child-process') require('./lib/additions.js');
  return loaded;
}

module.exports = { ...workerThreads };
for (const file in MODULES) {
  for (const name of MODULES[file]) {
    Object.defineProperty(module.exports, name, {
      get: () => settle(name, load(file)[name]),
      set: (value) => { settle(name, value); },
      enumerable: true,
      configurable: true,
    });
  }
}

// A child of fork speaks the native wire with a parent that has it, too.
if (process.connected) require('./lib/upgrade.js').ask();
