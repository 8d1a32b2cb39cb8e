// A plain Node parent of a child that uses libprocs: nothing but Node's own names.
'use strict';
const assert = require('node:assert');
const dgram = require('node:dgram');
const net = require('node:net');
const { spawn } = require('node:child_process');

const [, , peer, act] = process.argv;

function start(...args) {
  const child = spawn(peer, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  child.on('error', (error) => { throw error; });
  return child;
}

// Both ends of a child. ('close' does not come after the parent's own disconnect(): so is Node.)
function done(child, code = 0) {
  const disconnected = new Promise((resolve) => child.once('disconnect', resolve));
  const exited = new Promise((resolve) => child.once('exit', (...how) => resolve(how)));
  return Promise.all([exited, disconnected]).then(([how]) => {
    assert.deepStrictEqual(how, typeof code === 'string' ? [null, code] : [code, null]);
  });
}

const acts = {
  async objects() {
    const child = start('echo');
    const ended = done(child);
    const values = [{ a: [1, 'ü😀\n', null, { deep: true }] }, 'text', 7.5, true, [], { cmd: 'NODE_' }, 'line\nfeed', '\ud800', 'y'.repeat(1 << 20), 'z'.repeat(20 << 20)];
    const got = [];
    child.on('message', (message) => {
      got.push(message);
      if (got.length === values.length) child.disconnect();
    });
    for (const value of values) child.send(value);
    await ended;
    assert.deepStrictEqual(got, values);
  },
  // Sockets of a server, which Node counts; its close waits until none is said to be open elsewhere.
  async sockets() {
    const child = start('echo');
    const ended = done(child);
    const server = net.createServer({ pauseOnConnect: true });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    let back = 0;
    server.on('connection', (socket) => child.send({ n: 1 }, socket));
    child.on('message', (message, socket) => {
      assert.ok(socket instanceof net.Socket);
      socket.end('from the child');
      back++;
    });
    for (let round = 0; round < 20; round++) {
      const client = net.connect(server.address().port, '127.0.0.1');
      let got = '';
      client.setEncoding('utf8').on('data', (data) => { got += data; });
      await new Promise((resolve) => client.on('close', resolve));
      assert.strictEqual(got, 'from the child');
    }
    const connections = await new Promise((resolve, reject) => server.getConnections((error, count) => (error ? reject(error) : resolve(count))));
    assert.strictEqual(connections, 0);
    await new Promise((resolve) => server.close(resolve));
    assert.strictEqual(back, 20);
    child.disconnect();
    await ended;
  },
  // A listening socket and a datagram socket there and back, in order with messages.
  async servers() {
    const child = start('echo');
    const ended = done(child);
    const server = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.on('listening', resolve));
    const udp = dgram.createSocket('udp4').bind(0, '127.0.0.1');
    await new Promise((resolve) => udp.on('listening', resolve));
    const got = [];
    const all = new Promise((resolve) => child.on('message', (message, handle) => { got.push([message, handle]); if (got.length === 6) resolve(); }));
    child.send('before');
    child.send('server', server);
    child.send('between');
    child.send('udp', udp);
    child.send('after');
    child.send({ last: true });
    await all;
    assert.deepStrictEqual(got.map(([message]) => message), ['before', 'server', 'between', 'udp', 'after', { last: true }]);
    assert.ok(got[1][1] instanceof net.Server && got[3][1] instanceof dgram.Socket);
    assert.strictEqual(got[1][1].address().port, server.address().port);
    assert.strictEqual(got[3][1].address().port, udp.address().port);
    for (const handle of [server, udp, got[1][1], got[3][1]]) handle.close();
    child.disconnect();
    await ended;
  },
  async 'child-ends'() {
    const child = start('burst-json', '500', '2000');
    const ended = done(child);
    let count = 0;
    child.on('message', (message) => { assert.strictEqual(message.index, count++); });
    await ended;
    assert.strictEqual(count, 500);
  },
  async killed() {
    const child = start('echo');
    const ended = done(child, 'SIGKILL');
    await new Promise((resolve) => { child.once('message', resolve); child.send('up'); });
    child.kill('SIGKILL');
    await ended;
  },
  async advanced() {
    const child = spawn(peer, ['echo'], { stdio: ['ignore', 'inherit', 'pipe', 'ipc'], serialization: 'advanced' });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (data) => { said += data; });
    await done(child, 66);
    assert.match(said, /NODE_CHANNEL_SERIALIZATION_MODE/);
  },
};

acts[act]().then(() => console.log('all as expected'), (error) => { console.error(error); process.exit(1); });
