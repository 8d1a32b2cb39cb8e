'use strict';

// Shared memory: views, cells, locks between processes and worker threads, dead owners, bad input, waits that end early.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { Worker } = require('node:worker_threads');
const procs = require('..');

const { Arena, SharedMemory, spawn } = procs;
const HOME = JSON.stringify(path.join(__dirname, '..'));
const LONG = { timeout: 60_000 };

function kind(expected) {
  return (error) => error instanceof procs.ProcsError && error.kind === expected;
}

/** A child that has the memory as descriptor 3 and runs `code` with `memory` and `say`. */
function child(memory, code) {
  const text = `const procs = require(${HOME}); const memory = procs.SharedMemory.fromFd(3); const say = (text) => process.stdout.write(text);
    (async () => {${code}})();`;
  return spawn(process.execPath, ['-e', text], { stdio: ['ignore', 'pipe', 'inherit', memory.fd] });
}

function worker(memory, code) {
  const text = `const procs = require(${HOME}); const memory = procs.SharedMemory.fromFd(require('node:worker_threads').workerData);
    (async () => {${code}})();`;
  return new Worker(text, { eval: true, workerData: memory.fd });
}

test('bytes go in and out, through the view and through another process', async () => {
  const memory = new SharedMemory(10_000);
  assert.ok(memory.size >= 10_000 && memory.fd > 2 && memory.writable && !memory.readOnly && !memory.closed);
  assert.equal(memory.buffer, memory.buffer);
  const view = new Uint8Array(memory.buffer);
  assert.equal(view.length, memory.size);
  view[5] = 7;
  assert.deepEqual([...memory.read(4, 3)], [0, 7, 0]);
  memory.write(100, 'häl');
  memory.write(104, new Uint16Array([0x4241]));
  assert.equal(String(memory.read(100, 6)), 'häl' + 'AB');
  memory.fill(200, 10, 9);
  assert.ok(view.subarray(200, 210).every((byte) => byte === 9) && view[210] === 0);
  const other = child(memory, "new Uint8Array(memory.buffer)[0] = 42; memory.write(1, 'there');");
  assert.deepEqual(await once(other, 'exit'), [0, null]);
  assert.equal(view[0], 42);
  assert.equal(String(memory.read(1, 5)), 'there');
  memory.close();
  assert.equal(view[0], 42);
  assert.throws(() => memory.read(0, 1), kind('INVALID_STATE'));
});

test('memory that others only read', async () => {
  const memory = new SharedMemory(100, { readOnly: true });
  memory.write(0, 'mine');
  const other = child(memory, `say(String(memory.read(0, 4)) + memory.writable);
    new Uint8Array(memory.buffer)[0] = 0; try { memory.write(0, 'x'); } catch (error) { say(error.constructor.name); }`);
  const [text] = await once(other.stdout, 'data');
  let all = String(text);
  other.stdout.on('data', (more) => { all += more; });
  await once(other, 'close');
  assert.equal(all, 'minefalseProcsError');
  assert.equal(String(memory.read(0, 4)), 'mine');
  memory.close();
});

test('numbers are atomic between processes and threads', async () => {
  const memory = new SharedMemory(4096);
  const code = 'const cell = memory.cell(128); for (let index = 0; index < 20000; index++) cell.fetchAdd();';
  const ends = [1, 2].flatMap(() => [once(child(memory, code), 'exit'), once(worker(memory, code), 'exit')]);
  await Promise.all(ends);
  assert.equal(memory.cell(128).load(), 80_000n);
  const small = memory.cell(136, 'i32');
  small.store(-3);
  assert.deepEqual([small.fetchSub(2), small.load(), small.swap(8), small.compareExchange(7, 1), small.compareExchange(8, 1), small.load()],
    [-3, -5, -5, 8, 8, 1]);
  const wraps = memory.cell(144, 'u32');
  assert.deepEqual([wraps.fetchSub(1), wraps.load()], [0, 4294967295]);
  memory.close();
});

test('a mutex excludes processes, threads and the asynchronous', async () => {
  const memory = new SharedMemory(4096);
  const mutex = memory.mutex(64);
  const code = `const mutex = memory.mutex(64); const view = new BigUint64Array(memory.buffer, 512, 1);
    for (let index = 0; index < 2000; index++) { const guard = mutex.lockSync(60000); view[0] = view[0] + 1n; guard.unlock(); }`;
  const ends = [once(child(memory, code), 'exit'), once(child(memory, code), 'exit'), once(worker(memory, code), 'exit')];
  const view = new BigUint64Array(memory.buffer, 512, 1);
  for (let index = 0; index < 200; index++) {
    const guard = await mutex.lock(LONG);
    assert.equal(guard.ownerDied, false);
    view[0] = view[0] + 1n;
    guard.unlock();
  }
  for (const [code] of await Promise.all(ends)) assert.equal(code, 0);
  assert.equal(view[0], 6200n);
  const guard = mutex.lockSync();
  guard.unlock();
  assert.throws(() => guard.unlock(), kind('INVALID_STATE'));
  memory.close();
});

test('a killed holder of any kind is noticed, by those who block and by those who await', async () => {
  const memory = new SharedMemory(1 << 16);
  const [rwlock, semaphore, once_] = [memory.rwlock(4096), memory.semaphore(12288), memory.once(64)];
  const kinds = {
    write: ['memory.rwlock(4096).writeSync()', () => rwlock.write(LONG), () => rwlock.writeSync(60_000)],
    read: ['memory.rwlock(4096).readSync()', () => rwlock.write(LONG), () => rwlock.writeSync(60_000)],
    semaphore: ['memory.semaphore(12288).acquireSync()', () => semaphore.acquire(LONG), () => semaphore.acquireSync(60_000)],
  };
  for (const [name, [held, awaits, blocks]] of Object.entries(kinds)) {
    for (const wait of [awaits, blocks]) {
      const other = child(memory, `globalThis.held = ${held}; say('held'); setInterval(() => {}, 1000);`);
      await once(other.stdout, 'data');
      const exit = once(other, 'exit');
      // Whoever blocks begins when the holder is dead already; whoever awaits has begun before.
      const waiting = wait === awaits ? wait() : undefined;
      other.kill('SIGKILL');
      await exit;
      const guard = await (waiting ?? wait());
      if (name === 'write') {
        assert.equal(guard.ownerDied, true);
        guard.repair();
      }
      if (name === 'semaphore') semaphore.release();
      else guard.unlock();
    }
  }
  const other = child(memory, "memory.once(64).callOnceSync(() => { say('begun'); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); });");
  await once(other.stdout, 'data');
  let done = 0;
  const turn = once_.callOnce(() => { done++; }, LONG);
  other.kill('SIGKILL');
  await turn;
  assert.equal(done, 1);
  memory.close();
});

test('a killed owner is told, and repair makes it whole', async () => {
  const memory = new SharedMemory(4096);
  const mutex = memory.mutex(64);
  const code = "memory.mutex(64).lockSync(); say('held'); setInterval(() => {}, 1000);";
  const die = async () => {
    const other = child(memory, code);
    await once(other.stdout, 'data');
    assert.equal(mutex.tryLock(), null);
    const waits = mutex.lock(LONG);
    const exit = once(other, 'exit');
    other.kill('SIGKILL');
    await exit;
    return waits;
  };
  const guard = await die();
  assert.equal(guard.ownerDied, true);
  guard.repair();
  guard.unlock();
  const clean = mutex.lockSync(60_000);
  assert.equal(clean.ownerDied, false);
  clean.unlock();
  (await die()).unlock();
  assert.throws(() => mutex.lockSync(60_000), kind('OWNER_DIED'));
  memory.close();
});

test('readers together, a writer alone', async () => {
  const memory = new SharedMemory(8192);
  const lock = memory.rwlock(0);
  const one = lock.readSync();
  const two = await lock.read(LONG);
  assert.equal(lock.tryWrite(), null);
  const writes = lock.write(LONG);
  one.unlock();
  two.unlock();
  const writer = await writes;
  assert.equal(lock.tryRead(), null);
  writer.unlock();
  lock.tryRead().unlock();
  memory.close();
});

test('semaphore, event, barrier and once between processes and threads', async () => {
  const memory = new SharedMemory(65_536);
  const permits = memory.semaphore(0, { value: 0 });
  const event = memory.event(8192);
  const barrier = memory.barrier(16_384, { parties: 3 });
  const code = `await memory.event(8192).wait({ timeout: 60000 }); await memory.barrier(16384, { parties: 3 }).wait({ timeout: 60000 });
    await memory.once(24576).callOnce(async () => { memory.cell(40000).fetchAdd(); }); memory.semaphore(0).release();`;
  const ends = [once(child(memory, code), 'exit'), once(worker(memory, code), 'exit')];
  assert.equal(permits.tryAcquire(), false);
  event.set();
  assert.ok(event.isSet);
  await barrier.wait(LONG);
  memory.once(24_576).callOnceSync(() => { memory.cell(40_000).fetchAdd(); }, 60_000);
  for (let index = 0; index < 2; index++) await permits.acquire(LONG);
  for (const [code] of await Promise.all(ends)) assert.equal(code, 0);
  assert.equal(memory.cell(40_000).load(), 1n);
  assert.ok(memory.once(24_576).done);
  const again = memory.once(32_768);
  assert.throws(() => again.callOnceSync(() => { throw new RangeError('not yet'); }), RangeError);
  let done = 0;
  await again.callOnce(async () => { done++; });
  await again.callOnce(async () => { done++; });
  assert.equal(done, 1);
  memory.close();
});

test('waits end by time and by signal, and take nothing', async () => {
  const memory = new SharedMemory(16_384);
  const permits = memory.semaphore(0, { value: 0 });
  assert.throws(() => permits.acquireSync(5), kind('TIMEOUT'));
  await assert.rejects(permits.acquire({ timeout: 5 }), kind('TIMEOUT'));
  await assert.rejects(permits.acquire({ signal: AbortSignal.timeout(5) }), { name: 'AbortError', code: 'ABORT_ERR' });
  await assert.rejects(permits.acquire({ signal: AbortSignal.abort() }), { name: 'AbortError' });
  permits.release();
  await permits.acquire(LONG);
  await assert.rejects(memory.event(8192).wait({ signal: AbortSignal.timeout(5) }), { name: 'AbortError' });
  memory.close();
});

test('counters and histograms add up over processes', async () => {
  const memory = new SharedMemory(65_536);
  const counters = memory.counters(0, { capacity: 8 });
  const histogram = memory.histogram(32_768);
  const code = `const counters = memory.counters(0); const histogram = memory.histogram(32768);
    for (let index = 1; index <= 100; index++) { counters.add('jobs'); counters.add('sum', index); histogram.record(index); }`;
  await Promise.all([1, 2].map(() => once(child(memory, code), 'exit')));
  assert.equal(counters.add('jobs', 0), 200);
  counters.set('level', -4);
  assert.deepEqual(counters.values(), { jobs: 200, sum: 10_100, level: -4 });
  assert.deepEqual([histogram.count, histogram.sum, histogram.min, histogram.max], [200, 10_100, 1, 100]);
  assert.ok(histogram.quantile(0.5) >= 50 && histogram.quantile(0.5) <= 60);
  memory.close();
});

test('wrong arguments and foreign descriptors', () => {
  for (const size of [-1, 1.5, NaN, 2 ** 60]) assert.throws(() => new SharedMemory(size));
  assert.throws(() => new SharedMemory('1'), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => new SharedMemory(10, { readOnly: 1 }), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => SharedMemory.fromFd(98_765));
  assert.throws(() => SharedMemory.fromFd(0));
  const file = fs.openSync(__filename);
  // Either says what is wrong, neither the number of a copy.
  for (const open of [() => SharedMemory.fromFd(file), () => Arena.open(file, 1)]) {
    assert.throws(open, { code: 'EACCES', message: /^memory: the descriptor is not an anonymous file, [^0-9]+$/ });
  }
  fs.closeSync(file);
  const memory = new SharedMemory(4096);
  const { size } = memory;
  for (const [offset, length] of [[size, 1], [0, size + 1], [size - 1, 2]]) assert.throws(() => memory.read(offset, length), procs.ProcsError);
  assert.throws(() => memory.read(-1, 1), { code: 'ERR_OUT_OF_RANGE' });
  assert.throws(() => memory.write(size - 1, 'ab'), procs.ProcsError);
  assert.throws(() => memory.write(0, 5), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => memory.cell(3), procs.ProcsError);
  assert.throws(() => memory.cell(0, 'f64'), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => memory.mutex(size), procs.ProcsError);
  assert.throws(() => memory.mutex(64, { create: false }), procs.ProcsError);
  memory.close();
});

test('what is closed is given up at once, and what lives in it stays', () => {
  const memories = () => fs.readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`).startsWith('/memfd:procs');
    } catch {
      return false; // the directory that was read
    }
  }).length;
  const before = memories();
  const kept = new SharedMemory(4096);
  const mutex = kept.mutex(0);
  kept.close();
  kept.close();
  assert.ok(kept.closed && mutex.tryLock());
  assert.throws(() => kept.fd, kind('INVALID_STATE'));
  const afterwards = memories();
  for (let round = 0; round < 50; round++) {
    const memory = new SharedMemory(4096);
    memory.write(0, 'x');
    memory.close();
  }
  assert.equal(memories(), afterwards);
  assert.ok(afterwards <= before + 1);
});

test('arguments are refused by their names, with the codes of Node', () => {
  const memory = new SharedMemory(4096);
  for (const kind of ['u32', 'i64']) {
    const cell = memory.cell(0, kind);
    for (const value of [null, '5', true, {}, [], Symbol('s')]) {
      for (const method of ['store', 'swap', 'fetchAdd', 'fetchSub']) {
        assert.throws(() => cell[method](value), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE', message: /"value"/ });
      }
      assert.throws(() => cell.compareExchange(value, 1), { code: 'ERR_INVALID_ARG_TYPE', message: /"expected"/ });
      assert.throws(() => cell.compareExchange(1, value), { code: 'ERR_INVALID_ARG_TYPE', message: /"replacement"/ });
    }
    for (const value of [1.5, NaN, Infinity]) assert.throws(() => cell.store(value), { name: 'RangeError', code: 'ERR_OUT_OF_RANGE', message: /"value"/ });
    assert.equal(Number(cell.load()), 0);
  }
  for (const value of [5n, '1', null, 1.5]) {
    assert.throws(() => memory.fill(0, 1, value), { code: 'ERR_INVALID_ARG_TYPE', message: /"byte"/ });
    assert.throws(() => SharedMemory.fromFd(value), { code: 'ERR_INVALID_ARG_TYPE', message: /"fd"/ });
    assert.throws(() => Arena.open(value, 1), { code: 'ERR_INVALID_ARG_TYPE', message: /"fd"/ });
  }
  for (const place of ['mutex', 'rwlock', 'semaphore', 'event', 'barrier', 'once', 'counters', 'histogram']) {
    for (const options of [null, 5, []]) assert.throws(() => memory[place](0, options), { code: 'ERR_INVALID_ARG_TYPE', message: /"options"/ }, place);
  }
  memory.close();
});

test('each thing takes as much as its class says', () => {
  const kinds = { mutex: 'SharedMutex', rwlock: 'SharedRwLock', semaphore: 'SharedSemaphore', event: 'SharedEvent', barrier: 'SharedBarrier', once: 'SharedOnce', histogram: 'Histogram' };
  const memory = new SharedMemory(8192);
  for (const [method, name] of Object.entries(kinds)) {
    const last = memory.size - procs[name].SIZE;
    memory.fill();
    assert.ok(memory[method](last) instanceof procs[name], name);
    assert.throws(() => memory[method](last + 64), kind('INVALID_ARGUMENT'), name);
  }
  memory.fill();
  memory.counters(memory.size - (128 + 64 * 3), { capacity: 3 });
  assert.throws(() => memory.counters(memory.size - (128 + 64 * 2), { capacity: 3 }), kind('INVALID_ARGUMENT'));
});

test('the layout is told', () => {
  const layout = procs.memoryLayout();
  assert.ok(layout.length > 10);
  for (const { name, offset, size } of layout) assert.ok(name.length > 0 && offset >= 0 && size > 0);
});
