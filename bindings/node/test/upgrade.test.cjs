'use strict';

// A forked child that requires the package changes over to the native wire: nothing shows but its speed.

const assert = require('node:assert');
const childProcess = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');
const procs = require('..');

const ignore = () => {};
const PACKAGE = JSON.stringify(path.join(__dirname, '..'));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'procs-upgrade-'));
test.after(() => fs.rmSync(folder, { recursive: true }));

function script(name, text) {
  const file = path.join(folder, name);
  fs.writeFileSync(file, text);
  return file;
}

/** Counts what comes, floods its parent meanwhile, with a handle now and then, and requires the package in the middle of it. */
const BOTH_WAYS = script('both-ways.cjs', `
const net = require('node:net');
const [count, at] = process.argv.slice(2).map(Number);
const server = net.createServer().listen(0, '127.0.0.1', () => {
  let [sent, took, wrong] = [0, 0, 0];
  process.on('message', (message, handle) => {
    if (message.number !== took || (message.number % 50 === 7) !== (handle !== undefined)) wrong++;
    handle?.close();
    if (++took === count) finish();
  });
  const more = () => {
    for (let burst = 0; burst < 5 && sent < count; burst++, sent++) {
      if (sent === at) require(${PACKAGE});
      process.send({ number: sent }, sent % 50 === 7 ? server : undefined);
    }
    if (sent < count) setImmediate(more);
    else finish();
  };
  let left = 2;
  const finish = () => {
    if (--left === 0) tell();
  };
  const tell = () => {
    if (at >= 0 && process.channel.wire !== 'native') return setImmediate(tell);
    process.send({ number: count, wrong, wire: process.channel.wire ?? 'node' }, () => {
      server.close();
      process.disconnect();
    });
  };
  more();
});
`);

async function bothWays(at, serialization) {
  const count = 400;
  const child = procs.fork(BOTH_WAYS, [count, at], { serialization });
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  let took = 0;
  let last;
  const wrong = [];
  child.on('message', (message, handle) => {
    if (message.number !== took++ || (message.number % 50 === 7) !== (handle !== undefined)) wrong.push(message.number);
    handle?.close();
    last = message;
  });
  let sent = 0;
  const more = () => {
    for (let burst = 0; burst < 5 && sent < count; burst++, sent++) child.send({ number: sent }, sent % 50 === 7 ? server : undefined);
    if (sent < count) setImmediate(more);
  };
  more();
  assert.deepStrictEqual(await once(child, 'exit'), [0, null]);
  server.close();
  assert.deepStrictEqual(wrong, []);
  assert.strictEqual(took, count + 1);
  assert.strictEqual(last.wrong, 0);
  return last.wire;
}

for (const serialization of ['json', 'advanced']) {
  test(`a child changes over while both sides send messages and handles (${serialization})`, async () => {
    for (const at of [0, 7, 8, 57, 200]) assert.strictEqual(await bothWays(at, serialization), 'native', `at ${at}`);
    assert.strictEqual(await bothWays(-1, serialization), 'node');
  });
}

/** Tells by messages what its channel does. */
const SELF = script('self.cjs', `
require(${PACKAGE});
process.on('disconnect', () => process.exit(process.connected || process.channel !== null ? 1 : 5));
process.on('message', (message) => process.send({ message, wire: process.channel.wire ?? 'node' }));
`);

async function untilNative(child) {
  for (;;) {
    child.send('which');
    const [{ wire }] = await once(child, 'message');
    if (wire === 'native') return;
  }
}

test('both sides change over; either side ends it', async () => {
  const child = procs.fork(SELF);
  await untilNative(child);
  assert.strictEqual(child.channel.wire, 'native');
  const disconnected = once(child, 'disconnect');
  child.disconnect();
  await disconnected;
  assert.deepStrictEqual(await once(child, 'exit'), [5, null]);

  const other = procs.fork(script('leaves.cjs', `require(${PACKAGE}); process.once('message', function look() {
    if (process.channel.wire === 'native') { process.send('last'); process.disconnect(); } else { process.send('not yet'); process.once('message', look); }
  });`));
  const said = [];
  other.on('message', (message) => { said.push(message); if (other.connected) other.send('again', ignore); });
  other.send('first');
  await Promise.all([once(other, 'disconnect'), once(other, 'exit')]);
  assert.strictEqual(said.at(-1), 'last');
});

/** Sends back what it is sent, as it is and within an object. */
const MIRROR = script('mirror.cjs', `
require(${PACKAGE});
process.on('message', (message) => process.send(message === 'wire' ? process.channel.wire ?? 'node' : message));
`);

test('texts of every kind and size come back as they were', async () => {
  const child = procs.fork(MIRROR);
  const echo = async (message) => {
    child.send(message);
    return (await once(child, 'message'))[0];
  };
  while (await echo('wire') !== 'native');
  const kinds = {
    ascii: (fill) => `${fill}x`,
    latin: (fill) => `${fill}é`,
    // Across two of the pieces that it is looked at in.
    across: (fill) => `${fill.slice(0, 32 * 1024 - 1)}é${fill}`,
    wide: (fill) => `${fill}Ł`,
    pair: (fill) => `${fill}😀`,
    half: (fill) => `${fill}\ud83d`,
    zero: (fill) => `${fill}\0`,
    // Characters of one byte that the engine keeps in two.
    narrowed: (fill) => `Ł${fill}é`.slice(1),
  };
  for (const size of [64 * 1024, 64 * 1024 + 1, 256 * 1024 + 1, 1024 * 1024]) {
    const fill = `"\\\n${'abcdefghijk'.repeat(size / 11)}`.slice(0, size - 1);
    for (const [kind, make] of Object.entries(kinds)) {
      const text = make(fill);
      // Compared here: a difference would fill the report.
      assert.ok(await echo(text) === text, `${kind}, ${size}`);
      const { inside } = await echo({ inside: text });
      assert.ok(inside === text, `${kind} inside of an object, ${size}`);
    }
  }
  child.disconnect();
  assert.deepStrictEqual(await once(child, 'exit'), [0, null]);
});

/** Sends back what it is sent, and tells whether it may send texts in Latin-1; `old` takes that from what both sides say. */
const FORMS = script('forms.cjs', `
const old = process.argv[2] === 'old';
if (old) {
  const send = process._send;
  process._send = (message, ...rest) => { delete message.latin1; return send.call(process, message, ...rest); };
  process.on('internalMessage', (message) => { delete message.latin1; });
}
require(${PACKAGE});
const { quick } = require(${JSON.stringify(path.resolve(__dirname, '../lib/hub.js'))});
const send = quick.channelSendPlain;
let latin1;
quick.channelSendPlain = (...args) => { latin1 = args[3]; return send(...args); };
process.on('message', (message) => process.send(message === 'which' ? { latin1 } : message));
`);

test('a text in Latin-1 is sent only to a side that has said that it takes it', async () => {
  const { quick } = require('../lib/hub.js');
  const send = quick.channelSendPlain;
  const text = 'é'.repeat(300 * 1024);
  for (const age of ['old', 'new']) {
    const allowed = {};
    quick.channelSendPlain = (...args) => { allowed.parent = args[3]; return send(...args); };
    const child = procs.fork(FORMS, [age]);
    const echo = async (message) => {
      child.send(message);
      return (await once(child, 'message'))[0];
    };
    while (allowed.parent === undefined || allowed.child === undefined) {
      assert.ok(await echo(text) === text, age);
      allowed.child = (await echo('which')).latin1;
    }
    assert.deepStrictEqual(allowed, { parent: age === 'new', child: age === 'new' }, age);
    child.disconnect();
    assert.deepStrictEqual(await once(child, 'exit'), [0, null]);
  }
  quick.channelSendPlain = send;
});

test('what earlier texts were made of is used again only when they are gone', async () => {
  const child = procs.fork(MIRROR);
  const kept = [];
  for (let round = 0; round < 300; round++) {
    const text = `${round}:`.padEnd(512 * 1024, String.fromCharCode(97 + round % 26));
    child.send(text);
    const [back] = await once(child, 'message');
    if (round % 5 === 0) kept.push([round, back]);
    if (kept.length > 20) kept.shift();
    for (const [number, text] of kept) {
      assert.ok(text.startsWith(`${number}:`) && text.at(-1) === String.fromCharCode(97 + number % 26) && text.length === 512 * 1024, `${number}`);
    }
  }
  child.disconnect();
  assert.deepStrictEqual(await once(child, 'exit'), [0, null]);
});

test('a child that answers and disconnects before the offer comes ends well', async () => {
  // Busy until the parent's message and its offer have both come, so that they are read together.
  const child = procs.fork(script('leaves-early.cjs', `require(${PACKAGE});
    const until = Date.now() + 300;
    while (Date.now() < until);
    process.on('message', (message) => { process.send([message]); process.disconnect(); });`));
  child.send('hello');
  const [[answer], [code, signal]] = await Promise.all([once(child, 'message'), once(child, 'exit')]);
  assert.deepStrictEqual([answer, code, signal], [['hello'], 0, null]);
});

test('the option wire keeps Node\'s; a parent that is Node itself keeps it, too', async () => {
  const child = procs.fork(SELF, [], { wire: 'node' });
  const other = childProcess.fork(SELF);
  for (const end of [child, other]) {
    for (let round = 0; round < 20; round++) {
      end.send(round);
      assert.deepStrictEqual((await once(end, 'message'))[0], { message: round, wire: 'node' });
    }
    end.disconnect();
    assert.deepStrictEqual(await once(end, 'exit'), [5, null]);
  }
  assert.strictEqual(child.channel, null);
  assert.throws(() => procs.fork(SELF, [], { wire: 'native' }), { code: 'ERR_INVALID_ARG_VALUE' });
});

test('a grandchild neither has the channel nor keeps it open', async () => {
  const child = procs.fork(script('grandparent.cjs', `
require(${PACKAGE});
const { spawn } = require('node:child_process');
process.on('message', () => {
  if (process.channel.wire !== 'native') return process.send('not yet');
  // Lives on, with everything that a program of Node hands on by itself.
  const grandchild = spawn(process.execPath, ['-e', 'console.log(process.connected, Object.keys(process.env).filter((name) => /^(PROCS|NODE)_CHANNEL/.test(name)).length); setInterval(() => {}, 1000)'], { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  grandchild.unref();
  grandchild.stdout.once('data', (text) => process.send({ pid: grandchild.pid, text: String(text) }, () => process.exit(0)));
});
`));
  let told;
  child.on('message', (message) => {
    if (message === 'not yet') child.send('again');
    else told = message;
  });
  child.send('first');
  await Promise.all([once(child, 'disconnect'), once(child, 'exit')]);
  process.kill(told.pid, 'SIGKILL');
  assert.strictEqual(told.text, 'undefined 0\n');
});

test('changing over leaves no descriptor behind', async () => {
  const open = () => fs.readdirSync('/proc/self/fd').length;
  const round = async () => {
    const child = procs.fork(SELF);
    await untilNative(child);
    const exit = once(child, 'exit');
    child.disconnect();
    await exit;
  };
  await round();
  const before = open();
  for (let count = 0; count < 5; count++) await round();
  // A channel may be closed some turns after its child's end is told.
  for (let turn = 0; open() > before && turn < 1000; turn++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.ok(open() <= before, `${open()} descriptors, ${before} before`);
});

test('a child that sends garbage ends its channel only', async () => {
  for (const garbage of ['not JSON\\n', '{"cmd":"NODE_HANDLE_ACK"}\\n{"cmd":"NODE_PROCS_SWITCHED"}\\n{"cmd":"NODE_HANDLE"}\\n\\xff\\n']) {
    const child = procs.spawn('bash', ['-c', `printf '${garbage}' >&3; exec sleep 60`], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    child.on('message', assert.fail);
    await once(child, 'disconnect');
    assert.strictEqual(child.connected, false);
    child.kill('SIGKILL');
    await once(child, 'close');
  }
});
