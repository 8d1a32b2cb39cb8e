// Runs to the end: output, status, errors of the start.

import fs from 'node:fs';
import { bytes, errorFact, failure, file, flag, helper, procs, run, status, text } from './facts.mjs';

function output({ code, signal, stdout, stderr }) {
  status(code, signal);
  text('stdout', stdout);
  text('stderr', stderr);
}

function briefly({ code, signal, stdout }) {
  status(code, signal);
  text('stdout', stdout);
}

async function bigOutput() {
  const result = await run(['flood', '8388608', '1'], { maxOutput: Infinity, encoding: 'buffer' });
  status(result.code, result.signal);
  bytes('stdout', result.stdout);
  text('stderr', result.stderr.toString());
}

async function bothPipesFull() {
  const input = Buffer.alloc(5242880, 'abcdefghijklmnopqrstuvwxyz');
  const result = await run(['stderr-then-stdout', '204800', '10', '204800'], { input });
  status(result.code, result.signal);
  bytes('stdout', result.stdout);
  bytes('stderr', result.stderr);
}

async function missingProgram() {
  await failure(procs.run('procs-no-such-program'));
  await failure(procs.run(file('missing/program')));
}

async function missingCwd() {
  await failure(run(['echo', 'hi'], { cwd: file('missing') }));
  await failure(run(['echo', 'hi'], { cwd: helper }));
}

async function notExecutable() {
  fs.writeFileSync(file('plain'), '#!/bin/true\n', { mode: 0o644 });
  await failure(procs.run(file('plain')));
  await failure(procs.run(file('.')));
}

async function noexecFormat() {
  fs.writeFileSync(file('noshebang'), 'echo pwned\n');
  fs.chmodSync(file('noshebang'), 0o755);
  await failure(procs.run(file('noshebang')));
}

async function nulArgument() {
  await failure(run(['echo', 'a\0b']));
  await failure(run(['echo', 'hi'], { env: { ...process.env, BAD: 'a\0b' } }));
  await failure(run(['echo', 'hi'], { env: { ...process.env, 'A=B': 'c' } }));
}

async function mergeStderr() {
  const result = await run(['interleave', '1000'], { stderr: 'merge' });
  status(result.code, result.signal);
  bytes('stdout', result.stdout);
}

async function argsBytes() {
  const controls = String.fromCharCode(...Array.from({ length: 31 }, (_, i) => i + 1));
  const args = ['', ' ', '$(id)', ';', 'a\nb', "'", '"', '\\', '*', '-rf', '--', controls, 'é€😀'];
  briefly(await run(['argv', ...args]));
}

async function checkFails() {
  try {
    await run(['fail', '7', 'partial\n', 'reason\n'], { check: true });
  } catch (error) {
    errorFact(error);
    return output(error.result);
  }
  throw new Error('the check passed');
}

async function usage() {
  const result = await run(['burn', '0.2']);
  flag('cpu_time', result.usage.userMs + result.usage.systemMs >= 100);
  flag('max_rss', result.usage.maxRssBytes > 0);
  flag('wall_time', result.wallMs >= 100);
}

export const table = {
  'run-echo': async () => output(await run(['echo', 'hello world'])),
  'run-exit-code': async () => output(await run(['fail', '3', '', 'went wrong\n'])),
  'run-signal-death': async () => briefly(await run(['die', 'SIGTERM'])),
  'run-input-filter': async () => briefly(await run(['upper'], { input: 'one two\nthree\n' })),
  'run-big-output': bigOutput,
  'run-both-pipes-full': bothPipesFull,
  'run-missing-program': missingProgram,
  'run-missing-cwd': missingCwd,
  'run-not-executable': notExecutable,
  'run-noexec-format': noexecFormat,
  'run-empty-program': () => failure(procs.run('')),
  'run-nul-argument': nulArgument,
  'run-merge-stderr': mergeStderr,
  'run-stdin-null': async () => briefly(await run(['count'])),
  'run-shell': async () =>
    briefly(await procs.run('"$SCENARIO_HELPER" echo one | "$SCENARIO_HELPER" upper; exit 5', { shell: true })),
  'run-args-bytes': argsBytes,
  'run-check-fails': checkFails,
  'run-usage': usage,
};
