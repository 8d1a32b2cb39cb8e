// A large array is handed to another process and back, without a copy: only a descriptor travels.

import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import procs from 'procs-native';

const COUNT = 1_000_000;
const LONG = { timeout: 20_000 };

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

async function parent() {
  const memory = new procs.SharedMemory(4 * COUNT);
  const numbers = new Uint32Array(memory.buffer, 0, COUNT);
  for (let at = 0; at < COUNT; at++) numbers[at] = at;
  console.log(`an array of ${COUNT} numbers, ${numbers.byteLength} bytes: the sum is ${sum(numbers)}`);

  const child = procs.spawn(process.execPath, [fileURLToPath(import.meta.url), 'double'], { channel: true, stdio: 'inherit' });
  const ended = once(child, 'exit');
  const { channel } = child;
  channel.send(Buffer.from('double'), { codec: 'raw', fds: [memory.fd] });
  console.log('handed over with a message of 6 bytes');
  console.log(`the other process has doubled ${await channel.recv(LONG)} numbers where they are`);
  console.log(`the sum is ${sum(numbers)}, in the same memory`);
  channel.close();
  const [code] = await ended;
  console.log(`the child ended with exit code ${code}`);
}

async function double() {
  const channel = procs.parentChannel();
  const { fds: [fd] } = await channel.recv({ ...LONG, message: true });
  const memory = procs.SharedMemory.fromFd(fd);
  closeSync(fd);
  const numbers = new Uint32Array(memory.buffer, 0, COUNT);
  for (let at = 0; at < COUNT; at++) numbers[at] *= 2;
  channel.send(COUNT);
  channel.close();
}

if (process.argv.length > 2) await double();
else await parent();
