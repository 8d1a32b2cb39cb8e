'use strict';

// fork and channels: messages, handles and ends, as node:child_process has them.

const assert = require('node:assert');
const dgram = require('node:dgram');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');
const { setImmediate } = require('node:timers/promises');
const procs = require('..');

/** Sends back what comes, handles too; ends with 7 once its parent has disconnected. */
const ECHO = `
process.on('message', (message, handle) => {
  if (message === 'kill yourself') process.kill(process.pid, 'SIGKILL');
  process.send(message, handle, () => { if (handle && handle.close) handle.close(); });
});
process.on('disconnect', () => { process.exitCode = 7; });
`;
const BURST = `
for (let index = 0; index < 500; index++) process.send({ index, text: 'x'.repeat(2000) });
`;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'procs-fork-'));
test.after(() => fs.rmSync(folder, { recursive: true }));

function script(name, text) {
  const file = path.join(folder, name);
  fs.writeFileSync(file, text);
  return file;
}

const echo = script('echo.cjs', ECHO);
const burst = script('burst.cjs', BURST);

const PACKAGE = path.join(__dirname, '..');
/** What is forked: a plain child, one that requires the package, and one of those that is used only once it has changed over. */
const KINDS = ['plain', 'changing', 'native'];

/** Starts a child of this kind. */
async function fork(kind, file, options = {}) {
  const execArgv = kind === 'plain' ? [] : ['-r', PACKAGE];
  const child = procs.fork(file, [], { ...options, execArgv });
  while (kind === 'native' && child.channel.wire !== 'native') await setImmediate();
  return child;
}

/** Sends one message and gives what comes back. */
async function ask(child, message, handle) {
  const answer = once(child, 'message');
  child.send(message, handle);
  return answer;
}

async function end(child) {
  const exit = once(child, 'exit');
  const disconnect = once(child, 'disconnect');
  child.disconnect();
  assert.strictEqual(child.connected, false);
  await disconnect;
  assert.strictEqual(child.channel, null);
  assert.deepStrictEqual(await exit, [7, null]);
}

for (const kind of KINDS) {
  for (const serialization of ['json', 'advanced']) {
    test(`messages of every kind and size (${kind}, ${serialization})`, async () => {
      const child = await fork(kind, echo, { serialization });
      const values = [{ a: [1, 'ü😀\n', null] }, 'text', 0, false, null, [], '\ud800', 'x'.repeat(1 << 20), 'é'.repeat(8 << 20)];
      if (serialization === 'advanced') values.push(new Map([[1, new Set('a')]]), 10n ** 30n, new Uint8Array(100_000).fill(7), new Date(5));
      for (const value of values) {
        if (typeof value === 'bigint') assert.throws(() => child.send(value), { code: 'ERR_INVALID_ARG_TYPE' });
        else assert.deepStrictEqual((await ask(child, value))[0], value);
      }
      assert.strictEqual(child.channel.wire, kind === 'plain' ? 'node' : 'native');
      await end(child);
    });

    test(`handles there and back, in order (${kind}, ${serialization})`, async () => {
      const child = await fork(kind, echo, { serialization });
      const server = net.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const udp = dgram.createSocket('udp4').bind(0, '127.0.0.1');
      await once(udp, 'listening');
      const client = net.connect(server.address().port, '127.0.0.1');
      const [connection] = await once(server, 'connection');
      const got = [];
      const all = new Promise((resolve) => child.on('message', (...answer) => { if (got.push(answer) === 6) resolve(); }));
      const written = new Promise((resolve, reject) => child.send('before', (error) => (error ? reject(error) : resolve())));
      child.send('server', server);
      child.send('between');
      child.send('connection', connection);
      child.send('udp', udp);
      child.send('after');
      await Promise.all([all, written]);
      assert.deepStrictEqual(got.map(([message]) => message), ['before', 'server', 'between', 'connection', 'udp', 'after']);
      const [, [, server2], , [, connection2], [, udp2]] = got;
      assert.strictEqual(server2.address().port, server.address().port);
      assert.strictEqual(udp2.address().port, udp.address().port);
      client.setEncoding('utf8');
      connection2.end('through two processes');
      assert.deepStrictEqual(await once(client, 'data'), ['through two processes']);
      client.destroy();
      for (const handle of [server, server2, udp, udp2]) handle.close();
      await end(child);
    });
  }

  test(`a server asks the child about the connections that it was sent (${kind})`, async () => {
    const child = await fork(kind, script('answer.cjs', "process.on('message', (message, socket) => socket.end('from the child'));"));
    const server = net.createServer((connection) => child.send('connection', connection)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    for (let round = 0; round < 3; round++) {
      const client = net.connect(server.address().port, '127.0.0.1').setEncoding('utf8');
      assert.deepStrictEqual(await once(client, 'data'), ['from the child']);
      client.end();
      await once(client, 'close');
    }
    await new Promise((resolve) => server.close(resolve));
    child.disconnect();
    await once(child, 'exit');
  });

  test(`what was sent before the end arrives before it (${kind})`, async () => {
    for (let round = 0; round < 5; round++) {
      const child = kind === 'native' ?
        await fork(kind, script('late.cjs', `process.on('message', () => { ${BURST} process.disconnect(); });`)) :
        procs.spawn(process.execPath, [...(kind === 'plain' ? [] : ['-r', PACKAGE]), burst], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
      let count = 0;
      let disconnected = false;
      child.on('message', ({ index }) => assert.strictEqual(index, count++));
      child.on('disconnect', () => { disconnected = true; });
      child.on('exit', () => assert.strictEqual(count, 500));
      if (kind === 'native') child.send('go');
      assert.deepStrictEqual(await once(child, 'close'), [0, null]);
      assert.ok(disconnected);
    }
  });

  test(`a killed child is disconnected (${kind})`, async () => {
    const child = await fork(kind, echo);
    const ends = Promise.all([once(child, 'exit'), once(child, 'disconnect'), once(child, 'close')]);
    child.send('kill yourself');
    const [exit] = await ends;
    assert.deepStrictEqual(exit, [null, 'SIGKILL']);
    const refused = await new Promise((resolve) => assert.strictEqual(child.send('late', resolve), false));
    assert.strictEqual(refused.code, 'ERR_IPC_CHANNEL_CLOSED');
    const emitted = once(child, 'error');
    child.disconnect();
    assert.strictEqual((await emitted)[0].code, 'ERR_IPC_DISCONNECTED');
  });

  test(`a channel without reference lets its process end (${kind})`, async () => {
    const execArgv = kind === 'plain' ? '[]' : JSON.stringify(['-r', PACKAGE]);
    const wait = kind === 'native' ? "child.channel.wire !== 'native'" : 'false';
    const program = `
const child = require(${JSON.stringify(PACKAGE)}).fork(${JSON.stringify(echo)}, [], { execArgv: ${execArgv} });
(function look() { if (${wait}) setImmediate(look); else { child.unref(); child.channel.unref(); } })();`;
    await procs.run(process.execPath, ['-e', program], { timeout: 30_000, check: true });
  });

  test(`a slow child: send says so and nothing is lost (${kind})`, async () => {
    const child = await fork(kind, echo);
    let said = true;
    let count = 0;
    const all = new Promise((resolve) => child.on('message', () => { if (++count === 80) resolve(); }));
    // So slow that it does nothing meanwhile.
    child.kill('SIGSTOP');
    for (let index = 0; index < 80; index++) said = child.send('y'.repeat(100_000)) && said;
    child.kill('SIGCONT');
    await all;
    assert.strictEqual(said, false);
    await end(child);
  });
}

test('strings come as they were, whatever is in them, large ones in bounded memory', async () => {
  const child = await fork('native', echo);
  const large = 'x'.repeat(300_000);
  const texts = ['', 'ascii', '\u0000\n"\\', 'é', '\u0141', '😀', '\ud800 alone', large, `${large}é`, `${large}\u0141`, `é${large}`, `${large}\udc00`];
  for (const text of [...texts, ...texts.map((text) => ({ text }))]) assert.deepStrictEqual((await ask(child, text))[0], text);
  const before = process.memoryUsage().rss;
  const many = large.repeat(4);
  for (let round = 0; round < 600; round++) assert.strictEqual((await ask(child, many))[0].length, many.length);
  assert.ok(process.memoryUsage().rss - before < 400e6, 'received texts are kept');
  await end(child);
});

test('answers to many messages leave together: their callbacks come once each, in order, before what promises do later', async () => {
  const child = procs.fork(script('many.cjs', `
let left = 200;
process.on('message', () => { if (--left === 0) { process.send('done'); process.disconnect(); } });
for (let index = 0; index < 200; index++) process.send(index);`));
  const events = [];
  let done;
  const all = new Promise((resolve) => { done = resolve; });
  child.on('message', async (index) => {
    if (index === 'done') return done();
    child.send(index, (error) => events.push(['written', index, error]));
    await null;
    events.push(['later', index]);
  });
  await all;
  const written = events.filter(([what]) => what === 'written');
  assert.deepStrictEqual(written, Array.from({ length: 200 }, (_, index) => ['written', index, null]));
  await once(child, 'exit');
});

test('a handler that stands still holds nothing back', async () => {
  const file = path.join(folder, 'stands-still');
  const child = procs.fork(script('still.cjs', `
process.on('message', () => require('fs').writeFileSync(${JSON.stringify(file)}, 'went'));
for (let index = 0; index < 50; index++) process.send(index);`));
  const all = new Promise((resolve) => {
    child.on('message', (index) => {
      if (index === 20) {
        child.send('go');
        const until = Date.now() + 30_000;
        while (!fs.existsSync(file)) assert.ok(Date.now() < until, 'the message was held back');
      }
      if (index === 49) resolve();
    });
  });
  await all;
  child.disconnect();
  await once(child, 'exit');
});

/** Whether a process has ended with all its threads, so that its descriptors are closed; nobody has asked for its status. */
function isOver(pid) {
  return fs.readdirSync(`/proc/${pid}/task`).length === 1 && fs.readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1][0] === 'Z';
}

test('what is sent among other messages to a child that is gone fails as any other', async () => {
  const child = procs.fork(script('gone.cjs', "for (let index = 0; index < 50; index++) process.send(index); process.kill(process.pid, 'SIGKILL');"));
  const errors = [];
  const told = [];
  child.on('error', (error) => errors.push(error.code));
  child.on('message', (index) => {
    // Its end is there, and has not been seen by the loop.
    while (index === 0 && !isOver(child.pid));
    child.send('x');
    child.send('y', (error) => told.push(error.code));
  });
  await new Promise((resolve) => child.on('exit', resolve));
  assert.ok(told.length > 0);
  assert.deepStrictEqual([...new Set([...errors, ...told])], ['EPIPE']);
  assert.strictEqual(errors.length, told.length);
});

test('bad arguments have the codes of Node', async () => {
  assert.throws(() => procs.fork(), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => procs.fork(echo, 'args'), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => procs.fork(echo, [], { stdio: ['pipe', 'pipe', 'pipe'] }), { code: 'ERR_CHILD_PROCESS_IPC_REQUIRED' });
  assert.throws(() => procs.fork(echo, [], { serialization: 'pickle' }), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => procs.spawn('true', [], { stdio: ['ipc', 'ipc'] }), { code: 'ERR_IPC_ONE_PIPE' });
  const child = procs.fork(echo);
  assert.throws(() => child.send(), { code: 'ERR_MISSING_ARGS' });
  assert.throws(() => child.send(() => {}), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => child.send('x', {}), { code: 'ERR_INVALID_HANDLE_TYPE' });
  assert.throws(() => child.send('x', undefined, 'options'), { code: 'ERR_INVALID_ARG_TYPE' });
  await end(child);
});

test('threads come from the same module', () => {
  const threads = require('node:worker_threads');
  for (const name of Object.keys(threads)) assert.strictEqual(procs[name], threads[name], name);
});

test('advanced messages that come together have memory of their own', async () => {
  const child = await fork('plain', script('views.cjs', `
    for (let index = 0; index < 50; index++) process.send({ index, bytes: Buffer.alloc(40, index), floats: new Float64Array([index]), view: new DataView(new ArrayBuffer(3), 1) });
  `), { serialization: 'advanced' });
  const got = [];
  child.on('message', ({ index, bytes, floats, view }) => {
    got.push([index, Buffer.isBuffer(bytes), bytes.length, [...new Set(bytes)].join(), floats.join(), view.byteLength]);
    // Given away, and with it all that shares its memory.
    structuredClone(null, { transfer: [view.buffer] });
  });
  await once(child, 'close');
  assert.deepStrictEqual(got, Array.from({ length: 50 }, (_, index) => [index, true, 40, `${index}`, `${index}`, 2]));
});
