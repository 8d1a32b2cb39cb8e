'use strict';

// Starts of programs that were executed before: they are not waited for, so a failure comes as an event. Files that have changed are.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');
const { promisify } = require('node:util');
const { Worker } = require('node:worker_threads');
const procs = require('..');
const { MODULE, SLOW, WATCHED } = require('./harness.cjs');

/** For programs that would otherwise outlive a failed test. */
const BOUNDED = { timeout: 50_000 * SLOW, killTree: true };
const ERRNO = os.constants.errno;
const execFile = promisify(procs.execFile);

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'procs-known-'));
test.after(() => fs.rmSync(folder, { recursive: true, force: true }));

/** Waits until something holds; the test's own limit is the deadline. */
async function until(holds) {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Files that have just changed are not remembered: the next change could have the same time. */
const settled = (file) => until(() => Date.now() - fs.statSync(file).ctimeMs > 200);

async function program(name, source = '/bin/true') {
  const file = path.join(folder, name);
  if (source.startsWith('#!')) fs.writeFileSync(file, source);
  else fs.copyFileSync(source, file);
  fs.chmodSync(file, 0o755);
  await settled(file);
  return file;
}

/** The events of a child in order, to the last. */
async function events(child) {
  const seen = [];
  const emit = child.emit;
  child.emit = function emitted(...event) {
    seen.push(event);
    return emit.apply(this, event);
  };
  child.on('error', () => {});
  await new Promise((resolve) => child.on('close', resolve));
  return seen;
}

async function makeKnown(file) {
  for (let round = 0; round < 2; round++) {
    assert.deepEqual(await events(procs.spawn(file)), [['spawn'], ['exit', 0, null], ['close', 0, null]]);
  }
}

/** The start itself fails, before the child is there. */
async function failsAtOnce(file, code) {
  const child = procs.spawn(file);
  const seen = await events(child);
  assert.deepEqual(seen.map(([name]) => name), ['error', 'close']);
  assert.equal(seen[0][1].code, code);
  assert.equal(child.pid, undefined);
}

/** The start succeeds, and the end tells that the program was not executed. */
async function failsLate(file, code, args = []) {
  const child = procs.spawn(file, args);
  assert.equal(typeof child.pid, 'number');
  const seen = await events(child);
  const errno = -ERRNO[code];
  assert.deepEqual(seen.map(([name]) => name), ['spawn', 'error', 'close']);
  const [, error] = seen[1];
  assert.deepEqual([error.code, error.errno, error.syscall, error.path, error.spawnargs], [code, errno, `spawn ${file}`, file, args]);
  assert.deepEqual([error.message, error.stage], [`spawn ${file} ${code}`, 'exec']);
  assert.deepEqual(seen[2], ['close', errno, null]);
  assert.deepEqual([child.exitCode, child.signalCode, child.kill()], [errno, null, false]);
}

test('a program that was executed before is started again, with its streams', WATCHED, async () => {
  const file = await program('cat', '/bin/cat');
  for (let round = 0; round < 20; round++) {
    const child = procs.spawn(file);
    child.stdin.end('early');
    child.stdout.setEncoding('utf8');
    const [[text], [code]] = await Promise.all([once(child.stdout, 'data'), once(child, 'close')]);
    assert.deepEqual([text, code], ['early', 0]);
  }
});

test('a file that has changed since it was executed is looked at anew', WATCHED, async () => {
  const file = await program('changing');
  await makeKnown(file);
  fs.chmodSync(file, 0o644);
  await failsAtOnce(file, 'EACCES');
  fs.chmodSync(file, 0o755);
  await settled(file);
  await makeKnown(file);
  fs.unlinkSync(file);
  await failsAtOnce(file, 'ENOENT');
  await program('changing', '#!/bin/sh\nexit 7\n');
  for (let round = 0; round < 2; round++) assert.deepEqual(await once(procs.spawn(file), 'exit'), [7, null]);
  // What has no known format is run by a shell, whatever was there before.
  fs.writeFileSync(file, 'exit 8\n');
  for (let round = 0; round < 2; round++) assert.deepEqual(await once(procs.spawn(file), 'exit'), [8, null]);
  fs.unlinkSync(file);
  fs.mkdirSync(file);
  await failsAtOnce(file, 'EACCES');
});

test('a known program that is busy fails by an event, once', WATCHED, async () => {
  const file = await program('busy');
  await makeKnown(file);
  const writer = fs.openSync(file, 'a');
  await failsLate(file, 'ETXTBSY', ['one', 'two']);
  // From now on it is waited for again.
  assert.throws(() => procs.spawn(file), { code: 'ETXTBSY', syscall: 'spawn' });
  fs.closeSync(writer);
  await makeKnown(file);
});

test('a known program that is busy fails in the callback of execFile', WATCHED, async () => {
  const file = await program('busy-file');
  for (let round = 0; round < 2; round++) await execFile(file);
  const writer = fs.openSync(file, 'a');
  await assert.rejects(execFile(file, ['one']), { code: 'ETXTBSY', path: file, spawnargs: ['one'], cmd: `${file} one`, stdout: '', stderr: '' });
  fs.closeSync(writer);
});

test('a known script whose interpreter is gone', WATCHED, async () => {
  const interpreter = await program('interpreter');
  const script = await program('script', `#!${interpreter}\n`);
  await makeKnown(script);
  fs.unlinkSync(interpreter);
  await failsLate(script, 'ENOENT');
  await failsAtOnce(script, 'ENOENT');
});

test('a signal right after the start ends the child, also one that this process ignores', WATCHED, async () => {
  const body = `
    const procs = require(${MODULE});
    const { once } = require('node:events');
    (async () => {
      await once(procs.spawn('sleep', ['0']), 'exit');
      for (let round = 0; round < 100; round++) {
        for (const signal of ['SIGTERM', 'SIGHUP', 'SIGPIPE', 'SIGUSR2']) {
          const child = procs.spawn('sleep', ['600'], { stdio: 'ignore' });
          if (!child.kill(signal)) throw new Error('not sent');
          const [, by] = await once(child, 'exit');
          if (by !== signal) throw new Error('ended by ' + by);
        }
      }
    })();`;
  const result = await procs.run('sh', ['-c', "trap '' TERM HUP USR2; exec \"$@\"", 'sh', process.execPath, '-e', body], BOUNDED);
  assert.deepEqual([result.code, result.stderr], [0, '']);
});

test('a parent that ends right after the start leaves the child running', WATCHED, async () => {
  for (const end of ['process.exit()', "process.kill(process.pid, 'SIGKILL')", 'process.abort()']) {
    const file = path.join(folder, 'written');
    const body = `
      const procs = require(${MODULE});
      procs.spawn('sh', ['-c', 'exit 0']).on('exit', () => {
        procs.spawn('sh', ['-c', 'echo written > "$1.new" && mv "$1.new" "$1"', 'sh', ${JSON.stringify(file)}]);
        ${end};
      });`;
    await procs.run(process.execPath, ['-e', body], { ...BOUNDED, killTree: false, limits: { core: 0 } });
    await until(() => fs.existsSync(file));
    fs.unlinkSync(file);
  }
});

const mixed = `
  const assert = require('node:assert/strict');
  const fs = require('node:fs');
  const { constants: { errno } } = require('node:os');
  const procs = require(${MODULE});
  /** One child, of the kind that its number says; resolves with its last event. */
  const kinds = (cat, flickering) => [
    () => procs.spawn(cat, [], { stdio: 'ignore' }),
    () => { const child = procs.spawn(cat); child.stdin.end('text'); return child; },
    () => { const child = procs.spawn(cat); child.kill('SIGKILL'); return child; },
    () => procs.spawn(flickering, [], { stdio: ['pipe', 'pipe', 'inherit'] }),
    () => procs.spawn('/nowhere/to/be/found'),
  ];
  const allowed = [[[0, null]], [[0, null]], [[null, 'SIGKILL']], [[0, null], [-errno.EACCES, null]], [[-errno.ENOENT, null]]];
  async function mix(count, cat, flickering) {
    const start = kinds(cat, flickering);
    let next = 0;
    const one = (number) => new Promise((resolve) => {
      const kind = number % start.length;
      if (number % 50 === 3) fs.chmodSync(flickering, number % 100 < 50 ? 0o644 : 0o755);
      const child = start[kind]();
      let ends = 0;
      child.on('error', () => ends++).on('exit', () => ends++).on('close', (...end) => {
        assert.equal(ends, 1);
        assert.ok(allowed[kind].some((known) => known[0] === end[0] && known[1] === end[1]), kind + ': ' + end);
        resolve();
      });
    });
    await Promise.all(Array.from({ length: 16 }, async () => { while (next < count) await one(next++); }));
  }`;

test('a thousand starts of all kinds leave nothing behind', WATCHED, async () => {
  const files = [await program('mixed-cat', '/bin/cat'), await program('mixed-flickering')].map((file) => JSON.stringify(file));
  const body = `${mixed}
    const open = () => fs.readdirSync('/proc/self/fd').length;
    (async () => {
      await mix(50, ${files});
      const before = open();
      await mix(1000, ${files});
      // The loop closes some of them a turn later.
      for (let turn = 0; open() > before && turn < 1000; turn++) await new Promise((resolve) => setTimeout(resolve, 5));
      assert.ok(open() <= before, open() + ' descriptors, ' + before + ' before');
      assert.equal(fs.readFileSync('/proc/thread-self/children', 'utf8'), '');
    })();`;
  const result = await procs.run(process.execPath, ['-e', body], BOUNDED);
  assert.deepEqual([result.code, result.stderr], [0, '']);
});

test('worker threads start known programs, and may be terminated while they do', WATCHED, async () => {
  const files = [await program('worker-cat', '/bin/cat'), await program('worker-flickering')].map((file) => JSON.stringify(file));
  const body = `${mixed} mix(200, ${files});`;
  const ends = await Promise.all([1, 2].map(() => once(new Worker(body, { eval: true }), 'exit')));
  assert.deepEqual(ends, [[0], [0]]);
  const endless = `
    const procs = require(${MODULE});
    require('node:worker_threads').parentPort.postMessage(0);
    for (let count = 0;; count++) if (count < 200) procs.spawn('true', [], { stdio: 'ignore' });`;
  for (let round = 0; round < 5; round++) {
    const worker = new Worker(endless, { eval: true });
    await once(worker, 'message');
    await worker.terminate();
  }
});
