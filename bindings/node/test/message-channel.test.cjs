'use strict';

// Channels: two ends here, children in Node and Python, calls, ends, descriptors.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const test = require('node:test');
const { Worker } = require('node:worker_threads');
const procs = require('..');

const { Channel, spawn } = procs;
const LONG = { timeout: 60_000 };
const HOME = JSON.stringify(path.join(__dirname, '..'));
const PYTHON = path.join(__dirname, '..', '..', '..', '.venv', 'bin', 'python');

/** A Node child with a channel, which runs `code` with `channel` and `procs` defined. */
function child(code, options = {}) {
  const text = `const procs = require(${HOME}); const channel = procs.parentChannel(${JSON.stringify(options)});${code}`;
  return spawn(process.execPath, ['-e', text], { channel: options, stdio: 'inherit' });
}

const ECHO = "channel.on('message', (value, { buffers, fds }) => channel.send(value, { buffers, fds }));";

function kind(expected) {
  return (error) => error instanceof procs.ProcsError && error.kind === expected;
}

test('values go both ways, in order, and everything sent arrives', async () => {
  const values = [null, true, 1, -1.5, 'ä€𝄞', [1, [2]], { a: { b: [] } }, 'x'.repeat(300_000)];
  const other = child(ECHO);
  for (const value of values) {
    other.channel.send(value);
    assert.deepEqual(await other.channel.recv(LONG), value);
  }
  for (let index = 0; index < 1000; index++) other.channel.send(index);
  for (let index = 0; index < 1000; index++) assert.equal(await other.channel.recv(LONG), index);
  other.channel.close();
  assert.deepEqual(await once(other, 'exit'), [0, null]);
});

test('what was sent before the exit arrives, then the end', async () => {
  const other = child('for (let index = 0; index < 2000; index++) channel.send(index);');
  const seen = [];
  const closed = once(other.channel, 'close');
  for await (const value of other.channel) seen.push(value);
  assert.deepEqual(seen, Array.from({ length: 2000 }, (_, index) => index));
  await closed;
  await assert.rejects(other.channel.recv(LONG), kind('CLOSED'));
  assert.throws(() => other.channel.send(1), kind('INVALID_STATE'));
  if (other.exitCode === null) await once(other, 'exit');
});

test('the events of a channel', async () => {
  const [here, there] = Channel.pair();
  assert.equal(here.codec, 'json');
  const seen = [];
  here.on('message', (value, message) => seen.push([value, message.codec, message.body]));
  const closed = once(here, 'close');
  there.send({ a: 1 });
  there.send('two');
  there.close();
  await closed;
  assert.deepEqual(seen, [[{ a: 1 }, 'json', '{"a":1}'], ['two', 'json', '"two"']]);
  assert.ok(here.closed && there.closed);
});

test('bytes, buffers and v8', async () => {
  const [here, there] = Channel.pair({ codec: 'v8' });
  const value = new Map([[1, new Set([2n])], ['d', new Date(5)], ['b', Buffer.from('x')]]);
  here.send(value);
  assert.deepEqual((await there.recv(LONG)).get(1), new Set([2n]));
  const large = Buffer.alloc(3_000_000, 'large');
  for (const size of [0, 1, 70_000, 3_000_000]) {
    there.send(large.subarray(0, size), { codec: 'raw', buffers: [Buffer.from('one'), large] });
    const message = await here.recv({ ...LONG, message: true });
    assert.equal(message.codec, 'raw');
    assert.ok(message.value.equals(large.subarray(0, size)));
    assert.equal(String(message.buffers[0]), 'one');
    assert.ok(message.buffers[1].equals(large));
  }
  here.close();
  there.close();
});

test('a codec that was not chosen ends the channel', async () => {
  const [here, there] = Channel.pair();
  there.send({ a: 1 }, { codec: 'v8' });
  await assert.rejects(here.recv(LONG), kind('PROTOCOL'));
  here.close();
  there.close();
});

test('descriptors travel', async () => {
  const other = child(`channel.on('message', (value, { fds }) => {
    require('node:fs').writeSync(fds[0], 'through'); require('node:fs').closeSync(fds[0]); channel.send('done'); channel.close(); });`);
  const ended = once(other, 'exit');
  const server = net.createServer().listen(0);
  await once(server, 'listening');
  const client = net.connect(server.address().port);
  const [accepted] = await once(server, 'connection');
  other.channel.send('take', { fds: [accepted._handle.fd] });
  assert.equal(await other.channel.recv(LONG), 'done');
  accepted.destroy();
  const [bytes] = await once(client, 'data');
  assert.equal(String(bytes), 'through');
  client.destroy();
  server.close();
  assert.deepEqual(await ended, [0, null]);
  const [here, there] = Channel.pair();
  assert.throws(() => here.send(1, { fds: [98765] }));
  here.close();
  there.close();
});

test('a sender that is too fast is told, nothing is lost, and there is a limit', async () => {
  const [here, there] = Channel.pair({ maxQueuedBytes: 3_000_000 });
  const text = 'x'.repeat(100_000);
  let sent = 0;
  const told = [];
  while (here.send(text, (error) => told.push(error))) sent++;
  sent++;
  assert.throws(() => { for (;;) { here.send(text, (error) => told.push(error)); sent++; } }, kind('WOULD_BLOCK'));
  const drained = once(here, 'drain');
  for (let index = 0; index < sent; index++) assert.equal((await there.recv(LONG)).length, 100_000);
  await drained;
  assert.deepEqual(told, Array(sent).fill(null));
  assert.equal(here.queuedMessages, 0);
  here.close();
  await assert.rejects(there.recv(LONG), kind('CLOSED'));
});

test('large values stay as they came while their memory is used again', async () => {
  for (const codec of ['raw', 'json', 'v8']) {
    const [here, there] = Channel.pair({ codec });
    const kept = [];
    for (let round = 0; round < 150; round++) {
      const [size, letter] = [256 * 1024 + (round % 30) * 30_000, 'abcdefghijk'[round % 11]];
      const text = letter.repeat(size);
      here.send(codec === 'json' ? text : Buffer.from(text));
      const value = await there.recv(LONG);
      assert.equal(value.length, size);
      if (round % 10 === 0) kept.push([value, letter]);
    }
    for (const [value, letter] of kept) assert.equal(String.prototype.replaceAll.call(Buffer.from(value).latin1Slice(), letter, ''), '', codec);
    here.close();
    there.close();
  }
});

test('close after a full queue loses nothing', async () => {
  const [here, there] = Channel.pair();
  const text = 'y'.repeat(200_000);
  for (let index = 0; index < 50; index++) here.send(text);
  here.close();
  let count = 0;
  for await (const value of there) count += value === text;
  assert.equal(count, 50);
});

test('waits end by time and by signal', async () => {
  const [here, there] = Channel.pair();
  await assert.rejects(here.recv({ timeout: 10 }), kind('TIMEOUT'));
  await assert.rejects(here.recv({ signal: AbortSignal.timeout(10) }), { name: 'AbortError', code: 'ABORT_ERR' });
  await assert.rejects(here.recv({ signal: AbortSignal.abort() }), { name: 'AbortError' });
  there.send('still');
  assert.equal(await here.recv(LONG), 'still');
  const waits = here.recv();
  here.close();
  await assert.rejects(waits, kind('CLOSED'));
  there.close();
});

test('wrong arguments', () => {
  const [here, there] = Channel.pair();
  assert.throws(() => here.send(undefined), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => here.send(1, { codec: 'pickle' }), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => here.send(1, { buffers: [5] }), { code: 'ERR_INVALID_ARG_TYPE', message: /buffers\[0\]/ });
  for (const bad of [5, true, {}, 'text', Buffer.from('ab'), new ArrayBuffer(2)]) {
    assert.throws(() => here.send(1, { buffers: bad }), { code: 'ERR_INVALID_ARG_TYPE', message: /options\.buffers/ });
    assert.throws(() => here.send(1, { fds: bad }), { code: 'ERR_INVALID_ARG_TYPE', message: /options\.fds/ });
  }
  assert.throws(() => here.send(1, 5), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => Channel.pair({ codec: 'yaml' }), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => Channel.pair({ maxMessage: -1 }), { code: 'ERR_OUT_OF_RANGE' });
  assert.throws(() => Channel.pair({ maxFds: 300 }), { code: 'ERR_OUT_OF_RANGE' });
  assert.throws(() => new Channel(), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => procs.parentChannel(), kind('NOT_FOUND'));
  assert.throws(() => spawn('true', [], { channel: true, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] }), { code: 'ERR_INVALID_ARG_VALUE' });
  here.close();
  there.close();
  assert.throws(() => here.send(1), kind('INVALID_STATE'));
});

const SERVER = `channel.serve(async (value) => {
  if (value === 'many') return (async function* () { for (let index = 0; index < 100; index++) yield index * index; })();
  if (value === 'slow') return new Promise((resolve) => setTimeout(resolve, 60_000).unref());
  if (value === 0) throw new RangeError('zero');
  return { answer: 10 / value };
}).then(() => { process.exitCode = 5; });`;

test('calls are answered and failures are told', async () => {
  const other = child(SERVER);
  const { channel } = other;
  const answers = await Promise.all([1, 2, 5].map((value) => channel.call(value, LONG)));
  assert.deepEqual(answers, [{ answer: 10 }, { answer: 5 }, { answer: 2 }]);
  await assert.rejects(channel.call(0, LONG), (error) => kind('TASK_FAILED')(error) && error.remoteType === 'RangeError' && /zero/.test(error.message));
  const parts = [];
  for await (const part of channel.callStream('many')) parts.push(part);
  assert.deepEqual(parts, Array.from({ length: 100 }, (_, index) => index * index));
  for await (const part of channel.callStream('many')) if (part > 50) break;
  await assert.rejects(channel.call('slow', { timeout: 50 }), kind('TIMEOUT'));
  await assert.rejects(channel.call('slow', { signal: AbortSignal.timeout(50) }), { name: 'AbortError' });
  const lost = channel.call('slow', LONG);
  const exit = once(other, 'exit');
  other.kill('SIGKILL');
  await assert.rejects(lost, kind('CLOSED'));
  assert.deepEqual(await exit, [null, 'SIGKILL']);
  channel.close();
});

test('calls and replies carry buffers and descriptors', async () => {
  const [here, there] = Channel.pair();
  const served = there.serve((value, request) => {
    assert.deepStrictEqual(request.buffers.map(String), ['one', 'two']);
    const text = fs.readFileSync(request.fds[0], 'utf8');
    fs.closeSync(request.fds[0]);
    const fd = fs.openSync('/proc/self/comm');
    const reply = request.reply({ value, text }, { buffers: [Buffer.alloc(1 << 20, 'b'), new Uint8Array([1, 2])], fds: [fd] });
    setImmediate(() => fs.closeSync(fd));
    return reply;
  });
  const fd = fs.openSync('/proc/self/comm');
  const message = await here.call('asked', { buffers: [Buffer.from('one'), Buffer.from('two')], fds: [fd], message: true });
  fs.closeSync(fd);
  const comm = fs.readFileSync('/proc/self/comm', 'utf8');
  assert.deepStrictEqual(message.value, { value: 'asked', text: comm });
  assert.deepStrictEqual(message.buffers.map((buffer) => buffer.length), [1 << 20, 2]);
  assert.strictEqual(message.buffers[0].toString('latin1', (1 << 20) - 3), 'bbb');
  assert.strictEqual(fs.readFileSync(message.fds[0], 'utf8'), comm);
  fs.closeSync(message.fds[0]);
  assert.throws(() => here.callStream(1, { buffers: [5] }), { code: 'ERR_INVALID_ARG_TYPE' });
  here.close();
  await served;
});

test('parts of a reply wait for the caller without a thread, and carry buffers', async () => {
  const [here, there] = Channel.pair();
  const threads = () => fs.readdirSync('/proc/self/task').length;
  let made = 0;
  const served = there.serve(async function* parts(count, request) {
    for (; made < count; made++) yield request.reply(made, { buffers: [Buffer.from([made & 255])] });
  });
  const streams = [];
  await here.call(0);
  const before = threads();
  for (let index = 0; index < 4; index++) streams.push(here.callStream(1000, { message: true }));
  for (const stream of streams) await stream.next();
  // Every handler waits for its caller now.
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  assert.ok(threads() <= before, `${threads()} threads, ${before} before`);
  let last = -1;
  for await (const message of streams[0]) {
    assert.ok(message.value > last);
    last = message.value;
    assert.strictEqual(message.buffers[0][0], last & 255);
  }
  for (const stream of streams.slice(1)) await stream.return();
  here.close();
  await served;
});

test('calls keep their place among messages, also when the other side is slow', async () => {
  const [here, there] = Channel.pair({ ringBytes: 4096 });
  const order = [];
  const sent = [];
  const calls = [];
  for (let index = 0; index < 60; index++) {
    sent.push(index);
    if (index % 3 === 0) here.send({ index, text: 'x'.repeat(500) });
    else if (index % 3 === 1) calls.push(here.call({ index, text: 'y'.repeat(500) }));
    else calls.push((async (stream) => { for await (const part of stream) return part; })(here.callStream({ index, text: 'z'.repeat(500) })));
  }
  assert.ok(here.queuedMessages > 0);
  // Messages and calls come to two places: what counts is the order that they are told in to somebody who takes both at once.
  there.on('message', ({ index }) => order.push(index));
  const served = there.serve(({ index }) => { order.push(index); return index; });
  const replies = await Promise.all(calls);
  assert.deepStrictEqual(replies, sent.filter((index) => index % 3 !== 0));
  for (const kind of [0, 1]) {
    const own = (list) => list.filter((index) => (index % 3 === 0) === (kind === 0));
    assert.deepStrictEqual(own(order), own(sent));
  }
  here.close();
  await served;
});

test('both sides call each other', async () => {
  const [here, there] = Channel.pair();
  const ends = [here.serve((value) => value + 1), there.serve(async (value) => (await there.call(value)) * 2)];
  assert.equal(await here.call(20, LONG), 42);
  here.close();
  there.close();
  await Promise.all(ends);
});

test('a killed child is noticed', async () => {
  for (let round = 0; round < 3; round++) {
    const other = child("channel.send('up'); channel.on('message', () => {});");
    assert.equal(await other.channel.recv(LONG), 'up');
    const end = other.channel.recv(LONG);
    const exit = once(other, 'exit');
    other.kill('SIGKILL');
    await assert.rejects(end, kind('CLOSED'));
    assert.deepEqual(await exit, [null, 'SIGKILL']);
  }
});

test('an unreferenced channel lets the loop end, a referenced one does not', async () => {
  const free = child("channel.on('message', () => {}); channel.unref(); process.on('exit', () => { process.exitCode = 3; });");
  assert.deepEqual(await once(free, 'exit'), [3, null]);
  free.channel.close();
  const idle = child('void channel;');
  assert.deepEqual(await once(idle, 'exit'), [0, null]);
  idle.channel.close();
  const held = child("channel.on('message', () => channel.close()); channel.send('up');");
  assert.equal(await held.channel.recv(LONG), 'up');
  held.channel.send('end');
  assert.deepEqual(await once(held, 'exit'), [0, null]);
  held.channel.close();
});

test('the end can be passed on as a descriptor, and used by a worker thread', async () => {
  const [here, there] = Channel.pair();
  const fd = there.detach();
  const worker = new Worker(`const procs = require(${HOME}); const channel = procs.Channel.fromFd(require('node:worker_threads').workerData);
    channel.on('message', (value) => channel.send(value * 2));`, { eval: true, workerData: fd });
  here.send(21);
  assert.equal(await here.recv(LONG), 42);
  const ended = once(worker, 'exit');
  here.close();
  await ended;
  fs.closeSync(fd);
});

test('a child in Python', { skip: !fs.existsSync(PYTHON) && 'there is no .venv' }, async () => {
  const code = `import procs
with procs.parent_channel() as channel:
    channel.send({'twice': channel.recv()['value'] * 2})
    channel.serve(lambda value: [value, 'served'])`;
  const other = spawn(PYTHON, ['-c', code], { channel: true, stdio: 'inherit' });
  other.channel.send({ value: 21 });
  assert.deepEqual(await other.channel.recv(LONG), { twice: 42 });
  assert.deepEqual(await other.channel.call('x', LONG), ['x', 'served']);
  other.channel.close();
  assert.deepEqual(await once(other, 'exit'), [0, null]);
});

test('the channel of a child that does not start has ended', async () => {
  const other = spawn('procs-no-such-program', [], { channel: true });
  const { channel } = other;
  const failed = once(other, 'error');
  const ended = once(channel, 'close');
  const gone = { kind: 'CLOSED', code: 'EPIPE' };
  assert.ok(channel instanceof Channel);
  assert.deepEqual([channel.closed, channel.fd, channel.queuedMessages], [true, -1, 0]);
  assert.throws(() => channel.send({ a: 1 }), gone);
  assert.throws(() => channel.callStream('x'), gone);
  const told = new Promise((resolve) => { assert.equal(channel.send({ a: 1 }, resolve), false); });
  await Promise.all([
    ...[channel.recv(), channel.recv(LONG), channel.call('x')].map((promise) => assert.rejects(promise, gone)),
    channel.serve(() => {}),
    ended,
    told.then((error) => assert.equal(error.kind, 'CLOSED')),
    failed.then(([error]) => assert.equal(error.code, 'ENOENT')),
  ]);
  for await (const value of channel) assert.fail(`nobody sent ${value}`);
  channel.close();
  assert.equal(channel.unref().ref().closed, true);
});

test('without descriptors, too, a child that does not start has a channel that has ended', async () => {
  const code = `const fs = require('node:fs');
    const { spawn } = require(${HOME});
    const start = (file) => spawn(file, [], { channel: true, stdio: 'ignore' }).on('error', (error) => console.log(error.code)).channel.closed;
    const loaded = start('procs-no-such-program');
    try { for (;;) fs.openSync('/dev/null'); } catch { /* None is left. */ }
    console.log(loaded, start('true'));`;
  const { stdout } = await procs.run(process.execPath, ['-e', code], { limits: { noFile: 64 }, ...LONG });
  assert.deepEqual(stdout.trim().split('\n').sort(), ['EMFILE', 'ENOENT', 'true true']);
});
