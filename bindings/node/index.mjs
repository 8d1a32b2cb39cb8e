import procs from './index.cjs';

// Under the names that this version of Node has.
export * from 'node:worker_threads';

export const {
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
  SharedMemory,
  SharedMutex,
  SharedRwLock,
  SharedSemaphore,
  SharedEvent,
  SharedBarrier,
  SharedOnce,
  AtomicCell,
  Counters,
  Histogram,
  memoryLayout,
  engineInfo,
  ProcsError,
} = procs;
export default procs;
