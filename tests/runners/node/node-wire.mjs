// Node's wire: what `fork` gives here, `node:child_process` with `--peer`, to a plain Node program or the child of another runner.

import childProcess from 'node:child_process';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { renameSync } from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import { bytes, file, flag, procs, status, text } from './facts.mjs';

const face = process.argv.includes('--peer') ? childProcess : procs;
const KINDS = ['tcp-socket', 'tcp-listener', 'unix-socket', 'unix-listener', 'udp-socket'];
const TEXTS = [
  { n: 1, t: 'ä€😀', l: [1, null, true, -2.5] }, { a: { b: { c: [{}] } }, '': '' }, { cmd: 'NODE_' }, [], {}, '', 'line\nfeed \u2028', 0,
  9007199254740991, 1.5e+300, false, null, '\ud800',
];

/** The child with Node's channel, and how it ends. */
export function talking(part, more) {
  const options = { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], ...more };
  const peer = process.env.SCENARIO_PEER?.split('\n');
  const child = peer ? face.spawn(peer[0], [...peer.slice(1), '--child', part], options) : face.fork(process.env.SCENARIO_PLAIN, ['--child', part], options);
  child.once('error', (error) => { throw error; });
  // 'close' does not come after one's own disconnect, and the two events come in any order.
  return { child, end: Promise.all([once(child, 'exit'), once(child, 'disconnect')]) };
}

export async function ended(end) {
  const [[code, signal]] = await end;
  text('event', 'closed');
  status(code, signal);
}

export async function ask(child, message, handle) {
  const answer = once(child, 'message');
  child.send(message, handle);
  return answer;
}

async function objects() {
  const { child, end } = talking('node-echo');
  for (const message of TEXTS) text('json', JSON.stringify((await ask(child, message))[0]));
  const [deep] = await ask(child, JSON.parse('['.repeat(500) + ']'.repeat(500)));
  bytes('json', JSON.stringify(deep));
  child.disconnect();
  await ended(end);
}

async function large(...sizes) {
  const { child, end } = talking('node-echo');
  for (const size of sizes) bytes('json', JSON.stringify((await ask(child, 'y'.repeat(size)))[0]));
  child.disconnect();
  await ended(end);
}

/** All that comes until the end, as text. */
export async function all(stream) {
  let got = '';
  for await (const chunk of stream.setEncoding('utf8')) got += chunk;
  return got;
}

export async function listening(server, ...where) {
  await once(server.listen(...where), 'listening');
  return server;
}

/** Sends a handle of this kind, and what comes through the one that comes back. */
const trips = {
  async socket(child, kind, ...where) {
    const server = await listening(net.createServer({ pauseOnConnect: true }), ...where);
    const client = net.connect(server.address().port ?? server.address());
    const [connection] = await once(server, 'connection');
    const [message, handle] = await ask(child, kind, connection);
    handle.end('through');
    text(message, await all(client));
    server.close();
  },
  async listener(child, kind, ...where) {
    const server = await listening(net.createServer(), ...where);
    let address = server.address().port ?? server.address();
    const [message, handle] = await ask(child, kind, server);
    if (kind === 'unix-listener') {
      // The server that is closed takes its path with it.
      address = file('kept');
      renameSync(where[0], address);
    }
    server.close();
    handle.on('connection', (connection) => connection.end('accepted'));
    text(message, await all(net.connect(address)));
    handle.close();
  },
  async udp(child, kind) {
    const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const { port } = socket.address();
    const [message, handle] = await ask(child, kind, socket);
    socket.close();
    const sender = dgram.createSocket('udp4');
    sender.send('datagram', port, '127.0.0.1');
    text(message, String((await once(handle, 'message'))[0]));
    handle.close();
    sender.close();
  },
};

async function handles() {
  const { child, end } = talking('node-echo');
  for (const kind of KINDS) {
    const [family, what] = kind.split('-');
    const where = family === 'unix' ? [file(what)] : [0, '127.0.0.1'];
    await trips[family === 'udp' ? 'udp' : what](child, kind, ...where);
  }
  child.disconnect();
  await ended(end);
}

async function handlesInARow() {
  const { child, end } = talking('node-echo');
  const server = await listening(net.createServer({ pauseOnConnect: true }), 0, '127.0.0.1');
  const got = [];
  let handed = 0;
  const whole = new Promise((resolve) => {
    child.on('message', (message, handle) => {
      if (handle) handed++;
      handle?.destroy();
      if (got.push(message) === 60) resolve();
    });
  });
  for (let index = 0; index < 30; index++) {
    const client = net.connect(server.address().port, '127.0.0.1').on('error', () => {});
    const [connection] = await once(server, 'connection');
    child.send(2 * index, connection);
    child.send(2 * index + 1);
    client.resume();
  }
  await whole;
  server.close();
  flag('handles', handed);
  flag('in_order', got.every((message, index) => message === index));
  child.disconnect();
  await ended(end);
}

async function counted(part) {
  const { child, end } = talking(part);
  const got = [];
  child.on('message', ({ index }) => got.push(index));
  await end;
  flag('messages', got.length);
  flag('in_order', got.every((index, at) => index === at));
  await ended(end);
}

async function parentDisconnects() {
  const { child, end } = talking('node-count');
  await once(child, 'message');
  for (let index = 0; index < 100; index++) child.send({ index });
  child.disconnect();
  await ended(end);
}

async function childKilled() {
  const { child, end } = talking('node-echo');
  text('json', JSON.stringify((await ask(child, 'up'))[0]));
  child.kill('SIGKILL');
  await ended(end);
}

async function parentKilled() {
  const argv = process.argv.includes('--peer') ? ['--peer'] : [];
  const middle = procs.spawn(process.execPath, [process.argv[1], ...argv, '--child', 'node-middle'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  const closed = once(middle, 'close');
  for await (const chunk of middle.stdout.setEncoding('utf8')) {
    said += chunk;
    if (said === 'ready\n') middle.kill('SIGKILL');
  }
  const [code, signal] = await closed;
  text('stdout', said);
  status(code, signal);
}

/** What the children do: a program that requires the package does what a plain one does. */
export const parts = {
  ...createRequire(import.meta.url)('./plain.cjs').parts,
  'node-middle': () => talking('node-orphan').child.on('message', () => {}),
};

export const table = {
  'node-objects': objects,
  'node-large': () => large(1, 65_536, 1 << 20, (16 << 20) + 1),
  'node-huge': () => large(64 << 20),
  'node-handles': handles,
  'node-handles-in-a-row': handlesInARow,
  'node-child-disconnects': () => counted('node-burst'),
  'node-last-words': () => counted('node-last-words'),
  'node-parent-disconnects': parentDisconnects,
  'node-child-killed': childKilled,
  'node-parent-killed': parentKilled,
};
