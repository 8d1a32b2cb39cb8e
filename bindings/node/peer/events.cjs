'use strict';

// Events, their order, and the state of a child around them.

const { subscribe, unsubscribe } = require('node:diagnostics_channel');

/** Logs every event of a child and its streams; resolves at the last one. */
function watch(child, log) {
  const state = () => `exitCode=${child.exitCode} signalCode=${child.signalCode} killed=${child.killed}`;
  for (const name of ['spawn', 'exit', 'close']) child.on(name, (...args) => log(name, args, state()));
  child.on('error', (error) => log('error', error.message, error.code, error.errno, error.syscall, error.path, error.spawnargs, error.name, state()));
  return new Promise((resolve) => {
    child.on('close', resolve);
    child.on('error', () => { if (child.pid === undefined && !child.stdio) resolve(); });
  });
}

function text(stream) {
  let all = '';
  stream.setEncoding('utf8').on('data', (chunk) => { all += chunk; });
  return () => all;
}

async function ended(cp, log, ...args) {
  const child = cp.spawn(...args);
  const out = child.stdout && text(child.stdout);
  const err = child.stderr && text(child.stderr);
  log('pid', typeof child.pid, child.connected, child.spawnfile, child.spawnargs);
  await watch(child, log);
  log('output', out?.(), err?.());
  log('after', child.kill(), child.killed, child.stdin?.destroyed, child.stdout?.destroyed);
}

const sh = (script, options) => ['sh', ['-c', script], options];

const ENDS = {
  'an empty working directory': ['true', [], { cwd: '' }],
  'exit 0': sh('exit 0'),
  'exit 7 with output': sh('echo out; echo err >&2; exit 7'),
  'death by signal': sh('kill -9 $$'),
  'death by SIGTERM': sh('kill -15 $$'),
  'missing program': ['procs-no-such-program', ['a', 'b']],
  'missing program in a folder': ['/no/such/program'],
  'missing folder': ['true', [], { cwd: '/no/such/folder' }],
  'a folder as program': ['/'],
  'not executable': ['/etc/passwd', ['x']],
  'stdio ignore': sh('echo unseen', { stdio: 'ignore' }),
  'shell option': ['echo $0 one && exit 3', [], { shell: true }],
  'shell by name': ['echo $0', ['two words'], { shell: '/bin/bash' }],
  argv0: ['sh', ['-c', 'echo $0'], { argv0: 'other' }],
  'argv0 seen': ['cat', ['/proc/self/cmdline'], { argv0: 'renamed' }],
  'working directory': ['pwd', [], { cwd: '/usr' }],
  'working directory as URL': ['pwd', [], { cwd: new URL('file:///usr/lib') }],
  'relative program after chdir': ['./sh', ['-c', 'echo found'], { cwd: '/bin' }],
  environment: ['/usr/bin/env', [], { env: { A: '1', B: 'two', C: undefined, D: null, E: 5, 'X=Y': 'z' } }],
  'empty environment': ['/usr/bin/env', [], { env: {} }],
  'PATH of the environment': ['ls-of-mine', [], { env: { PATH: '/no/such' } }],
  'program without a line for the loader': ['./script-without-interpreter', ['one', 'two']],
  'numbers as arguments': ['echo', [1, true, 'x']],
  detached: ['sh', ['-c', 'test "$(ps -o pgid= -p $$ | tr -d " ")" = $$ && echo leads'], { detached: true }],
  'no null bytes in the arguments': ['printf', ['%s', 'é€😀 \u0001']],
};

async function killed(cp, log, ...signals) {
  const child = cp.spawn('sleep', ['30']);
  const done = watch(child, log);
  await new Promise((resolve) => child.once('spawn', resolve));
  for (const signal of signals) log('kill', signal, child.kill(signal), child.killed);
  await done;
  log('again', child.kill(), child.kill(0), child.killed);
}

async function aborted(cp, log, when) {
  const controller = new AbortController();
  if (when === 'before') controller.abort(new Error('no'));
  const child = cp.spawn('sleep', ['30'], { signal: controller.signal, killSignal: 'SIGKILL' });
  child.on('error', (error) => log('cause', error.cause?.message, error.code, error.name, error.message));
  const done = watch(child, log);
  if (when === 'later') setTimeout(() => controller.abort(), 20);
  if (when === 'after') {
    child.kill();
    child.on('exit', () => controller.abort());
  }
  await done;
}

async function timedOut(cp, log, options) {
  await watch(cp.spawn('sleep', ['30'], { timeout: 50, ...options }), log);
}

/** Nobody listens to the output: it is drained and 'close' comes. */
async function unread(cp, log) {
  const child = cp.spawn('sh', ['-c', 'head -c 30000 /dev/zero']);
  await watch(child, log);
}

async function closeWaitsForStreams(cp, log) {
  const child = cp.spawn('sh', ['-c', '(sleep 0.2; echo late) & echo early']);
  const out = text(child.stdout);
  await watch(child, log);
  log('output', out());
}

async function stdinClosed(cp, log) {
  const child = cp.spawn('sh', ['-c', 'exec 0<&-; echo closed; read line <&3'], { stdio: ['pipe', 'pipe', 'pipe', 'pipe'] });
  child.stdin.on('error', (error) => {
    log('stdin', error.code, error.syscall);
    child.stdio[3].end('go\n');
  });
  child.stdout.once('data', () => child.stdin.write('x'.repeat(100)));
  await watch(child, log);
}

async function failedStartStreams(cp, log) {
  const child = cp.spawn('procs-no-such-program');
  log('streams', child.stdio.length, child.pid, child.stdio.every((stream) => stream.constructor.name === 'Socket'));
  child.stdin.on('error', () => {});
  child.stdin.end('input nobody reads');
  const out = text(child.stdout);
  await watch(child, log);
  log('output', out());
}

async function disposed(cp, log) {
  const child = cp.spawn('sleep', ['30']);
  const done = watch(child, log);
  const symbol = Symbol.dispose ?? Object.getOwnPropertySymbols(cp.ChildProcess.prototype)[0];
  child[symbol]();
  await done;
}

async function byHand(cp, log) {
  const child = new cp.ChildProcess();
  log('fields', child.exitCode, child.signalCode, child.killed, child.connected, child.spawnfile, child.pid);
  const result = child.spawn({ file: 'sh', args: ['sh', '-c', 'echo $A; exit 2'], envPairs: ['A=by hand'], stdio: 'pipe', cwd: '/' });
  log('result', result, child.spawnfile, child.spawnargs);
  const out = text(child.stdout);
  await watch(child, log);
  log('output', out());
}

/** What is passed to those who wrap the method of the prototype, as tools that follow children do. */
async function wrapped(cp, log) {
  const { spawn } = cp.ChildProcess.prototype;
  const seen = [];
  cp.ChildProcess.prototype.spawn = function wrapper(options) {
    const { file, args, cwd, detached, windowsHide, windowsVerbatimArguments, envPairs } = options;
    seen.push([file, args, cwd ?? null, detached, windowsHide, windowsVerbatimArguments, envPairs.includes('MARK=1')]);
    options.envPairs.push('ADDED=2');
    return spawn.call(this, options);
  };
  const env = { ...process.env, MARK: '1' };
  try {
    const plain = cp.spawn('sh', ['-c', 'echo $MARK $ADDED']);
    const outputs = [text(plain.stdout)];
    await watch(plain, log);
    for (const options of [{ env }, { env, windowsHide: true, cwd: '/' }, { env, shell: true }]) {
      outputs.push(await new Promise((resolve) => cp.execFile('sh', ['-c', "'echo $ADDED'"], options, (error, out) => resolve(() => out))));
    }
    log('outputs', outputs.map((output) => output()));
  } finally {
    cp.ChildProcess.prototype.spawn = spawn;
  }
  log('seen', seen);
}

async function published(cp, log) {
  const told = [];
  const listen = ({ process: child }) => told.push([child instanceof cp.ChildProcess, child.pid, child.spawnfile]);
  subscribe('child_process', listen);
  try {
    await watch(cp.spawn('true'), log);
    await watch(cp.spawn('procs-no-such-program'), log);
    cp.spawnSync('true');
    await new Promise((resolve) => cp.exec('true', resolve));
  } finally {
    unsubscribe('child_process', listen);
  }
  log('told', told);
}

/** Who first looks at a stream when all is over has missed its events. */
async function lookedAtLate(cp, log) {
  const child = cp.spawn('echo', ['unseen']);
  await watch(child, log);
  for (const name of ['data', 'end', 'close', 'error']) child.stdout.on(name, () => log('late', name));
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
  log('state', child.stdout.destroyed, child.stdout.readable);
}

/** A child does not wait for a reader of what a socket pair of child_process holds. */
async function pausedAtOnce(cp, log) {
  const child = cp.spawn('head', ['-c', '150000', '/dev/zero']);
  child.stdout.pause();
  await watch(child, log);
}

module.exports.cases = {
  ...Object.fromEntries(Object.entries(ENDS).map(([name, args]) => [`spawn: ${name}`, (cp, log) => ended(cp, log, ...args)])),
  'kill by name': (cp, log) => killed(cp, log, 'SIGTERM'),
  'kill by number and lower case': (cp, log) => killed(cp, log, 0, 'sigcont', 9),
  'kill by default': (cp, log) => killed(cp, log, undefined),
  'abort before the start': (cp, log) => aborted(cp, log, 'before'),
  'abort later': (cp, log) => aborted(cp, log, 'later'),
  'abort after the end': (cp, log) => aborted(cp, log, 'after'),
  'timeout of spawn': (cp, log) => timedOut(cp, log, {}),
  'timeout with a kill signal': (cp, log) => timedOut(cp, log, { killSignal: 'SIGKILL' }),
  'output that nobody reads': unread,
  'close waits for the streams': closeWaitsForStreams,
  'writing to a closed stdin': stdinClosed,
  'streams of a failed start': failedStartStreams,
  'dispose kills': disposed,
  'ChildProcess by hand': byHand,
  'a wrapped start': wrapped,
  'told on the diagnostics channel': published,
  'streams looked at late': lookedAtLate,
  'output paused at once': pausedAtOnce,
};
