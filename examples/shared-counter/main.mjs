// A counter that processes share under a lock, also when one of them is killed while it holds the lock.

import { once } from 'node:events';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import procs from 'procs-native';

// Where things are in the memory: the lock, then what it protects. The two numbers are equal whenever nobody is inside.
const [LOCK, COUNT, COPY, INSIDE] = [0, 128, 136, 192];
// Where a worker finds the descriptor of the memory.
const FD = 3;

/** This program again, with the memory. */
function start(memory, part) {
  return procs.spawn(process.execPath, [fileURLToPath(import.meta.url), part], { stdio: ['ignore', 'inherit', 'inherit', memory.fd] });
}

async function parent() {
  const memory = new procs.SharedMemory(4096);
  const lock = memory.mutex(LOCK, { create: true });
  const inside = memory.event(INSIDE, { create: true });
  const [count, copy] = [memory.cell(COUNT), memory.cell(COPY)];
  const workers = Array.from({ length: 4 }, () => start(memory, 'count'));
  await Promise.all(workers.map((worker) => once(worker, 'exit')));
  console.log(`4 workers counted to ${count.load()}`);

  const victim = start(memory, 'die');
  await inside.wait({ timeout: 20_000 });
  victim.kill('SIGKILL');
  const [, signal] = await once(victim, 'exit');
  console.log(`a worker was killed while it held the lock: signal ${constants.signals[signal]} (${signal})`);

  // Nobody waits for ever: the next one has the lock, and is told.
  const guard = await lock.lock();
  console.log(`the next one is told: owner died = ${guard.ownerDied}, ${count.load()} and ${copy.load()} differ`);
  count.store(copy.load());
  guard.repair();
  guard.unlock();

  const next = await lock.lock();
  console.log(`repaired: ${count.load()} and ${copy.load()}`);
  next.unlock();
}

function worker(part) {
  const memory = procs.SharedMemory.fromFd(FD);
  const lock = memory.mutex(LOCK, { create: false });
  const [count, copy] = [memory.cell(COUNT), memory.cell(COPY)];
  if (part === 'die') {
    lock.lockSync();
    count.store(9999n);
    memory.event(INSIDE, { create: false }).set();
    // Half of the change is made; the kill comes now.
    setTimeout(() => {}, 60_000);
    return;
  }
  for (let index = 0; index < 1000; index++) {
    const guard = lock.lockSync();
    count.store(count.load() + 1n);
    copy.store(copy.load() + 1n);
    guard.unlock();
  }
}

if (process.argv.length > 2) worker(process.argv[2]);
else await parent();
