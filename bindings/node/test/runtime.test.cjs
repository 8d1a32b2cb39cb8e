'use strict';

// Living inside a Node process: the event loop, workers, exits, errors, memory.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');
const { Worker } = require('node:worker_threads');
const procs = require('..');
const native = require('../lib/native.js');
const { MODULE, FULL, SLOW } = require('./harness.cjs');

/** Runs a program of this runtime that has `procs`. */
function script(body, env = process.env) {
  return procs.run(process.execPath, ['-e', `const procs = require(${MODULE}); ${body}`], { timeout: 60_000 * SLOW, env });
}

test('every error kind has a code', () => {
  const table = native.errorKinds();
  assert.deepEqual(table.map(({ number }) => number), [...Array(17).keys()].map((index) => index + 1).concat(99));
  for (const { name, code } of table) {
    assert.match(name, /^[A-Z_]+$/);
    assert.match(code, /^(E[A-Z]+|ABORT_ERR|ERR_[A-Z_]+)$/);
    assert.notEqual(code, 'ERR_PROCS_UNKNOWN', `no code for ${name}`);
  }
});

test('all names are there, in both module systems', async () => {
  const own = ['Arena', 'AtomicCell', 'Channel', 'ChildProcess', 'Counters', 'Histogram', 'ProcsError', 'SharedBarrier', 'SharedEvent', 'SharedMemory', 'SharedMutex',
    'SharedOnce', 'SharedRwLock', 'SharedSemaphore', 'engineInfo', 'exec', 'execFile', 'execFileSync', 'execSync', 'fork', 'lines', 'memoryLayout',
    'parentChannel', 'pipeline', 'run', 'runMany', 'spawn', 'spawnSync', 'waitAny'];
  const threads = Object.keys(require('node:worker_threads'));
  assert.deepEqual(Object.keys(procs).sort(), [...own, ...threads].sort());
  const module = await import('../index.mjs');
  assert.deepEqual(Object.keys(module).sort(), [...own, ...threads, 'default'].sort());
  for (const name of [...own, ...threads]) assert.equal(module[name], procs[name], name);
  assert.equal(module.default.run, procs.run);
});

test('what nobody asks for is not loaded, and a name that was is a plain property', async () => {
  const loaded = await script(`
    const loaded = () => Object.keys(require.cache).filter((file) => file.includes('/lib/') || file.endsWith('procs.node')).length;
    const before = loaded();
    const names = Object.keys(procs).length;
    const { spawn } = procs;
    const [child] = [spawn('true', { stdio: 'ignore' }), typeof procs.ChildProcess.prototype.stop];
    const few = loaded();
    procs.run = 'replaced';
    const all = { ...procs };
    console.log(JSON.stringify([before, names === Object.keys(all).length, few > 0 && few < 20, all.run, child instanceof all.ChildProcess,
      Object.entries(Object.getOwnPropertyDescriptors(procs)).filter(([, own]) => !('value' in own && own.writable && own.enumerable && own.configurable))]));
  `);
  assert.deepEqual(JSON.parse(loaded.stdout), [0, true, true, 'replaced', true, []]);
});

test('the event loop goes on while children run', async () => {
  let turns = 0;
  // Ends only by the tenth turn.
  const child = procs.spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
  const timer = setInterval(() => { if (++turns === 10) child.stdin.end(); }, 5);
  await Promise.all([once(child, 'exit'), procs.run('head', ['-c', '50000000', '/dev/zero'], { encoding: 'buffer' })]);
  clearInterval(timer);
  assert.ok(turns >= 10, `${turns} turns`);
});

test('a running child keeps the process, one without reference does not', async () => {
  const kept = await script("procs.spawn('sleep', ['0.3'], { stdio: 'inherit' }).on('exit', () => console.log('waited'))");
  assert.deepEqual([kept.stdout, kept.code], ['waited\n', 0]);
  const begun = Date.now();
  const free = await script("const c = procs.spawn('sleep', ['60'], { stdio: 'ignore' }); c.unref(); console.log(c.pid)");
  assert.ok(Date.now() - begun < 50_000);
  process.kill(Number(free.stdout), 'SIGKILL');
  const again = await script("const c = procs.spawn('sleep', ['0.2'], { stdio: 'ignore' }); c.unref(); c.ref(); c.on('exit', () => console.log('seen'))");
  assert.equal(again.stdout, 'seen\n');
  assert.deepEqual((await script('')).code, 0);
});

test('a pending run keeps the process', async () => {
  assert.equal((await script("procs.run('sleep', ['0.2']).then(() => console.log('done'))")).stdout, 'done\n');
});

test('process.exit anywhere is clean', async () => {
  const places = [
    'process.exit(7)',
    "procs.spawn('true').on('exit', () => process.exit(7))",
    "procs.spawn('echo', ['x']).stdout.on('data', () => process.exit(7))",
    "procs.run('sleep', ['0.05']).then(() => process.exit(7))",
    "procs.pipeline([['echo', ['x']], ['cat']]); setTimeout(() => process.exit(7), 2)",
    "procs.spawn('sleep', ['0.05']).stop({ grace: 5 }); setTimeout(() => process.exit(7), 1)",
  ];
  const crowd = "for (let i = 0; i < 8; i++) { procs.spawn('sleep', ['0.0' + i]); procs.run('echo', [String(i)]); }";
  for (let round = 0; round < (FULL ? 50 : 3); round++) {
    const results = await Promise.all(places.map((place) => script(`${crowd} ${place}`)));
    assert.deepEqual(results.map(({ code, signal }) => [code, signal]), places.map(() => [7, null]));
  }
});

test('an exception in a handler is an uncaught exception, and the others still hear', async () => {
  const body = `
    process.on('uncaughtException', (error) => console.log('uncaught', error.message));
    procs.spawn('true', { stdio: 'ignore' }).on('exit', () => { throw new Error('mine'); });
    procs.spawn('sleep', ['0.1'], { stdio: 'ignore' }).on('exit', (code) => console.log('other', code));`;
  assert.equal((await script(body)).stdout, 'uncaught mine\nother 0\n');
});

test('a handler that throws at every third message hears all of them, in order', async () => {
  const heard = `
    const heard = [];
    let thrown = 0;
    process.on('uncaughtException', (error) => { if (error.message === 'mine') thrown++; else throw error; });
    const hear = (then) => (index) => {
      heard.push(index);
      if (heard.length === 200) setImmediate(() => { console.log(thrown, heard.every((one, at) => one === at)); then(); });
      if (index % 3 === 0) throw new Error('mine');
    };
    const send = (to) => { for (let index = 0; index < 200; index++) to.send(index); };`;
  const child = 'process.on(\'disconnect\', () => process.exit()); for (let index = 0; index < 200; index++) process.send(index)';
  const native = `process.once('message', () => { ${child} });`;
  const bodies = [
    `const child = procs.fork('-e', [${JSON.stringify(child)}], { execArgv: [] }); child.on('message', hear(() => child.disconnect()));`,
    `const child = procs.fork('-r', [${MODULE}, '-e', ${JSON.stringify(native)}], { execArgv: [] });
    const timer = setInterval(() => {
      if (child.channel.wire !== 'native') return;
      clearInterval(timer);
      child.on('message', hear(() => child.disconnect()));
      child.send('go');
    }, 1);`,
    ...['json', 'v8'].map((codec) => `const [one, other] = procs.Channel.pair({ codec: '${codec}' }); other.on('message', hear(() => other.close())); send(one);`),
  ];
  for (const body of bodies) assert.equal((await script(`${heard} ${body}`)).stdout, '67 true\n', body);
});

test('a handler that comes late and throws at every message hears all of them, in order', async () => {
  const heard = `
    const heard = [];
    process.on('uncaughtException', (error) => { if (error.message !== 'mine') throw error; });
    const hear = (then) => (value) => {
      heard.push(value);
      if (value === 9) setImmediate(() => { console.log(heard.join()); then(); });
      throw new Error('mine');
    };`;
  const numbers = 'for (let value = 0; value < 10; value++)';
  const child = `${numbers} process.send(value); process.on('disconnect', () => process.exit())`;
  // What is sent has come by the time the listener does; what comes later still is given one by one.
  const inChild = `const { once } = require('node:events'); ${heard} const channel = procs.parentChannel();
    process.on('message', (value) => { if (value === 9) setImmediate(() => channel.on('message', hear(() => process.exit()))); });`;
  const bodies = [
    `${heard} const [one, other] = procs.Channel.pair(); ${numbers} one.send(value);
    other.on('close', () => {}); setTimeout(() => other.on('message', hear(() => other.close())), 50);`,
    `${heard} const child = procs.fork('-e', [${JSON.stringify(child)}], { execArgv: [] });
    setTimeout(() => child.on('message', hear(() => child.disconnect())), 500);`,
    `const child = procs.fork('-e', [${JSON.stringify(`const procs = require(${MODULE}); ${inChild}`)}], { execArgv: [], wire: 'node' });
    ${numbers} child.send(value);`,
  ];
  for (const body of bodies) assert.equal((await script(body)).stdout, '0,1,2,3,4,5,6,7,8,9\n', body);
});

test('an error nobody listens to ends the process, as for every emitter', async () => {
  const result = await script("procs.spawn('procs-no-such-program')");
  assert.equal(result.code, 1);
  assert.match(result.stderr, /spawn procs-no-such-program ENOENT/);
});

test('works in workers, and a worker may end at any moment', async () => {
  const answer = `const { parentPort } = require('node:worker_threads'); const procs = require(${MODULE});`;
  const worker = new Worker(`${answer} procs.spawn('sh', ['-c', 'exit 3']).on('close', (code) => parentPort.postMessage(code))`, { eval: true });
  // Both are waited for from the start: a last message may be delivered together with the exit.
  assert.deepEqual(await Promise.all([once(worker, 'message'), once(worker, 'exit')]), [[3], [0]]);
  const busy = `${answer} for (let i = 0; i < 3; i++) { procs.spawn('sleep', ['0.02']); procs.run('head', ['-c', '100000', '/dev/zero']); }
    procs.spawn('sleep', ['0.2']).stop({ grace: 5 }); procs.execFile('echo', ['x'], () => {}); parentPort.postMessage('busy');`;
  for (let round = 0; round < (FULL ? 1000 : 30); round++) {
    const victim = new Worker(busy, { eval: true });
    await once(victim, 'message');
    await new Promise((resolve) => setTimeout(resolve, round % 7)); // the moment is what is tested
    await victim.terminate();
  }
  assert.equal((await procs.run('echo', ['still here'])).stdout, 'still here\n');
});

test('a worker forks, and the runtime has nothing to warn of', async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'procs-worker-'));
  const file = path.join(folder, 'child.cjs');
  fs.writeFileSync(file, `require(${MODULE}); const wait = () => (process.channel.wire === 'native' ? process.send('native', () => process.disconnect()) : setTimeout(wait, 2)); wait();`);
  const body = `const { parentPort } = require('node:worker_threads'); const procs = require(${MODULE});
    process.on('warning', (warning) => parentPort.postMessage(warning.message));
    procs.fork(${JSON.stringify(file)}).on('message', (word) => parentPort.postMessage(word)).on('close', (code) => parentPort.postMessage(code));`;
  const worker = new Worker(body, { eval: true });
  const heard = [];
  worker.on('message', (message) => heard.push(message));
  await once(worker, 'exit');
  fs.rmSync(folder, { recursive: true });
  assert.deepEqual(heard, ['native', 0]);
});

for (const wait of ['loop', 'thread']) {
  test(`what comes together keeps its order (a ${wait} waits)`, async () => {
    const waits = "process.send('first'); setInterval(() => {}, 1000);";
    const body = `
      const child = procs.spawn(process.execPath, ['-e', ${JSON.stringify(waits)}], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
      const heard = [];
      for (const name of ['message', 'disconnect', 'exit', 'close']) child.on(name, (what) => heard.push(name, what));
      child.on('close', () => console.log(heard.join()));
      child.once('message', () => {
        child.kill('SIGKILL');
        // The child is over before anything more of it is looked at here.
        const fs = require('node:fs');
        while (!fs.readFileSync('/proc/' + child.pid + '/stat', 'utf8').includes(') Z '));
      });`;
    const result = await script(body, { ...process.env, PROCS_NODE_WAIT: wait });
    assert.deepEqual([result.stdout, result.stderr], ['message,first,disconnect,,exit,,close,\n', '']);
  });
}

test('a thread waits where the loop cannot', async () => {
  const body = `
    const heard = [];
    const ended = (child) => new Promise((resolve) => child.on('close', (...end) => { heard.push(end.join()); resolve(); }));
    (async () => {
      await ended(procs.spawn('sh', ['-c', 'exit 3']));
      await ended(procs.spawn('sleep', ['30'], { timeout: 20 }));
      await new Promise((resolve) => procs.exec('echo text', (error, text) => { heard.push(text.trim()); resolve(); }));
      for await (const line of procs.spawn('printf', ['a\\\\nb']).lines()) heard.push(line);
      const children = Array.from({ length: 100 }, (_, index) => procs.spawn('sh', ['-c', 'exit ' + index]));
      const codes = await Promise.all(children.map((child) => new Promise((resolve) => child.on('exit', resolve))));
      heard.push(codes.every((code, index) => code === index));
      const [report] = await Promise.all([procs.spawn('sleep', ['30']).stop(), procs.run('true')]);
      heard.push(report.signal);
      console.log(heard.join(' '));
    })();`;
  const { stdout, stderr } = await script(body, { ...process.env, PROCS_NODE_WAIT: 'thread' });
  assert.deepEqual([stdout, stderr], ['3, ,SIGTERM text a b true SIGTERM\n', '']);
});

test("a worker's environment is its own", async () => {
  const body = `process.env.ONLY_HERE = 'yes'; const procs = require(${MODULE});
    procs.execFile('sh', ['-c', 'echo $ONLY_HERE'], (error, out) => require('node:worker_threads').parentPort.postMessage(out));`;
  const worker = new Worker(body, { eval: true });
  assert.deepEqual(await once(worker, 'message'), ['yes\n']);
  assert.equal((await procs.run('sh', ['-c', 'echo $ONLY_HERE'])).stdout, '\n');
});

test('changes of process.env reach children, also when it is replaced', async () => {
  const body = `const show = () => procs.spawnSync('sh', ['-c', 'echo $A-$B'], { encoding: 'utf8' }).stdout;
    process.env.A = 'set'; console.log(show()); delete process.env.A; console.log(show());
    process.env = { PATH: process.env.PATH, B: 'replaced' }; console.log(show());`;
  assert.equal((await script(body)).stdout, 'set-\n\n-\n\n-replaced\n\n');
});

test('no descriptor, child or thread stays behind', async () => {
  const body = `
    const fs = require('node:fs');
    const all = (folder, look) => fs.readdirSync(folder).map((entry) => { try { return look(folder + '/' + entry); } catch { return ''; } });
    // The engine's own threads and what they wait on begin when they are first needed, and stay.
    const count = () => [
      all('/proc/self/fd', fs.readlinkSync).filter((target) => !target.startsWith('anon_inode:[event')).length,
      all('/proc/self/task', (task) => fs.readFileSync(task + '/comm', 'utf8')).filter((thread) => !thread.startsWith('procs-')).length,
    ];
    const round = async () => {
      await new Promise((resolve) => procs.spawn('cat', [], { stdio: ['pipe', 'pipe', 'pipe', 'pipe'] }).on('close', resolve).stdin.end());
      await new Promise((resolve) => procs.spawn('procs-no-such-program').on('error', () => {}).on('close', resolve));
      await procs.run('echo', ['x']);
      await procs.pipeline([['echo', ['x']], ['cat']]);
      procs.spawnSync('echo', ['x'], { stdio: ['pipe', 'pipe', 'pipe', 'pipe'] });
      await procs.run('procs-no-such-program').catch(() => {});
    };
    // Without what is wanted: a tenth of a second, in which what the first rounds leave for later is done.
    const settled = async (want) => {
      for (let i = 0; i < 4000; i++) {
        const now = count();
        if (want === undefined ? i > 20 : now.every((n, k) => n <= want[k])) return now;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      return count();
    };
    (async () => {
      for (let i = 0; i < 3; i++) await round();
      const before = await settled();
      for (let i = 0; i < 30; i++) await round();
      const after = await settled(before);
      const children = fs.readFileSync('/proc/self/task/' + process.pid + '/children', 'utf8').trim();
      console.log(JSON.stringify([after.every((n, k) => n <= before[k]), children, before, after]));
    })();`;
  const [clean, children, before, after] = JSON.parse((await script(body)).stdout);
  assert.ok(clean, `before ${before}, after ${after}`);
  assert.equal(children, '');
});

test('child_process and procs-native work side by side', async () => {
  const childProcess = require('node:child_process');
  const rounds = FULL ? 500 : 50;
  // All of them wait, so that they end together: whoever waits for any child finds one of the other module.
  const children = Array.from({ length: rounds * 2 }, (_, index) =>
    (index % 2 ? childProcess : procs).spawn('sh', ['-c', `read x; exit ${index % 200}`], { stdio: ['pipe', 'ignore', 'ignore'] }));
  const ends = children.map((child) => once(child, 'exit'));
  for (const child of children) child.stdin.end();
  const codes = (await Promise.all(ends)).map(([code]) => code);
  assert.deepEqual(codes, codes.map((_, index) => index % 200));
});

test('a child knows what it used once it has ended', async () => {
  const fd = fs.openSync('/dev/null', 'w');
  const child = procs.spawn('echo', ['x'], { stdio: ['ignore', fd, fd] });
  fs.closeSync(fd);
  const [code] = await once(child, 'close');
  assert.equal(code, 0);
  assert.equal(child.usage.maxRssBytes > 0, true);
});
