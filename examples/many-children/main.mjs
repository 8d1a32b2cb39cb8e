// Many commands, a few at a time; and whichever of several children ends first.

import { once } from 'node:events';
import { runMany, spawn, waitAny } from 'procs-native';

const job = (word, code) => ['sh', ['-c', 'echo "$1"; exit "$2"', 'sh', word, String(code)]];
const commands = [job('one', 0), job('two', 0), job('three', 3), job('four', 0), ['no-such-program'], job('six', 0)];

console.log(`${commands.length} commands, 2 at a time:`);
let finished = 0;
const results = await runMany(commands, { jobs: 2, onProgress: () => { finished += 1; } });
results.forEach(({ value, reason }, index) => {
  const text = reason ? reason.kind : `exit code ${value.code}, output: ${value.stdout.trim()}`;
  console.log(`  job ${index + 1}: ${text}`);
});
console.log(`  finished: ${finished}`);

console.log('3 children, in the order in which they end:');
const children = [1, 2, 3].map((number) => {
  const child = spawn('cat', [], { stdio: ['pipe', 'ignore', 'inherit'] });
  return { number, child, exit: once(child, 'exit') };
});
for (const number of [3, 1, 2]) {
  children.find((entry) => entry.number === number).child.stdin.end();
  const [entry] = children.splice(await waitAny(children.map(({ child }) => child)), 1);
  const [code] = await entry.exit;
  console.log(`  child ${entry.number}: exit code ${code}`);
}
