import procs from './index.cjs';

export const {
  ChildProcess,
  exec,
  execFile,
  execFileSync,
  execSync,
  spawn,
  spawnSync,
  run,
  runMany,
  waitAny,
  pipeline,
  lines,
  engineInfo,
  ProcsError,
} = procs;
export default procs;
