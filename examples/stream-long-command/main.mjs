// Reading a child's output while it runs: slowly, fast, and only its beginning.

import { constants } from 'node:os';
import { spawn } from 'procs-native';

const shell = (script) => spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });

/** How a child ended; asked for before it can end. */
function ending(child) {
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      resolve(signal === null ? `exit code ${code}` : `signal ${constants.signals[signal]} (${signal})`);
    });
  });
}

console.log('a command that takes its time, line by line:');
const slow = shell('for i in 1 2 3 4; do echo "step $i of 4"; sleep 0.1; done');
const slowEnd = ending(slow);
let number = 0;
for await (const line of slow.lines()) console.log(`  ${++number}: ${line}`);
console.log(`  ended: ${await slowEnd}`);

console.log('a fast one, counted:');
const fast = spawn('seq', ['1', '200000'], { stdio: ['ignore', 'pipe', 'inherit'] });
const fastEnd = ending(fast);
let count = 0;
let bytes = 0;
for await (const line of fast.lines()) {
  count += 1;
  bytes += line.length + 1;
}
console.log(`  ${count} lines, ${bytes} bytes, ended: ${await fastEnd}`);

console.log('an endless one, left after 3 lines:');
const endless = shell('while :; do echo tick; done');
const endlessEnd = ending(endless);
const ticks = endless.lines();
for (number = 1; number <= 3; number++) console.log(`  ${number}: ${(await ticks.next()).value}`);
await endless.stop();
console.log(`  stopped: ${await endlessEnd}`);
