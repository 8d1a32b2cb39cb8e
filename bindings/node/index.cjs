'use strict';

// procs-native: node:child_process on libprocs, and what child_process lacks.

const { spawn } = require('./lib/spawn.js');
const { fork } = require('./lib/fork.js');
const { exec, execFile } = require('./lib/exec.js');
const { spawnSync, execFileSync, execSync } = require('./lib/sync.js');
const { ChildProcess } = require('./lib/child-process.js');
require('./lib/additions.js');
const { run, runMany, waitAny } = require('./lib/run.js');
const { pipeline } = require('./lib/pipeline.js');
const { lines } = require('./lib/lines.js');
const { Channel } = require('./lib/message-channel.js');
const { parentChannel } = require('./lib/parent-channel.js');
const { Arena } = require('./lib/arena.js');
const memory = require('./lib/shared-memory.js');
const locks = require('./lib/shared-locks.js');
const { ProcsError } = require('./lib/errors.js');
const { engineInfo } = require('./lib/native.js');

// Threads are Node's own: one require serves for both.
const workerThreads = require('node:worker_threads');

module.exports = {
  ...workerThreads,
  ChildProcess,
  exec,
  execFile,
  execFileSync,
  execSync,
  fork,
  spawn,
  spawnSync,
  run,
  runMany,
  waitAny,
  pipeline,
  lines,
  Channel,
  parentChannel,
  Arena,
  SharedMemory: memory.SharedMemory,
  SharedMutex: locks.SharedMutex,
  SharedRwLock: locks.SharedRwLock,
  SharedSemaphore: locks.SharedSemaphore,
  SharedEvent: locks.SharedEvent,
  SharedBarrier: locks.SharedBarrier,
  SharedOnce: locks.SharedOnce,
  AtomicCell: memory.AtomicCell,
  Counters: memory.Counters,
  Histogram: memory.Histogram,
  memoryLayout: memory.memoryLayout,
  engineInfo,
  ProcsError,
};

// A child of fork speaks the native wire with a parent that has it, too.
require('./lib/upgrade.js').ask();
