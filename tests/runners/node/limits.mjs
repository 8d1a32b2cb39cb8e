// Deadlines and output limits.

import { bytes, file, flag, run, status, text } from './facts.mjs';

const timeout = Number(process.env.SCENARIO_TIMEOUT_MS);

function timed(result) {
  flag('timed_out', result.timedOut);
  text('stdout', result.stdout);
  flag('pipes_left_open', result.pipesLeftOpen);
}

async function limitError() {
  const result = await run(['flood', '67108864', '1'], { maxOutput: 65536 });
  flag('limit_exceeded', result.stdoutInfo.limitExceeded);
  bytes('stdout', result.stdout);
}

async function limited(policy) {
  const result = await run(['flood', '1000000', '1'], { maxOutput: { policy, bytes: 1000 } });
  status(result.code, result.signal);
  flag('truncated', result.stdoutInfo.truncated);
  bytes('stdout', result.stdout);
}

export const table = {
  'run-timeout': async () => timed(await run(['say', 'before\n', '30'], { timeout })),
  'run-timeout-grandchild': async () => timed(await run(['grandchild-wait', '60', file('stop')], { timeout })),
  'run-timeout-tree': async () => timed(await run(['grandchild-wait', '60'], { timeout, killTree: true })),
  'run-limit-error': limitError,
  'run-limit-head': () => limited('head'),
  'run-limit-tail': () => limited('tail'),
};
