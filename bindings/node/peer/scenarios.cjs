'use strict';

// The scenarios of tests/scenarios that child_process has the features for, written with its names only.

const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { createInterface } = require('node:readline');

const HELPER = process.env.PROCS_TEST_CHILD;
const SLOW = Number(process.env.PROCS_TEST_SLOW ?? 1);

const bytesFact = (name, data) => `${name} bytes=${data.length} sha256=${createHash('sha256').update(data).digest('hex')}`;
const textFact = (name, data) => `${name} text=${JSON.stringify(data.toString()).replace(/\\b/g, '\\u0008').replace(/\\f/g, '\\u000c')}`;
const statusFact = (code, signal) => `status code=${code ?? 'none'} signal=${signal ?? 'none'}`;

/** Starts the helper, feeds it, takes everything in. */
function capture(cp, args, { input, file = HELPER, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const stdio = [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'];
    const child = cp.spawn(file, args, { stdio, ...options });
    const chunks = { stdout: [], stderr: [] };
    for (const name of ['stdout', 'stderr']) child[name].on('data', (chunk) => chunks[name].push(chunk));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      resolve({ code, signal, stdout: Buffer.concat(chunks.stdout), stderr: Buffer.concat(chunks.stderr) });
    });
    child.stdin?.on('error', () => {}).end(input);
  });
}

async function failure(log, start) {
  try {
    await start();
    log('succeeded');
  } catch (error) {
    log(error.code.startsWith('ERR_INVALID_ARG') ? 'error kind=INVALID_ARGUMENT' : `error errno=${error.code}`);
  }
}

const run = (...args) => async (cp, log) => {
  const { code, signal, stdout, stderr } = await capture(cp, ...args);
  log(statusFact(code, signal));
  log(textFact('stdout', stdout));
  if (args[1]?.quiet !== true) log(textFact('stderr', stderr));
};

const brief = (...args) => run(args[0], { ...args[1], quiet: true });

async function bigOutput(cp, log) {
  const { code, signal, stdout, stderr } = await capture(cp, ['flood', '8388608', '1']);
  log(statusFact(code, signal));
  log(bytesFact('stdout', stdout));
  log(textFact('stderr', stderr));
}

async function bothPipesFull(cp, log) {
  const input = Buffer.alloc(5242880, 'abcdefghijklmnopqrstuvwxyz');
  const { code, signal, stdout, stderr } = await capture(cp, ['stderr-then-stdout', '204800', '10', '204800'], { input });
  log(statusFact(code, signal));
  log(bytesFact('stdout', stdout));
  log(bytesFact('stderr', stderr));
}

async function notExecutable(cp, log, folder) {
  const plain = path.join(folder, 'plain');
  fs.writeFileSync(plain, '#!/bin/true\n', { mode: 0o644 });
  await failure(log, () => capture(cp, [], { file: plain }));
  await failure(log, () => capture(cp, [], { file: folder }));
}

async function noexecFormat(cp, log, folder) {
  const file = path.join(folder, 'noshebang');
  fs.writeFileSync(file, 'echo pwned\n');
  fs.chmodSync(file, 0o755);
  await failure(log, () => capture(cp, [], { file }));
}

async function nulArgument(cp, log) {
  await failure(log, () => capture(cp, ['echo', 'a\0b']));
  await failure(log, () => capture(cp, ['echo', 'hi'], { env: { ...process.env, BAD: 'a\0b' } }));
  await failure(log, () => capture(cp, ['echo', 'hi'], { env: { ...process.env, 'A=B': 'c' } }));
}

async function envClear(cp, log) {
  for (const env of [{}, { A: '1' }]) log(textFact('stdout', (await capture(cp, ['env'], { env })).stdout));
}

async function envSet(cp, log) {
  const { SCENARIO_REMOVE, ...env } = { ...process.env, SCENARIO_KEEP: 'kept', SCENARIO_REMOVE: 'removed' };
  Object.assign(env, { SCENARIO_SET: 'two words', SCENARIO_EMPTY: '', SCENARIO_UTF8: 'é' });
  const names = ['SET', 'EMPTY', 'UTF8', 'KEEP', 'REMOVE'].map((name) => `SCENARIO_${name}`);
  await brief(['env', ...names], { env })(cp, log);
}

async function missingCwd(cp, log, folder) {
  await failure(log, () => capture(cp, ['echo', 'hi'], { cwd: path.join(folder, 'missing') }));
  await failure(log, () => capture(cp, ['echo', 'hi'], { cwd: HELPER }));
}

async function limitError(cp, log) {
  await new Promise((resolve) => {
    cp.execFile(HELPER, ['flood', '67108864', '1'], { maxBuffer: 65536, encoding: 'buffer' }, (error, stdout) => {
      log(`flag limit_exceeded=${error.code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER'}`);
      log(bytesFact('stdout', stdout));
      resolve();
    });
  });
}

const timeout = (...args) => async (cp, log) => {
  await new Promise((resolve) => {
    cp.execFile(HELPER, args, { timeout: 2000 * SLOW }, (error, stdout) => {
      log(`flag timed_out=${error.killed}`);
      log(textFact('stdout', stdout));
      resolve();
    });
  });
};

const lines = (args, shown) => async (cp, log) => {
  const child = cp.spawn(HELPER, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const end = new Promise((resolve) => child.on('close', (...status) => resolve(status)));
  const all = [];
  for await (const line of createInterface({ input: child.stdout })) all.push(line);
  log(`flag lines=${all.length}`);
  for (const index of shown) {
    const line = all[index];
    log(line.length > 1000 ? bytesFact(`line index=${index}`, line) : textFact(`line index=${index}`, line));
  }
  log(statusFact(...await end));
};

function ended(cp, args, options) {
  const child = cp.spawn(HELPER, args, { stdio: 'ignore', ...options });
  return { child, end: new Promise((resolve) => child.on('close', (...status) => resolve(status))) };
}

async function wait(cp, log) {
  const { child, end } = ended(cp, ['exit', '9']);
  log(`flag pid_positive=${child.pid > 0}`);
  log(statusFact(...await end));
  log(statusFact(child.exitCode, child.signalCode));
}

async function kill(cp, log) {
  const { child, end } = ended(cp, ['sleep', '60']);
  child.kill('SIGKILL');
  log(statusFact(...await end));
}

async function nullStreams(cp, log, folder) {
  const list = path.join(folder, 'list');
  log(statusFact(...await ended(cp, ['fds', list]).end));
  log(textFact('file', fs.readFileSync(list)));
}

async function toFile(cp, log, folder) {
  const file = path.join(folder, 'out');
  for (const [word, mode] of [['one', 'w'], ['two', 'a']]) {
    const fd = fs.openSync(file, mode);
    const { end } = ended(cp, ['echo', word], { stdio: ['ignore', fd, 'inherit'] });
    fs.closeSync(fd);
    log(statusFact(...await end));
  }
  log(textFact('file', fs.readFileSync(file)));
}

async function argv0(cp, log) {
  const { code, signal, stdout } = await capture(cp, ['argv0'], { argv0: 'other name' });
  log(textFact('stdout', stdout));
  log(statusFact(code, signal));
}

const CONTROLS = String.fromCharCode(...Array.from({ length: 31 }, (_, index) => index + 1));

module.exports.cases = !HELPER ? {} : {
  'run-echo': run(['echo', 'hello world']),
  'run-exit-code': run(['fail', '3', '', 'went wrong\n']),
  'run-signal-death': brief(['die', 'SIGTERM']),
  'run-input-filter': brief(['upper'], { input: 'one two\nthree\n' }),
  'run-big-output': bigOutput,
  'run-both-pipes-full': bothPipesFull,
  'run-missing-program': async (cp, log, folder) => {
    await failure(log, () => capture(cp, [], { file: 'procs-no-such-program' }));
    await failure(log, () => capture(cp, [], { file: path.join(folder, 'missing/program') }));
  },
  'run-missing-cwd': missingCwd,
  'run-not-executable': notExecutable,
  'run-noexec-format': noexecFormat,
  'run-empty-program': (cp, log) => failure(log, () => capture(cp, [], { file: '' })),
  'run-nul-argument': nulArgument,
  'run-env-clear': envClear,
  'run-env-set': envSet,
  'run-cwd': (cp, log, folder) => {
    fs.mkdirSync(path.join(folder, 'inner'));
    return brief(['cwd', 'name'], { cwd: path.join(folder, 'inner') })(cp, log);
  },
  'run-timeout': timeout('say', 'before\n', '30'),
  'run-limit-error': limitError,
  'run-stdin-null': brief(['count']),
  'run-shell': brief([], {
    file: '"$SCENARIO_HELPER" echo one | "$SCENARIO_HELPER" upper; exit 5',
    shell: true,
    env: { ...process.env, SCENARIO_HELPER: HELPER },
  }),
  'run-args-bytes': brief(['argv', '', ' ', '$(id)', ';', 'a\nb', "'", '"', '\\', '*', '-rf', '--', CONTROLS, 'é€😀']),
  'stream-lines': lines(['lines', '1000'], [0, 999]),
  'stream-long-line': lines(['line', '5000000'], [0, 1]),
  'stream-no-final-newline': lines(['print', 'a\\n\\nb'], [0, 1, 2]),
  'spawn-wait': wait,
  'spawn-kill': kill,
  'spawn-null-streams': nullStreams,
  'spawn-to-file': toFile,
  'spawn-argv0': argv0,
};
