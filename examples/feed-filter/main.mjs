// Writing to a child and reading from it at the same time.

import { once } from 'node:events';
import { run, spawn } from 'procs-native';

console.log('text through a filter:');
const upper = await run('tr', ['a-z', 'A-Z'], { input: 'hello from libprocs\n' });
console.log(`  ${upper.stdout.trim()}`);

const bytes = Buffer.alloc(4_000_000, 'abcdefghijklmnopqrstuvwxyz');
console.log(`${bytes.length} bytes through cat:`);
const copy = await run('cat', [], { input: bytes, encoding: 'buffer' });
console.log(`  came back: ${copy.stdout.length} bytes, equal: ${copy.stdout.equals(bytes)}`);

console.log('a filter that stops reading early:');
const numbers = Array.from({ length: 100_000 }, (_, index) => `${index + 1}\n`).join('');
const head = await run('head', ['-n', '1'], { input: numbers });
console.log(`  first line: ${head.stdout.trim()}`);
console.log(`  ended: exit code ${head.code}`);

console.log('a conversation:');
const script = 'while read -r word; do echo "got $word"; done';
const child = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
const closed = once(child, 'close');
const answers = child.lines();
for (const word of ['one', 'two', 'three']) {
  child.stdin.write(`${word}\n`);
  console.log(`  ${word} -> ${(await answers.next()).value}`);
}
child.stdin.end();
const [code] = await closed;
console.log(`  ended: exit code ${code}`);
