// The tour: six things that libprocs does, each with what it prints.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import procs from 'procs-native';

// Three processes: a shell, its child, and a grandchild in a session of its own. Each tells its process id.
const TREE = 'sleep 60 & echo $!; setsid sleep 60 & echo $!; echo $$; wait';

async function runAndCapture() {
  console.log('1. run a program and capture what it says');
  const done = await procs.run('sh', ['-c', 'echo hello; echo oops >&2; exit 3'], { encoding: 'utf8' });
  console.log(`   stdout "${done.stdout.trimEnd()}", stderr "${done.stderr.trimEnd()}", exit code ${done.code}`);
}

async function streamLines() {
  console.log('2. stream a long runner, line by line');
  const began = Date.now();
  const child = procs.spawn('sh', ['-c', 'for i in 1 2 3; do echo step $i of 3; sleep 0.3; done']);
  const ended = new Promise((resolve) => child.on('close', resolve));
  for await (const line of child.lines()) {
    console.log(`   after ${seconds(began)} s: ${line}`);
  }
  console.log(`   ended with exit code ${await ended}`);
}

async function feedAFilter() {
  console.log('3. feed a filter');
  const done = await procs.run('sort', [], { input: 'pear\nfig\napple\n', encoding: 'utf8' });
  console.log(`   pear fig apple sorted: ${done.stdout.trim().split('\n').join(' ')}`);
}

async function stopATree() {
  console.log('4. a deadline that stops a whole tree');
  const began = Date.now();
  const done = await procs.run('sh', ['-c', TREE], { timeout: 2000, killTree: true, encoding: 'utf8' });
  const pids = done.stdout.trim().split('\n');
  console.log(`   ${done.timedOut ? 'the deadline passed' : 'it ended early'}, after ${seconds(began)} s`);
  console.log(`   ${pids.length} processes had started, ${pids.filter(alive).length} are left`);
}

async function honestErrors() {
  console.log('5. honest errors');
  for (const [program, options] of [['no-such-program', {}], ['true', { cwd: '/no/such/folder' }]]) {
    try {
      await procs.run(program, [], options);
    } catch (error) {
      console.log(`   ${error.kind} at ${error.stage}: ${error.message}`);
    }
  }
}

async function talkWithNode() {
  console.log('6. talk with a plain Node program');
  // A plain program of Node, which knows nothing of libprocs.
  const adder = "process.once('message', ({ a, b }) => { process.send({ sum: a + b }); process.disconnect(); })";
  const child = procs.spawn('node', ['-e', adder], { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
  const ended = once(child, 'exit');
  child.send({ a: 20, b: 22 });
  const [answer] = await once(child, 'message');
  console.log(`   it answered ${JSON.stringify(answer)}`);
  console.log(`   then exit code ${(await ended)[0]}`);
}

const seconds = (began) => ((Date.now() - began) / 1000).toFixed(1);

// Whether the process exists and is more than a zombie that its new parent has not looked at yet.
function alive(pid) {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').pop().startsWith('Z');
  } catch {
    return false;
  }
}

await runAndCapture();
await streamLines();
await feedAFilter();
await stopATree();
await honestErrors();
await talkWithNode();
