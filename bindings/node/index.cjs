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

/** EMFILE and ENFILE in words: the code is that of what could not be read for it. */
const NO_DESCRIPTORS = /too many open files|file table overflow/i;

/** What reports that there are no descriptors by an 'error' event. */
const REPORTING = new Set(['spawn', 'exec', 'execFile', 'fork']);

/**
 * Where there is no descriptor to load a module with there is none to start a child with: the runtime's own function reports that, as it always
 * does. The module is loaded the next time.
 */
function withoutDescriptors(name, error) {
  const own = process.getBuiltinModule?.('node:child_process')[name];
  if (own === undefined) throw error;
  return (...args) => {
    const child = own(...args);
    if (child.pid === undefined) return child;
    // Another thread has closed some meanwhile. This child knows no options of ours.
    child.kill('SIGKILL');
    throw error;
  };
}

function find(name, file) {
  try {
    return settle(name, load(file)[name]);
  } catch (error) {
    if (REPORTING.has(name) && NO_DESCRIPTORS.test(error.message)) return withoutDescriptors(name, error);
    throw error;
  }
}

module.exports = { ...workerThreads };
for (const file in MODULES) {
  for (const name of MODULES[file]) {
    Object.defineProperty(module.exports, name, {
      get: () => find(name, file),
      set: (value) => { settle(name, value); },
      enumerable: true,
      configurable: true,
    });
  }
}

// A child of fork speaks the native wire with a parent that has it, too.
if (process.connected) require('./lib/upgrade.js').ask();
