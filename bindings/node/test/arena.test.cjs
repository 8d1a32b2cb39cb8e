'use strict';

// Arenas: blocks that are lent to another process, and to a thread, without a copy.

const assert = require('node:assert');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { Worker } = require('node:worker_threads');
const procs = require('..');

const PACKAGE = JSON.stringify(path.join(__dirname, '..'));

test('a block in this process', () => {
  const arena = new procs.Arena(1 << 20);
  const block = arena.alloc(100_000);
  assert.strictEqual(block.length, 100_000);
  assert.strictEqual(block.buffer.length, 100_000);
  block.buffer.fill('ab');
  assert.strictEqual(block.read(1, 4).toString(), 'baba');
  block.write(Buffer.from('xyz'), 2);
  assert.strictEqual(block.buffer.toString('latin1', 0, 6), 'abxyzb');
  assert.strictEqual(block.buffer, block.buffer);
  const second = arena.alloc(10);
  // One ArrayBuffer for the segment, whose blocks are views of it.
  assert.strictEqual(second.buffer.buffer, block.buffer.buffer);
  const words = new Float64Array(block.buffer.buffer, block.buffer.byteOffset, 1000).fill(0.5);
  assert.strictEqual(block.buffer.readDoubleLE(7992), words[999]);
  assert.ok(arena.usedBytes() >= 100_010);
  block.release();
  second.release();
  assert.strictEqual(arena.usedBytes(), 0);
  assert.throws(() => block.place, { kind: 'INVALID_STATE' });
  assert.throws(() => block.write(Buffer.from('x')), { kind: 'INVALID_STATE' });
  block.release();
});

test('bad arguments are named', () => {
  assert.throws(() => new procs.Arena('1'), { code: 'ERR_INVALID_ARG_TYPE', message: /size/ });
  assert.throws(() => new procs.Arena(-1), { code: 'ERR_OUT_OF_RANGE' });
  assert.throws(() => new procs.Arena(0), { code: 'ERR_OUT_OF_RANGE', kind: 'INVALID_ARGUMENT' });
  const arena = new procs.Arena(8192, { maxBytes: 8192 });
  assert.throws(() => arena.alloc(0), { kind: 'INVALID_ARGUMENT' });
  assert.throws(() => arena.alloc(1e9), { kind: 'EXHAUSTED' });
  const block = arena.alloc(10);
  assert.throws(() => block.write(new Uint8Array(11)), { kind: 'INVALID_ARGUMENT' });
  assert.throws(() => block.lend(1e6), { kind: 'INVALID_ARGUMENT' });
  assert.throws(() => arena.attach({}), { message: /place\.segment/ });
  assert.throws(() => procs.Arena.open(0, 0), { kind: /PROTOCOL|PERMISSION_DENIED/ });
});

/** Takes places from its parent, answers sums, and gives blocks back. */
const CHILD = `
const { Arena, parentChannel } = require(${PACKAGE});
const channel = parentChannel();
let arena;
channel.on('message', (value, { fds }) => {
  if (value.seat !== undefined) arena = Arena.open(fds[0], value.seat);
  else if (value.segment) arena.addSegment(fds[0]);
  else if (value.place) {
    const block = arena.attach(value.place);
    let sum = 0;
    for (const byte of block.buffer) sum += byte;
    if (value.keep) globalThis.kept = block;
    else block.release();
    channel.send({ sum });
  }
  for (const fd of fds) require('node:fs').closeSync(fd);
});
`;

test('blocks are lent to a process, without a copy, and taken back when it dies', async () => {
  const arena = new procs.Arena(1 << 20, { maxBytes: 64 << 20 });
  const child = procs.spawn(process.execPath, ['-e', CHILD], { channel: true, stdio: 'inherit' });
  const give = (value, fd) => {
    child.channel.send(value, { fds: [fd] });
    fs.closeSync(fd);
  };
  const seat = arena.seat();
  give({ seat }, arena.segmentFd());
  for (let round = 0; round < 50; round++) {
    const block = arena.alloc(500_000);
    block.buffer.fill(round);
    const place = block.lend(seat);
    assert.throws(() => block.write(Buffer.from('x')), { kind: 'INVALID_STATE' });
    child.channel.send({ place });
    block.release();
    assert.deepStrictEqual(await child.channel.recv(), { sum: 500_000 * round });
  }
  assert.strictEqual(arena.segments, 1, 'the memory was used again');
  assert.deepStrictEqual(arena.owners(), [{ seat, pid: child.pid }]);
  // Another segment.
  const large = arena.alloc(3 << 20);
  assert.strictEqual(arena.segments, 2);
  give({ segment: 1 }, arena.segmentFd(1));
  large.buffer.fill(1);
  child.channel.send({ place: large.lend(seat), keep: true });
  large.release();
  assert.deepStrictEqual(await child.channel.recv(), { sum: 3 << 20 });
  assert.ok(arena.usedBytes() >= 3 << 20);
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.strictEqual(arena.reclaimDead(), 1);
  assert.strictEqual(arena.usedBytes(), 0);
  child.channel.close();
});

test('blocks are lent to a thread', async () => {
  const arena = new procs.Arena(1 << 20);
  const seat = arena.seat();
  const fd = arena.segmentFd();
  const worker = new Worker(`
const { workerData, parentPort } = require('node:worker_threads');
const { Arena } = require(${PACKAGE});
const arena = Arena.open(workerData.fd, workerData.seat);
parentPort.on('message', (place) => {
  if (place === null) return parentPort.close();
  const block = arena.attach(place);
  parentPort.postMessage(block.buffer.toString('latin1', 0, 5));
  block.release();
});`, { eval: true, workerData: { fd, seat } });
  for (const text of ['hello', 'again']) {
    const block = arena.alloc(5);
    block.write(Buffer.from(text));
    worker.postMessage(block.lend(seat));
    block.release();
    assert.deepStrictEqual(await once(worker, 'message'), [text]);
  }
  worker.postMessage(null);
  await once(worker, 'exit');
  fs.closeSync(fd);
  arena.reclaim(seat);
  assert.strictEqual(arena.usedBytes(), 0);
});

test('blocks that nobody refers to are given back by the collector; a buffer keeps its block', async () => {
  const program = `
const { Arena } = require(${PACKAGE});
const arena = new Arena(1 << 20);
let kept = arena.alloc(4096).buffer;
for (let count = 0; count < 100; count++) arena.alloc(4096);
(async () => {
  for (let tries = 0; arena.usedBytes() > 4096; tries++) {
    if (tries > 200) throw new Error('still in use: ' + arena.usedBytes());
    globalThis.gc();
    await new Promise(setImmediate);
  }
  kept.fill(7);
  for (let count = 0; count < 3; count++) { globalThis.gc(); await new Promise(setImmediate); }
  if (arena.usedBytes() !== 4096 || kept[4095] !== 7) throw new Error('the buffer did not keep its block');
  // The mapping outlives arena and block.
  const whole = kept.buffer;
  kept = null;
  await new Promise(setImmediate);
  globalThis.gc();
  new Uint8Array(whole).fill(1);
})();`;
  await procs.run(process.execPath, ['--expose-gc', '-e', program], { check: true, timeout: 60_000 });
});
