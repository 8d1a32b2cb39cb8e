// A deadline ends a run with everything that it started; what was written until then is kept.

import { constants } from 'node:os';
import { run } from 'procs-native';

const DEADLINE = 2000;

function ending({ code, signal }) {
  return signal === null ? `exit code ${code}` : `signal ${constants.signals[signal]} (${signal})`;
}

async function bounded(script, options) {
  const result = await run('sh', ['-c', script], { timeout: DEADLINE, ...options });
  console.log(`  output so far: ${result.stdout.trim().split('\n').join(', ')}`);
  console.log(`  timed out: ${result.timedOut}`);
  console.log(`  ended: ${ending(result)}`);
  return result;
}

console.log('a tree of sleepers, deadline 2 s:');
const tree = await bounded('sleep 60 & sleep 60 & echo started; wait', { killTree: true });
console.log(`  survivors: ${tree.stopped.survivors.length}`);

console.log('a program that cleans up when asked to:');
await bounded('trap "echo cleaned up; exit 7" TERM; echo ready; while :; do sleep 0.1; done', { grace: 10_000 });

console.log('a program that ignores the request:');
await bounded('trap "" TERM; echo not listening; while :; do sleep 0.1; done', { grace: 200, killTree: true });
