'use strict';

// Faults of living in a runtime (H), by the rows of docs/faults.md. Each test was seen failing against a broken copy.

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const { once } = require('node:events');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');
const procs = require('..');
const { WATCHED, times, script } = require('./harness.cjs');

test('H12: what any handler throws is an uncaught exception, and the next call works', WATCHED, async () => {
  const body = `
    const thrown = [];
    process.on('uncaughtException', (error) => thrown.push(error.message));
    const fail = (name) => () => { throw new Error(name); };
    procs.spawn('true').on('spawn', fail('spawn')).on('close', fail('close'));
    procs.spawn('true').on('exit', fail('exit'));
    procs.spawn('echo', ['x']).stdout.on('data', fail('data'));
    procs.spawn('no-such-program').on('error', fail('error'));
    procs.exec('true', fail('exec'));
    procs.exec('yes', { maxBuffer: 10 }, fail('limit'));
    const timer = setInterval(async () => {
      if (thrown.length < 7) return;
      clearInterval(timer);
      const { stdout } = await procs.run('echo', ['next']);
      console.log(thrown.sort().join(), stdout.trim());
    }, 5);`;
  assert.equal((await script(body)).stdout, 'close,data,error,exec,exit,limit,spawn next\n');
});

test('H12: events come in the async context of the start', WATCHED, async () => {
  const storage = new AsyncLocalStorage();
  const heard = [];
  await storage.run('mine', async () => {
    const child = procs.spawn('echo', ['x']);
    for (const name of ['spawn', 'exit', 'close']) child.on(name, () => heard.push(`${name} ${storage.getStore()}`));
    await once(child, 'close');
    await new Promise((resolve) => procs.exec('echo x', () => { heard.push(`exec ${storage.getStore()}`); resolve(); }));
  });
  assert.deepEqual(heard, ['spawn mine', 'exit mine', 'close mine', 'exec mine']);
});

test('H13: lent memory lives as long as its Buffer', WATCHED, async () => {
  const body = `(async () => {
    const kept = [];
    for (let round = 0; round < ${times(1000)}; round++) {
      const { stdout } = await procs.run('sh', ['-c', 'yes ' + round + ' | head -c 2000000'], { encoding: 'buffer' });
      const sync = procs.spawnSync('sh', ['-c', 'yes ' + round + ' | head -c 200000']).stdout;
      kept.push([round, stdout.subarray(1000, 1100), sync]);
      if (kept.length > 5) kept.shift();
      gc();
      for (const [number, part, all] of kept) {
        const text = String(number) + '\\n';
        if (!part.includes(text) || all.toString().split(text).join('').length > text.length) throw new Error('changed in round ' + round);
      }
    }
    gc();
    await new Promise(setImmediate);
    console.log('kept', process.memoryUsage().rss < 400e6);
  })();`;
  assert.equal((await script(body)).stdout, 'kept true\n');
});

test('H13: blocking calls in a row do not pile up memory', WATCHED, async () => {
  const body = `for (let round = 0; round < 20; round++) procs.spawnSync('head', ['-c', '33554432', '/dev/zero'], { maxBuffer: Infinity });
    console.log(process.resourceUsage().maxRSS < 350000);`;
  assert.equal((await script(body)).stdout, 'true\n');
});

test('H13: a large result of a blocking call is there once, and the one before it no more', WATCHED, async () => {
  const body = `const before = process.resourceUsage().maxRSS;
    for (let round = 0; round < 10; round++) procs.spawnSync('head', ['-c', '67108864', '/dev/zero'], { maxBuffer: Infinity });
    console.log(process.resourceUsage().maxRSS - before < 100000);`;
  assert.equal((await script(body)).stdout, 'true\n');
});

test('H13: large results of blocking calls are memory like any other', WATCHED, async () => {
  const body = `const kept = [];
    for (let round = 0; round < ${times(200)}; round++) {
      const { stdout } = procs.spawnSync('sh', ['-c', 'yes ' + round + ' | head -c ' + (2000000 + 4099 * round)], { maxBuffer: 1e9 });
      const own = round % 2 ? stdout : Buffer.from(structuredClone(stdout.buffer, { transfer: [stdout.buffer] }));
      if (own.length !== 2000000 + 4099 * round || own.byteOffset !== 0 || own.buffer.byteLength !== own.length) throw new Error('size');
      kept.push([round, own]);
      if (kept.length > 5) kept.shift();
      if (round % 3 === 0) gc();
      for (const [number, all] of kept) {
        const text = number + '\\n';
        if (!all.equals(Buffer.alloc(all.length, text))) throw new Error('changed in round ' + round);
        all.fill(0).fill(text);
      }
    }
    console.log('kept');`;
  assert.equal((await script(body)).stdout, 'kept\n');
});

test('H13: large results in a row do not pile up memory', WATCHED, async () => {
  const body = `(async () => {
    const take = () => new Promise((resolve) => {
      procs.execFile('head', ['-c', '8388608', '/dev/zero'], { encoding: 'buffer', maxBuffer: Infinity }, (error, stdout) => resolve(stdout.length));
    });
    const before = process.resourceUsage().maxRSS;
    for (let round = 0; round < 20; round++) await take();
    console.log(process.resourceUsage().maxRSS - before < 54000);
  })();`;
  assert.equal((await script(body)).stdout, 'true\n');
});

test('H13: results of whom nobody listens to are not kept', WATCHED, async () => {
  const body = `(async () => {
    const before = process.resourceUsage().maxRSS;
    for (let round = 0; round < 20; round++) {
      const child = procs.execFile('head', ['-c', '8388608', '/dev/zero'], { maxBuffer: Infinity }, () => {});
      child.removeAllListeners('close');
      await new Promise((resolve) => child.on('close', resolve));
    }
    console.log(process.resourceUsage().maxRSS - before < 120000);
  })();`;
  assert.equal((await script(body)).stdout, 'true\n');
});

test('H18: errors keep code, errno, stage and path', WATCHED, async () => {
  const causes = [
    ['no-such-program', {}, 'ENOENT', 'exec'],
    ['/etc/passwd', {}, 'EACCES', 'exec'],
    ['/', {}, 'EACCES', 'exec'],
    ['true', { cwd: '/no/such' }, 'ENOENT', 'directory'],
    ['true', { cwd: '/etc/passwd' }, 'ENOTDIR', 'directory'],
    ['/etc/passwd/x', {}, 'ENOTDIR', 'exec'],
    ['true', { processGroup: 2 ** 31 - 1 }, 'EPERM', 'process-group'],
  ];
  for (const [file, options, code, stage] of causes) {
    const error = await procs.run(file, [], options).catch((reason) => reason);
    assert.deepEqual([error.code, error.errno, error.stage], [code, -os.constants.errno[code], stage], `${file} ${JSON.stringify(options)}`);
  }
});

/** Tells what the first start by `start` does in a process with so many free descriptors. */
const STARVED = `
  const [home, start, free] = process.argv.slice(1);
  const cp = require(home);
  const fs = require('node:fs');
  require('node:net');
  require('node:child_process');
  const [told, held] = [[], []];
  const facts = (error) => [error.code, error.errno, error.syscall, error.path, error.spawnargs, error.cmd, error.message];
  try { for (;;) held.push(fs.openSync('/dev/null')); } catch {}
  for (let count = 0; count < free; count++) fs.closeSync(held.pop());
  try {
    const child = cp[start]('true', ...(start.startsWith('exec') ? [(error) => told.push(['callback', facts(error)])] : []));
    told.push([child.pid, child.connected, child.stdin, child.stdout, child.stdio]);
    child.on('error', (error) => told.push(['error', facts(error)]));
    for (const name of ['spawn', 'exit', 'disconnect']) child.on(name, (...end) => told.push([name, ...end]));
    child.on('close', (...end) => {
      for (const fd of held) fs.closeSync(fd);
      cp.spawn('true').on('exit', (code) => console.log(JSON.stringify([...told, ['close', ...end], ['later', code]])));
    });
  } catch (error) {
    console.log(JSON.stringify([...told, ['thrown', facts(error)]]));
  }`;

test('A04: the first start of a process without free descriptors is reported as by child_process', { ...WATCHED, skip: !process.getBuiltinModule }, async () => {
  for (const start of ['spawn', 'exec', 'execFile', 'fork']) {
    for (const free of [0, 1, 2]) {
      const run = (home) => procs.run(process.execPath, ['-e', STARVED, home, start, `${free}`], { limits: { noFile: 64 }, check: true });
      const [theirs, ours] = await Promise.all(['node:child_process', path.resolve(__dirname, '..')].map(run));
      assert.equal(ours.stdout, theirs.stdout, `${start}, ${free} free`);
      assert.match(theirs.stdout, /"error",\["EMFILE".*"later",0/);
    }
  }
});

test('A04: what is started where the end of another is told can have its descriptor', WATCHED, async () => {
  const body = `
    const fs = require('node:fs');
    const told = [];
    const start = () => procs.spawn('true', { stdio: 'inherit' }).on('error', (error) => told.push(error.code));
    start().on('close', () => setImmediate(() => {
      const held = [];
      try { for (;;) held.push(fs.openSync('/dev/null')); } catch {}
      fs.closeSync(held.pop());
      const next = () => start().on('exit', (code) => { if (told.push(code) < 5) next(); }).on('close', () => {
        if (told.length < 5) return;
        for (const fd of held.splice(0)) fs.closeSync(fd);
        console.log(told.join());
      });
      next();
    }));`;
  assert.equal((await script(body, { limits: { noFile: 64 }, check: true })).stdout, '0,0,0,0,0\n');
});
