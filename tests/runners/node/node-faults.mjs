// Node's wire where something goes wrong: handles that are held, lost or never acknowledged, ends in the middle of a stream, kills at any moment.

import { execFileSync } from 'node:child_process';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { flag, procs, text } from './facts.mjs';
import { all, ask, ended, listening, talking } from './node-wire.mjs';

const { flood, isPart } = createRequire(import.meta.url)('./plain.cjs');
const rounds = Number(process.env.SCENARIO_ROUNDS);
const limit = Number(process.env.SCENARIO_NOTICE_MS);

/** Numbers below a limit, the same ones in every language. */
let state = Number(process.env.SCENARIO_SEED);
function below(most) {
  state = (state * 75 + 74) % 65_537;
  return state % most;
}

function median(numbers) {
  return numbers.sort((a, b) => a - b)[numbers.length >> 1];
}

/** Both ends of a connection, and the server that has it. */
async function connection() {
  const server = await listening(net.createServer({ pauseOnConnect: true }), 0, '127.0.0.1');
  const client = net.connect(server.address().port, '127.0.0.1');
  const [mine] = await once(server, 'connection');
  return { server, client, mine };
}

async function ownHandles() {
  const { child, end } = talking('node-own-handles');
  const came = [];
  let next;
  child.on('message', (...message) => { came.push(message); next?.(); });
  const receive = async () => {
    while (came.length === 0) await new Promise((resolve) => { next = resolve; });
    return came.shift();
  };
  const [{ port }, server] = await receive();
  server.on('connection', (accepted) => accepted.end('accepted'));
  text('tcp-listener', await all(net.connect(port, '127.0.0.1')));
  server.close();
  const [{ port: address }, udp] = await receive();
  const sender = dgram.createSocket('udp4');
  sender.send('datagram', address, '127.0.0.1');
  text('udp-socket', String((await once(udp, 'message'))[0]));
  udp.close();
  sender.close();
  const mine = await listening(net.createServer(), 0, '127.0.0.1');
  const accepted = once(mine, 'connection');
  child.send({ port: mine.address().port });
  const [[stream], [, socket]] = [await accepted, await receive()];
  socket.end('through');
  text('tcp-socket', await all(stream));
  mine.close();
  child.disconnect();
  await ended(end);
}

async function killedWithHandle() {
  const { child, end } = talking('node-holds');
  const { server, client, mine } = await connection();
  await ask(child, 1, mine);
  child.kill('SIGKILL');
  text('client', await all(client));
  await ended(end);
  server.close();
}

async function keptOpen() {
  const { child, end } = talking('node-writes');
  const { server, client, mine } = await connection();
  const written = once(child, 'message');
  child.send(1, mine, { keepOpen: true });
  await written;
  mine.end('parent');
  text('client', await all(client));
  server.close();
  child.disconnect();
  await ended(end);
}

async function notAcknowledged() {
  const { child, end } = talking('node-stalls');
  await once(child, 'message');
  const { server, client, mine } = await connection();
  let went = false;
  child.send(1, mine);
  child.send(2, () => { went = true; });
  await pause(100);
  flag('waits', !went);
  child.kill('SIGKILL');
  text('client', await all(client));
  await ended(end);
  server.close();
}

async function lost() {
  // A descriptor that is lost on the native wire ends the channel, as between any two languages.
  const { child, end } = talking('node-echo', { wire: 'node' });
  const limits = (nofile) => execFileSync('prlimit', ['--pid', child.pid, `--nofile=${nofile}`]);
  await ask(child, 'up');
  limits('5:4096');
  const first = await connection();
  const warned = once(process, 'warning');
  child.send('lost', first.mine);
  const [on] = await ask(child, 'on');
  flag('lost', (await warned)[0].name === 'SentHandleNotReceivedWarning');
  text('json', JSON.stringify(on));
  limits('4096:4096');
  const second = await connection();
  const [, handle] = await ask(child, 'there', second.mine);
  flag('handles', handle instanceof net.Socket ? 1 : 0);
  for (const one of [first.client, second.client, handle]) one.destroy();
  first.server.close();
  second.server.close();
  child.disconnect();
  await ended(end);
}

async function childLeaves() {
  const { child, end } = talking('node-leaves');
  await once(child, 'message');
  const message = { text: 'x'.repeat(10_000) };
  let error;
  const patience = Date.now() + 30_000;
  while (!error && Date.now() < patience) {
    error = await new Promise((resolve) => { child.send(message, resolve); });
    // A send that succeeds at once comes back without a turn of the loop, which is where the end is heard of.
    await new Promise(setImmediate);
  }
  flag('refused', ['ERR_IPC_CHANNEL_CLOSED', 'EPIPE', 'ECONNRESET'].includes(error?.code));
  await ended(end);
}

async function killedAtRandom() {
  const late = [];
  let [whole, killed] = [true, true];
  for (let round = 0; round < rounds; round++) {
    const { child, end } = talking('node-floods');
    const most = below(40);
    let [count, last] = [0, 0];
    child.on('message', (message) => {
      whole &&= isPart(message, count);
      if (count++ === most) child.kill('SIGKILL');
      last = performance.now();
    });
    await once(child, 'disconnect');
    late.push(performance.now() - last);
    const [[, signal]] = await end;
    killed &&= signal === 'SIGKILL' && count > most;
  }
  flag('whole', whole);
  flag('killed', killed);
  flag('noticed', median(late) < limit);
}

async function parentKilledAtRandom() {
  const late = [];
  let inOrder = true;
  const argv = process.argv.includes('--peer') ? ['--peer'] : [];
  for (let round = 0; round < rounds; round++) {
    const middle = procs.spawn(process.execPath, [process.argv[1], ...argv, '--child', 'node-middle-floods'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const closed = once(middle, 'close');
    let said = '';
    let at;
    for await (const chunk of middle.stdout.setEncoding('utf8')) {
      said += chunk;
      if (at !== undefined) continue;
      await pause(below(20));
      middle.kill('SIGKILL');
      at = performance.now();
    }
    late.push(performance.now() - at);
    await closed;
    inOrder &&= said === 'ready\nin order\n';
  }
  flag('in_order', inOrder);
  flag('noticed', median(late) < limit);
}

export const parts = {
  'node-middle-floods': () => flood(talking('node-sink').child),
};

export const table = {
  'node-handles-of-child': ownHandles,
  'node-handle-killed': killedWithHandle,
  'node-handle-kept': keptOpen,
  'node-handle-unanswered': notAcknowledged,
  'node-handle-lost': lost,
  'node-child-leaves': childLeaves,
  'node-killed-at-random': killedAtRandom,
  'node-parent-killed-at-random': parentKilledAtRandom,
};
