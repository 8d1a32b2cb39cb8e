// Questions to another process: an answer, a failure, a deadline.

import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import procs from 'procs-native';

async function parent() {
  const child = procs.spawn(process.execPath, [fileURLToPath(import.meta.url), 'serve'], { channel: true, stdio: ['pipe', 'inherit', 'inherit'] });
  const ended = once(child, 'exit');
  const ask = (numbers, timeout = 20_000) => child.channel.call(numbers, { timeout });
  console.log(`2 + 3 = ${await ask([2, 3])}`);
  try {
    await ask([]);
  } catch (error) {
    console.log(`a failure comes back: ${error.remoteType}`);
  }
  try {
    await ask(['slowly'], 100);
  } catch (error) {
    console.log(`no answer in 0.1 s: ${error.kind}`);
  }
  // The end of the input makes the child answer what it was slow with.
  child.stdin.end();
  console.log(`and it goes on: 40 + 2 = ${await ask([40, 2])}`);
  child.channel.close();
  const [code] = await ended;
  console.log(`the child ended with exit code ${code}`);
}

async function answer(numbers) {
  if (numbers.length === 0) throw Object.assign(new Error('no sum of nothing'), { name: 'ValueError' });
  if (numbers[0] !== 'slowly') return numbers.reduce((sum, number) => sum + number);
  await once(process.stdin.resume(), 'end');
  return 0;
}

if (process.argv.length > 2) await procs.parentChannel().serve(answer);
else await parent();
