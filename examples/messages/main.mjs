// Two processes that exchange messages: objects, and bytes as they are.

import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import procs from 'procs-native';

const LONG = { timeout: 20_000 };

async function parent() {
  const child = procs.spawn(process.execPath, [fileURLToPath(import.meta.url), 'child'], { channel: true, stdio: 'inherit' });
  const ended = once(child, 'exit');
  const { channel } = child;
  for (const word of ['apple', 'fig']) {
    channel.send({ word });
    const { length, word: upper } = await channel.recv(LONG);
    console.log(`sent ${JSON.stringify({ word })}, got back ${JSON.stringify({ length, word: upper })}`);
  }
  const data = Buffer.alloc(1 << 20);
  channel.send(data, { codec: 'raw' });
  console.log(`a mebibyte came back as it was: ${data.equals(await channel.recv(LONG))}`);
  channel.send('enough');
  try {
    await channel.recv(LONG);
  } catch (error) {
    console.log(`the other side has ended: ${error.kind}`);
  }
  const [code] = await ended;
  console.log(`the child ended with exit code ${code}`);
}

async function child() {
  const channel = procs.parentChannel();
  for await (const value of channel) {
    if (value === 'enough') break;
    if (Buffer.isBuffer(value)) channel.send(value, { codec: 'raw' });
    else channel.send({ length: value.word.length, word: value.word.toUpperCase() });
  }
  channel.close();
}

if (process.argv.length > 2) await child();
else await parent();
