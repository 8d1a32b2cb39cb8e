'use strict';

// parentChannel() where the parent speaks Node's wire: node:child_process, and our fork with and without changing over.

const assert = require('node:assert');
const childProcess = require('node:child_process');
const { once } = require('node:events');
const net = require('node:net');
const test = require('node:test');
const procs = require('..');

const HOME = JSON.stringify(require.resolve('..'));
const PARENTS = {
  'node:child_process': (...start) => childProcess.spawn(...start),
  'procs-native, Node\'s wire': (program, args, options) => procs.spawn(program, args, { ...options, wire: 'node' }),
  'procs-native, changing over': (...start) => procs.spawn(...start),
};

/** A child that has its channel as `channel`, and both of its ends. */
function child(start, code, options = '') {
  const text = `const procs = require(${HOME}); const channel = procs.parentChannel(${options}); (async () => { ${code} })();`;
  const one = start(process.execPath, ['-e', text], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
  let said = '';
  one.stdout.setEncoding('utf8').on('data', (data) => { said += data; });
  const ended = Promise.all([once(one, 'exit'), once(one.stdout, 'end')]).then(([[status]]) => ({ status, said }));
  return { one, ended };
}

/** What the child sends back. */
async function ask(one, ...message) {
  const answer = once(one, 'message');
  one.send(...message);
  return (await answer)[0];
}

for (const [name, start] of Object.entries(PARENTS)) {
  test(`messages there and back, until the parent leaves: ${name}`, async () => {
    const { one, ended } = child(start, 'for await (const value of channel) channel.send({ back: value }); console.log("ended", channel.closed);');
    for (const value of [1, 'ä\n', null, { a: [true] }, 'x'.repeat(1 << 20)]) assert.deepStrictEqual(await ask(one, value), { back: value });
    one.disconnect();
    assert.deepStrictEqual(await ended, { status: 0, said: 'ended true\n' });
  });

  test(`messages that came before anybody asked, as events and one by one: ${name}`, async () => {
    const code = `
      const first = await channel.recv({ timeout: 20_000 });
      await new Promise((resolve) => process.once('disconnect', resolve));
      const got = [first];
      channel.on('message', (value, message) => got.push([value, message.codec, message.fds.length]));
      channel.on('close', () => console.log('closed'));
      await new Promise(setImmediate);
      channel.removeAllListeners('message');
      await assert.rejects(channel.recv(), { kind: 'CLOSED' });
      console.log(JSON.stringify(got));`;
    const { one, ended } = child(start, `const assert = require('node:assert'); ${code}`);
    for (const value of [1, 2, 3]) one.send(value);
    const left = new Promise((resolve) => one.send(4, resolve));
    await left;
    one.disconnect();
    const { status, said } = await ended;
    assert.strictEqual(status, 0);
    assert.deepStrictEqual(said.split('\n').sort(), ['', '[1,[2,"json",0],[3,"json",0],[4,"json",0]]', 'closed']);
  });

  test(`a handle is what Node makes of it: ${name}`, async () => {
    const { one } = child(start, `
      const { value, handle } = await channel.recv({ message: true });
      handle.end(value);
      channel.send(handle instanceof require('node:net').Socket);
      channel.close();`);
    const server = net.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = net.connect(server.address().port, '127.0.0.1');
    const [connection] = await once(server, 'connection');
    const left = once(one, 'disconnect');
    assert.strictEqual(await ask(one, 'through', connection), true);
    let text = '';
    for await (const chunk of client) text += chunk;
    assert.strictEqual(text, 'through');
    await left;
    server.close();
  });

  test(`close writes what was sent, and nobody is kept alive for nothing: ${name}`, async () => {
    const sent = child(start, 'for (let n = 0; n < 200; n++) channel.send({ n, text: "x".repeat(5000) }); channel.close(); console.log(channel.closed);');
    const got = [];
    sent.one.on('message', ({ n }) => got.push(n));
    await Promise.all([sent.ended, once(sent.one, 'disconnect')]);
    assert.deepStrictEqual(got, Array.from({ length: 200 }, (_, n) => n));
    // Nobody waits in these; the parent does not disconnect.
    assert.strictEqual((await child(start, '').ended).status, 0);
    assert.strictEqual((await child(start, 'channel.on("message", () => {}); channel.unref();').ended).status, 0);
    assert.strictEqual((await child(start, 'await channel.recv({ timeout: 1 }).catch((error) => { process.exitCode = error.kind === "TIMEOUT" ? 4 : 1; });').ended).status, 4);
  });

  test(`what Node's wire has not is refused and the option named: ${name}`, async () => {
    const { ended } = child(start, `
      const tries = {
        call: () => channel.call(1), callStream: () => channel.callStream(1), serve: () => channel.serve(() => {}), detach: () => channel.detach(),
        buffers: () => channel.send(1, { buffers: [Buffer.from('x')] }), fds: () => channel.send(1, { fds: [1] }),
        codec: () => channel.send('x', { codec: 'raw' }), cmd: () => channel.send({ cmd: 'NODE_X' }), again: () => procs.parentChannel(),
      };
      for (const [name, attempt] of Object.entries(tries)) {
        try { await attempt(); } catch (error) { console.log(name, error.kind ?? error.code, error.message.includes("the option wire 'native'")); }
      }`);
    const { said } = await ended;
    assert.deepStrictEqual(said.trim().split('\n'), [
      'call UNSUPPORTED true', 'callStream UNSUPPORTED true', 'serve UNSUPPORTED true', 'detach UNSUPPORTED true', 'buffers UNSUPPORTED true',
      'fds UNSUPPORTED true', 'codec UNSUPPORTED true', 'cmd INVALID_ARGUMENT false', 'again INVALID_STATE false',
    ]);
  });
}

test('a codec that Node\'s wire has not is refused at once', async () => {
  const code = `try { require(${HOME}).parentChannel({ codec: 'v8' }); } catch (error) { console.log(error.kind, error.code); }`;
  const one = childProcess.spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
  let said = '';
  for await (const chunk of one.stdout.setEncoding('utf8')) said += chunk;
  assert.strictEqual(said, 'UNSUPPORTED ERR_PROCS_UNSUPPORTED\n');
});
