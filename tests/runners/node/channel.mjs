// Channels to a child: messages, descriptors, calls, and the end.

import { once } from 'node:events';
import { closeSync, openSync, writeSync } from 'node:fs';
import { again, bytes, ended, procs, status, text } from './facts.mjs';
import { kind } from './memory.mjs';

const LONG = { timeout: 20_000 };

/** A child of the runner, with a channel. */
function talking(part, stdin = 'ignore') {
  const child = procs.spawn(...again(part), { channel: true, stdio: [stdin, 'ignore', 'inherit'] });
  return { child, channel: child.channel, end: ended(child) };
}

async function said(end) {
  const { code, signal } = await end;
  status(code, signal);
}

async function echo() {
  const { channel, end } = talking('channel-echo');
  channel.send({ n: 1, t: 'ä€', l: [1, null, true] });
  const { l, n, t } = await channel.recv(LONG);
  text('json', JSON.stringify({ l, n, t }));
  channel.send(Buffer.from(Array.from({ length: 100_000 }, (_, at) => at % 251)), { codec: 'raw' });
  bytes('body', await channel.recv(LONG));
  channel.send(Buffer.from('body'), { codec: 'raw', buffers: [Buffer.from('one'), Buffer.alloc(200_000, 'z')] });
  const { value, buffers } = await channel.recv({ ...LONG, message: true });
  text('body', value.toString());
  text('buffer', buffers[0].toString());
  bytes('buffer', buffers[1]);
  channel.close();
  await said(end);
}

async function sizes() {
  const { channel, end } = talking('channel-echo');
  for (const size of [0, 1, 64, 4096, 65_537, 1 << 20]) {
    const data = Buffer.from(Uint8Array.from({ length: size }, (_, at) => at % 251));
    channel.send(data, { codec: 'raw', buffers: [data] });
    const { value, buffers } = await channel.recv({ ...LONG, message: true });
    bytes('body', value);
    bytes('buffer', buffers[0]);
  }
  channel.close();
  await said(end);
}

async function large() {
  const { channel, end } = talking('channel-echo');
  channel.send(Buffer.alloc(64 << 20, Buffer.from(Uint8Array.from({ length: 251 }, (_, at) => at))), { codec: 'raw' });
  bytes('body', await channel.recv(LONG));
  channel.close();
  await said(end);
}

async function descriptor() {
  const { channel, end } = talking('channel-descriptor');
  // A pipe made by a child: its writing end is what the child would print to.
  const pipe = procs.spawn(process.env.PROCS_TEST_CHILD, ['sleep', '60'], { stdio: ['ignore', 'pipe', 'ignore'] });

  const fd = openSync(`/proc/${pipe.pid}/fd/1`, 'w');
  channel.send(Buffer.from('through the pipe'), { codec: 'raw', fds: [fd] }, () => closeSync(fd));
  const gone = ended(pipe);
  const chunks = [];
  pipe.stdout.on('data', (chunk) => chunks.push(chunk));
  const first = await end;
  pipe.kill('SIGKILL');
  await gone;
  text('pipe', Buffer.concat(chunks).toString());
  status(first.code, first.signal);
}

async function call() {
  const { child, channel, end } = talking('channel-call', 'pipe');
  text('value', await channel.call('hello', LONG));
  await kind(() => channel.call('fail', LONG));
  await kind(() => channel.call('sleep', { timeout: 100 }));
  child.stdin.end();
  text('value', await channel.call('again', LONG));
  channel.close();
  await said(end);
}

async function killed() {
  const { child, channel, end } = talking('channel-three');
  for (let index = 0; index < 3; index++) text('body', (await channel.recv(LONG)).toString());
  child.kill('SIGKILL');
  await kind(() => channel.recv(LONG));
  await said(end);
}

async function closeFirst() {
  const { child, channel, end } = talking('channel-close-first', 'pipe');
  text('body', (await channel.recv(LONG)).toString());
  await kind(() => channel.recv(LONG));
  child.stdin.end();
  await said(end);
  channel.close();
}

async function closeUnread() {
  const { channel, end } = talking('channel-three');
  text('body', (await channel.recv(LONG)).toString());
  channel.close();
  await said(end);
}

/** What the children do. */
export const parts = {
  'channel-echo': () => {
    const channel = procs.parentChannel();
    channel.on('message', (value, { codec, buffers }) => channel.send(value, { codec, buffers }));
  },
  'channel-descriptor': async () => {
    const { value, fds } = await procs.parentChannel().recv({ message: true });
    writeSync(fds[0], value);
    closeSync(fds[0]);
  },
  'channel-call': () =>
    procs.parentChannel().serve(async (value) => {
      if (value === 'fail') throw Object.assign(new Error('no such key'), { name: 'KeyError' });
      if (value === 'sleep') await once(process.stdin.resume(), 'end');
      return value;
    }),
  'channel-three': async () => {
    const channel = procs.parentChannel({ codec: 'raw' });
    // The other side may close after the first; nothing comes but the end.
    for (const word of ['1', '2', '3']) channel.send(Buffer.from(word), () => {});
    await channel.recv().catch(() => {});
  },
  'channel-close-first': async () => {
    const channel = procs.parentChannel({ codec: 'raw' });
    await new Promise((resolve) => channel.send(Buffer.from('last'), resolve));
    channel.close();
    await once(process.stdin.resume(), 'end');
  },
};

export const table = {
  'channel-echo': echo,
  'channel-sizes': sizes,
  'channel-large': large,
  'channel-descriptor': descriptor,
  'channel-call': call,
  'channel-child-killed': killed,
  'channel-close-first': closeFirst,
  'channel-close-unread': closeUnread,
};
