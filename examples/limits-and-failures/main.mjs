// How programs end, why they do not start, and bounds on what they write and use.

import fs from 'node:fs';
import { constants } from 'node:os';
import { run } from 'procs-native';

const shell = (script, options) => run('sh', ['-c', script], options);
const onOneLine = (text) => text.trim().split('\n').join(' ');

function ending({ code, signal }) {
  return signal === null ? `exit code ${code}` : `signal ${constants.signals[signal]} (${signal})`;
}

console.log('how programs end:');
console.log(`  ${ending(await shell('exit 3'))}`);
console.log(`  ${ending(await shell('kill -TERM $$'))}`);

console.log('why programs do not start:');
const refused = [['missing program', 'no-such-program'], ['missing directory', 'true', '/no/such/directory'], ['a directory as program', '/']];
for (const [what, program, cwd] of refused) {
  try {
    await run(program, [], { cwd });
  } catch (error) {
    console.log(`  ${what}: ${error.kind} at ${error.stage}`);
  }
}

console.log('a checked run:');
try {
  await shell('echo cannot do that >&2; exit 2', { check: true });
} catch (error) {
  console.log(`  ${error.kind}: ${ending(error.result)}, stderr: ${error.result.stderr.trim()}`);
}

const limited = (policy, bytes, check) => run('seq', ['1', '100000'], { maxOutput: { policy, bytes }, check });
const head = await limited('head', 8);
const tail = await limited('tail', 13);
const spill = await limited('spill', 16);
console.log(`${head.stdoutInfo.totalBytes} bytes of output, limited:`);
try {
  await limited('error', 1000, true);
} catch (error) {
  console.log(`  error: ${error.kind}, ${error.result.stdout.length} bytes kept`);
}
console.log(`  head: ${head.stdoutInfo.totalBytes} bytes in all, kept: ${onOneLine(head.stdout)}`);
console.log(`  tail: ${tail.stdoutInfo.totalBytes} bytes in all, kept: ${onOneLine(tail.stdout)}`);
const { spillFd } = spill.stdoutInfo;
console.log(`  spill: ${spill.stdoutInfo.totalBytes} bytes in all, in the file: ${fs.fstatSync(spillFd).size}`);
fs.closeSync(spillFd);

console.log('limits of the child:');
const files = await shell('ulimit -n', { limits: { noFile: 64 } });
console.log(`  open files: ${files.stdout.trim()}`);
