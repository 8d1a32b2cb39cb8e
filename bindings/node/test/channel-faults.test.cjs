'use strict';

// Faults of channels (D) and of living in a runtime with them (H), by the rows of docs/faults.md, which says what was broken to see each fail.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');
const { Worker } = require('node:worker_threads');
const procs = require('..');
const { FULL, SLOW } = require('./harness.cjs');

const WATCHED = { timeout: SLOW * (FULL ? 3_600_000 : 90_000) };
const PACKAGE = JSON.stringify(path.join(__dirname, '..'));
const { Channel } = procs;

/** A child with a channel that runs this text. */
function start(text, options = true) {
  return procs.spawn(process.execPath, ['-e', `const procs = require(${PACKAGE}); const channel = procs.parentChannel(); ${text}`], { channel: options, stdio: 'inherit' });
}

/** Fewer messages where they would be more than may wait to be sent. */
const within = ([count, size]) => [Math.min(count, Math.floor(200_000_000 / size)), size];

test('D05: what was sent before the exit arrives, whatever its size', WATCHED, async () => {
  for (const [count, size] of FULL ? [...Array(300).keys()].map((run) => [1 + run * 3, 1 << run % 21]).map(within) : [[1, 1 << 20], [1000, 10], [100, 50_000], [7, 300_000]]) {
    const child = start(`for (let index = 0; index < ${count}; index++) channel.send({ index, text: 'x'.repeat(${size}) });`);
    let next = 0;
    child.channel.on('message', ({ index, text }) => assert.deepEqual([index, text.length], [next++, size]));
    await once(child.channel, 'close');
    assert.equal(next, count);
  }
});

test('D06: full, gone and closed are three things', WATCHED, async () => {
  const [here, there] = Channel.pair({ ringBytes: 4096, maxQueuedBytes: 20_000 });
  while (here.send('x'.repeat(1000)));
  assert.throws(() => { for (;;) here.send('x'.repeat(1000)); }, { kind: 'WOULD_BLOCK', code: 'EAGAIN' });
  const [other, gone] = Channel.pair();
  gone.close();
  await once(other.on('message', () => {}), 'close');
  assert.throws(() => other.send('x'), { kind: 'INVALID_STATE' });
  const [third, fourth] = Channel.pair();
  fourth.close();
  const error = await new Promise((resolve) => { assert.equal(third.send('x', resolve), false); });
  assert.equal(error.kind, 'CLOSED');
  assert.throws(() => third.send('x'), { kind: 'CLOSED' });
  for (const end of [here, there, third]) end.close();
});

test('D19: a handler may come late, send, and close in the middle', WATCHED, async () => {
  const [here, there] = Channel.pair();
  for (let index = 0; index < 100; index++) here.send(index);
  await new Promise(setImmediate);
  const got = [];
  let closes = 0;
  there.on('close', () => { closes++; });
  there.on('message', (value) => {
    got.push(value);
    there.send(value);
    if (got.length === 50) there.close();
  });
  const back = [];
  for await (const value of here) back.push(value);
  await new Promise(setImmediate);
  assert.deepEqual(got, [...Array(50).keys()]);
  assert.deepEqual(back, got);
  assert.equal(closes, 1);
});

test('D03: a peer that talks nonsense ends its channel and nothing else', WATCHED, async () => {
  const other = start("channel.on('message', (value) => channel.send(value));");
  for (const nonsense of ['nonsense, and long enough to be the beginning of something', '\\0'.repeat(200), '\\377'.repeat(64)]) {
    const child = procs.spawn('bash', ['-c', `printf '${nonsense}' >&\${PROCS_CHANNEL_FD%%:*}; exec sleep 60`], { channel: { ringBytes: 0 }, stdio: 'inherit' });
    child.channel.on('message', assert.fail);
    const [error] = await once(child.channel, 'error');
    assert.equal(error.kind, 'PROTOCOL', error.message);
    child.kill('SIGKILL');
    other.channel.send('still there');
    assert.equal(await other.channel.recv({ timeout: 30_000 }), 'still there');
  }
  other.channel.close();
  await once(other, 'exit');
});

test('a side that is killed is noticed within 200 ms, and what it sent is whole', WATCHED, async () => {
  const times = [];
  for (let round = 0; round < (FULL ? 100 : 9); round++) {
    const child = start("let next = 0; channel.on('drain', more); function more() { while (channel.send({ index: next++, text: 'x'.repeat(next % 5000) })); } more(); channel.on('message', () => {});");
    let next = 0;
    let wrong = 0;
    let killed;
    child.channel.on('message', ({ index, text }) => {
      if (index !== next || text.length !== (next + 1) % 5000) wrong++;
      if (++next === 200 + round) {
        child.kill('SIGKILL');
        killed = performance.now();
      }
    });
    await once(child.channel, 'close');
    times.push(performance.now() - killed);
    assert.equal(wrong, 0);
  }
  times.sort((a, b) => a - b);
  // A quarter of them: a machine under load may stop this process itself, or the child, for as long.
  const [load, , , runnable] = fs.readFileSync('/proc/loadavg', 'utf8').split(' ');
  const wanted = Math.max(Number(load), parseInt(runnable, 10)) / os.availableParallelism();
  assert.ok(times[times.length >> 2] <= 200 * SLOW * (wanted > 1 ? 3 * wanted : 1), `${times}`);
});

test('H09: a thread is terminated in mid-message', WATCHED, async () => {
  const text = `
const { Channel } = require(${PACKAGE});
const { workerData } = require('node:worker_threads');
const channel = workerData === null ? Channel.pair()[0] : Channel.fromFd(workerData);
channel.on('message', (value) => channel.send(value));
const flood = () => { while (channel.send({ text: 'x'.repeat(3000) })); };
channel.on('drain', flood);
flood();`;
  for (let round = 0; round < (FULL ? 1000 : 20); round++) {
    const [here, there] = Channel.pair();
    const fd = there.detach();
    const worker = new Worker(text, { eval: true, workerData: fd });
    await here.recv();
    for (let index = 0; index < round % 7; index++) here.send(index);
    await worker.terminate();
    fs.closeSync(fd);
    for await (const value of here) assert.equal(typeof value === 'number' || value.text.length === 3000, true);
  }
});

test('H13: a channel that nobody refers to is closed by the collector', WATCHED, async () => {
  const program = `
const { Channel } = require(${PACKAGE});
const open = () => require('node:fs').readdirSync('/proc/self/fd').length;
(async () => {
  for (const end of Channel.pair()) end.close();
  await new Promise(setImmediate);
  const before = open();
  for (let count = 0; count < 20; count++) Channel.pair()[0].send('never read');
  for (let tries = 0; open() > before; tries++) {
    if (tries > 300) throw new Error(open() + ' descriptors, ' + before + ' before');
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
})();`;
  await procs.run(process.execPath, ['--expose-gc', '-e', program], { check: true, timeout: 60_000 });
});

test('H15: process.exit with messages that wait', WATCHED, async () => {
  for (let round = 0; round < (FULL ? 300 : 10); round++) {
    const child = start(`let left = ${1 + round * 13}; for (let index = 0; index < 20000 && left > 0; index++) if (!channel.send({ index, text: 'y'.repeat(2000) })) left--; process.exit(5);`);
    let next = 0;
    child.channel.on('message', ({ index, text }) => assert.deepEqual([index, text.length], [next++, 2000]));
    const exit = once(child, 'exit');
    await once(child.channel, 'close');
    assert.deepEqual(await exit, [5, null]);
    assert.ok(next > 0);
  }
});

test('H16: values are whole, or an error', WATCHED, async () => {
  const [here, there] = Channel.pair();
  const values = [0, -0.5, 2 ** 53, 1e308, '', '\u0000\u2028\ud83d\ude00', '\ud800 alone', null, true, [], {}, { '': [{}] }, [[[[1]]]], { __proto__: null, a: 1 }];
  for (const value of values) {
    here.send(value);
    assert.deepEqual(JSON.stringify(await there.recv()), JSON.stringify(value));
  }
  here.send({ date: new Date(0), nothing: undefined, not: NaN });
  assert.deepEqual(await there.recv(), { date: '1970-01-01T00:00:00.000Z', not: null });
  for (const value of [undefined, () => {}, Symbol('x')]) assert.throws(() => here.send(value), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => here.send(1n), TypeError);
  const circle = {};
  circle.circle = circle;
  assert.throws(() => here.send(circle), TypeError);
  here.send('after');
  assert.equal(await there.recv(), 'after');
  here.close();
  const [from, to] = Channel.pair({ codec: 'v8' });
  const rich = { big: 1n << 70n, date: new Date(5), map: new Map([[{ a: 1 }, new Set([1])]]), bytes: new Uint16Array([1, 65535]), not: NaN, minus: -0, error: /x/gu };
  from.send(rich);
  assert.deepEqual(await to.recv(), rich);
  from.close();
});

// Room for what the runtime does meanwhile, and not for a copy of the message.
const HEADROOM = 380_000_000;
const HEAVY = 400_000_000;
const SENDERS = {
  'text by fork': `
    const child = procs.fork('-', [], { execArgv: ['-r', ${PACKAGE}, '-e', 'process.on("message", (m) => process.send(m.length))'] });
    while (child.channel.wire !== 'native') await new Promise(setImmediate);
    const big = Buffer.alloc(${HEAVY}, 'x').toString('latin1');
    limit();
    const error = await new Promise((resolve) => child.send(big, resolve));
    child.send('after');
    const [got] = await once(child, 'message');
    child.disconnect();
    return [error.code, got];`,
  'bytes beside a value': `
    const [here, there] = procs.Channel.pair();
    const big = Buffer.alloc(${HEAVY});
    limit();
    const error = await new Promise((resolve, reject) => { try { here.send({}, { buffers: [big] }); } catch (error) { resolve(error); } });
    here.send('after');
    return [error.code, (await there.recv()).length];`,
};

for (const [way, body] of Object.entries(SENDERS)) {
  test(`E17: a message that there is no memory for: ${way}`, WATCHED, async () => {
    const program = `
      const procs = require(${PACKAGE});
      const { once } = require('node:events');
      const limit = () => {
        const size = Number(/VmSize:\\s+(\\d+)/.exec(require('node:fs').readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;
        procs.execFileSync('prlimit', ['--pid', String(process.pid), '--as=' + (size + ${HEADROOM})]);
      };
      (async () => { ${body} })().then((told) => { console.log(JSON.stringify(told)); process.exit(); });`;
    const { stdout, stderr, status } = await procs.run(process.execPath, ['-e', program]);
    assert.deepEqual([stdout.trim(), status], ['["ENOMEM",5]', 0], stderr);
  });
}
