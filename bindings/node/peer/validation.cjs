'use strict';

// Bad input: what is refused, with which code and message.

/** Calls a function and says what it threw, or that it did not. */
function refusal(call) {
  try {
    const result = call();
    result?.on?.('error', () => {});
    result?.kill?.();
    return 'accepted';
  } catch (error) {
    return `${error.name} ${error.code} ${error.constructor.name}: ${error.message}`;
  }
}

const WRONG_STRINGS = [undefined, null, 5, 5n, -0, NaN, true, Symbol('s'), {}, [], () => {}, function named() {}, new Date(0), '', 'a\0b', Object.create(null)];
const WRONG_OPTIONS = {
  cwd: [5, true, {}, 'a\0b', Buffer.from('a\0b'), new URL('http://a/b'), []],
  detached: [1, 'yes', {}],
  uid: ['0', 1.5, 2 ** 31, {}, NaN],
  gid: ['0', 1.5, 2 ** 31, {}],
  shell: [1, {}, [], 'a\0b'],
  argv0: [1, {}, 'a\0b'],
  windowsHide: [1, 'x'],
  windowsVerbatimArguments: [1, 'x'],
  timeout: [-1, 1.5, '5', NaN, 2 ** 40 + 0.5, {}],
  killSignal: ['SIGNONE', 500, {}, 1.5, true, 'sigTERMx'],
  signal: [null, 5, 'x', {}, []],
  stdio: ['nonsense', 5, {}, [{}], ['inherit', 'bad'], [Buffer.from('x')], ['ignore', new Date(0)], [true], [() => {}]],
  serialization: ['none', 5],
  env: [{ 'A\0B': '1' }, { A: 'x\0y' }],
};

function* spawnCalls(cp) {
  for (const file of WRONG_STRINGS) yield ['spawn file', () => cp.spawn(file)];
  for (const args of [5, 'x', true, Symbol('s'), () => {}]) yield ['spawn args', () => cp.spawn('true', args)];
  for (const args of [['a\0b'], ['ok', 'x\0']]) yield ['spawn args', () => cp.spawn('true', args)];
  for (const options of [5, 'x', null, [], true, () => {}]) yield ['spawn options', () => cp.spawn('true', [], options)];
  for (const [name, values] of Object.entries(WRONG_OPTIONS)) {
    for (const value of values) yield [`spawn ${name}`, () => cp.spawn('true', [], { [name]: value })];
  }
}

function* syncCalls(cp) {
  for (const file of WRONG_STRINGS) yield ['spawnSync file', () => cp.spawnSync(file)];
  for (const value of [-1, '5', NaN, {}, Symbol('s')]) yield ['spawnSync maxBuffer', () => cp.spawnSync('true', { maxBuffer: value })];
  for (const value of [-1, 1.5, NaN, '1', {}]) yield ['spawnSync timeout', () => cp.spawnSync('true', { timeout: value })];
  for (const value of ['SIGNONE', {}, 900, true]) yield ['spawnSync killSignal', () => cp.spawnSync('true', { killSignal: value })];
  for (const value of [5, {}, [], true, () => {}]) yield ['spawnSync input', () => cp.spawnSync('true', { input: value })];
  for (const stdio of ['nonsense', ['ipc'], [{}], 5, {}]) yield ['spawnSync stdio', () => cp.spawnSync('true', { stdio })];
  yield ['execSync command', () => cp.execSync(5)];
  yield ['execSync command', () => cp.execSync('a\0b')];
  yield ['execFileSync file', () => cp.execFileSync(5)];
  yield ['execFileSync options', () => cp.execFileSync('true', [], 'x')];
}

function* execCalls(cp) {
  for (const command of [undefined, null, 5, {}, 'a\0b']) yield ['exec command', () => cp.exec(command)];
  for (const file of WRONG_STRINGS) yield ['execFile file', () => cp.execFile(file)];
  for (const callback of [5, 'x', {}]) yield ['execFile callback', () => cp.execFile('true', [], {}, callback)];
  for (const options of ['x', 5, true]) yield ['execFile options', () => cp.execFile('true', [], options)];
  for (const name of ['windowsHide', 'windowsVerbatimArguments']) {
    for (const value of [1, 'x', '', null, {}]) yield [`execFile ${name}`, () => typeof cp.execFile('true', { [name]: value }).pid];
  }
  for (const value of [-1, '1', NaN]) yield ['execFile maxBuffer', () => cp.execFile('true', { maxBuffer: value })];
  for (const value of [-1, 1.5, NaN]) yield ['execFile timeout', () => cp.execFile('true', { timeout: value })];
  for (const value of [{}, 'SIGNONE']) yield ['execFile killSignal', () => cp.execFile('true', { killSignal: value })];
  yield ['execFile argv0', () => cp.execFile('true', { argv0: 5 })];
}

function* childCalls(cp) {
  const child = () => new cp.ChildProcess();
  for (const options of [undefined, null, 5, 'x', true, []]) yield ['ChildProcess.spawn', () => child().spawn(options)];
  for (const file of [undefined, null, 5, {}]) yield ['ChildProcess.spawn file', () => child().spawn({ file })];
  for (const args of [5, 'x', {}, null]) yield ['ChildProcess.spawn args', () => child().spawn({ file: 'true', args })];
  for (const envPairs of [null, 5, 'x', {}]) {
    yield ['ChildProcess.spawn envPairs', () => child().spawn({ envPairs, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })];
  }
  yield ['ChildProcess.spawn stdio', () => child().spawn({ file: 'true', stdio: ['ipc', 'ipc'] })];
  for (const serialization of ['x', 5]) yield ['ChildProcess.spawn serialization', () => child().spawn({ file: 'true', serialization })];
  for (const signal of ['x', 500, {}, null, true, 1.5]) {
    yield ['kill', () => {
      const running = cp.spawn('sleep', ['30']);
      try {
        return running.kill(signal) && undefined;
      } finally {
        running.kill('SIGKILL');
      }
    }];
  }
}

function throwing(name) {
  return Object.defineProperty({}, name, { enumerable: true, get() { throw new RangeError(`getter of ${name}`); } });
}

/** An option whose value changes with every look. */
function changing(name, values) {
  let looks = 0;
  return Object.defineProperty({}, name, { enumerable: true, get: () => values[Math.min(looks++, values.length - 1)] });
}

function detached() {
  const bytes = new Uint8Array(8);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  return bytes;
}

function* objectCalls(cp) {
  for (const name of ['cwd', 'env', 'stdio', 'shell', 'uid', 'timeout', 'signal', 'argv0', 'killSignal']) {
    yield [`getter of ${name}`, () => cp.spawn('true', [], throwing(name))];
    yield [`getter of ${name}`, () => cp.spawnSync('true', [], throwing(name)).status];
  }
  yield ['changing cwd', () => cp.spawnSync('pwd', [], changing('cwd', ['/', 5, {}])).stdout.toString()];
  yield ['getter in env', () => cp.spawn('true', [], { env: throwing('NAME') })];
  yield ['proxy as options', () => cp.spawnSync('true', [], new Proxy({ shell: false }, {})).status];
  yield ['throwing proxy as options', () => cp.spawn('true', [], new Proxy({}, { ownKeys() { throw new RangeError('trap'); } }))];
  yield ['proxy as env', () => cp.spawnSync('sh', ['-c', 'echo $A'], { env: new Proxy({ A: 'x', PATH: process.env.PATH }, {}) }).stdout.toString()];
  yield ['proxy as arguments', () => cp.spawnSync('echo', new Proxy(['a', 'b'], {})).stdout.toString()];
  yield ['argument that throws', () => cp.spawn('echo', [{ toString() { throw new RangeError('text'); } }])];
  yield ['symbol as argument', () => cp.spawn('echo', [Symbol('x')])];
  yield ['bigint as argument', () => cp.spawnSync('echo', [2n ** 70n]).stdout.toString()];
  for (const value of [2n ** 70n, 5n]) {
    for (const name of ['uid', 'timeout', 'killSignal', 'maxBuffer']) yield [`bigint as ${name}`, () => cp.spawnSync('true', [], { [name]: value }).status];
  }
  yield ['detached input', () => cp.spawnSync('cat', [], { input: detached() }).stdout.length];
  yield ['shared input', () => cp.spawnSync('cat', [], { input: new Uint8Array(new SharedArrayBuffer(4)).fill(65) }).stdout.toString()];
  yield ['view as input', () => cp.spawnSync('cat', [], { input: new DataView(Buffer.from('abcd').buffer, 0, 0) }).stdout.length];
  yield ['long name', () => cp.spawnSync('x'.repeat(5000)).error.code];
  yield ['long argument', () => cp.spawnSync('true', ['x'.repeat(200_000)]).error.code];
  yield ['many arguments', () => cp.spawnSync('true', new Array(40_000).fill('x')).status];
  yield ['closed descriptor', () => cp.spawnSync('true', [], { stdio: ['ignore', 987, 'ignore'] }).error?.code];
}

/** As `refusal`, with the value of what was accepted. */
function outcome(call) {
  let value;
  const text = refusal(() => { value = call(); return typeof value === 'object' ? value : undefined; });
  return text === 'accepted' && typeof value !== 'object' ? `gives ${String(value)}` : text;
}

module.exports.cases = {
  'bad input: objects that misbehave': (cp, log) => { for (const [name, call] of objectCalls(cp)) log(name, outcome(call)); },
  'bad input of spawn': (cp, log) => { for (const [name, call] of spawnCalls(cp)) log(name, refusal(call)); },
  'bad input of the blocking calls': (cp, log) => { for (const [name, call] of syncCalls(cp)) log(name, refusal(call)); },
  'bad input of exec and execFile': (cp, log) => { for (const [name, call] of execCalls(cp)) log(name, refusal(call)); },
  'bad input of ChildProcess': (cp, log) => { for (const [name, call] of childCalls(cp)) log(name, refusal(call)); },
};
