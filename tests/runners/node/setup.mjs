// What a child starts with: environment, directory, group, mask, limits.

import fs from 'node:fs';
import { file, run, status, text } from './facts.mjs';

async function envClear() {
  text('stdout', (await run(['env'], { env: {} })).stdout);
  text('stdout', (await run(['env'], { env: { A: '1' } })).stdout);
}

async function envSet() {
  const { SCENARIO_REMOVE, ...env } = process.env;
  Object.assign(env, { SCENARIO_SET: 'two words', SCENARIO_EMPTY: '', SCENARIO_UTF8: 'é' });
  const names = ['SCENARIO_SET', 'SCENARIO_EMPTY', 'SCENARIO_UTF8', 'SCENARIO_KEEP', 'SCENARIO_REMOVE'];
  const result = await run(['env', ...names], { env });
  status(result.code, result.signal);
  text('stdout', result.stdout);
}

async function cwd() {
  fs.mkdirSync(file('inner'));
  const result = await run(['cwd', 'name'], { cwd: file('inner') });
  status(result.code, result.signal);
  text('stdout', result.stdout);
}

async function processGroup() {
  text('stdout', (await run(['session', 'relations'], { processGroup: 0 })).stdout);
  text('stdout', (await run(['session', 'relations'], { detached: true })).stdout);
}

async function umaskAndLimits() {
  text('stdout', (await run(['umask'], { umask: 0o027 })).stdout);
  text('stdout', (await run(['limits', 'nofile', 'core'], { limits: { noFile: 64, core: 0 } })).stdout);
}

export const table = {
  'run-env-clear': envClear,
  'run-env-set': envSet,
  'run-cwd': cwd,
  'spawn-process-group': processGroup,
  'spawn-umask-and-limits': umaskAndLimits,
};
