'use strict';

// procs-native: node:child_process on libprocs, and what child_process lacks.

const { spawn } = require('./lib/spawn.js');
const { exec, execFile } = require('./lib/exec.js');
const { spawnSync, execFileSync, execSync } = require('./lib/sync.js');
const { ChildProcess } = require('./lib/child-process.js');
require('./lib/additions.js');
const { run, runMany, waitAny } = require('./lib/run.js');
const { pipeline } = require('./lib/pipeline.js');
const { lines } = require('./lib/lines.js');
const { ProcsError } = require('./lib/errors.js');
const { engineInfo } = require('./lib/native.js');

module.exports = {
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
};
