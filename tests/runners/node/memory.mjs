// Shared memory: its layout, between processes, with a killed owner, and what is refused.

import { closeSync, openSync } from 'node:fs';
import { again, bytes, ended, fact, flag, procs, status, text } from './facts.mjs';

// Where a child finds the descriptor of the memory.
const FD = 3;
const PATIENCE = 20_000;

/** The kind of an error that must come. */
export async function kind(action) {
  try {
    await action();
  } catch (error) {
    if (error.kind === undefined) throw error;
    return fact(`error kind=${error.kind}`);
  }
  throw new Error('it did not fail');
}

/** The runner again, with the memory. */
function child(part, memory) {
  return procs.spawn(...again(part), { stdio: ['ignore', 'ignore', 'inherit', memory.fd] });
}

function layout() {
  const fields = procs.memoryLayout();
  flag('fields', fields.length);
  bytes('layout', fields.map(({ name, offset, size }) => `${name} ${offset} ${size}\n`).join(''));
}

async function twoProcesses() {
  const memory = new procs.SharedMemory(4096);
  flag('size', memory.size);
  memory.write(0, 'to the child');
  await ended(child('memory-reverse', memory));
  text('text', memory.read(100, 12).toString());
  const number = memory.cell(200);
  number.fetchAdd(1);
  flag('number', number.load());
}

async function ownerKilled() {
  const memory = new procs.SharedMemory(4096);
  const lock = memory.mutex(0, { create: true });
  const event = memory.event(256, { create: true });
  const owner = child('memory-own', memory);
  await event.wait({ timeout: PATIENCE });
  const end = ended(owner);
  owner.kill('SIGKILL');
  const { code, signal } = await end;
  status(code, signal);
  const guard = lock.lockSync();
  flag('owner_died', guard.ownerDied);
  guard.repair();
  guard.unlock();
  const next = await lock.lock();
  flag('owner_died', next.ownerDied);
  next.unlock();
}

async function semaphoreEvent() {
  const memory = new procs.SharedMemory(8192);
  const semaphore = memory.semaphore(4096, { value: 3, create: true });
  const taken = memory.event(256, { create: true });
  const go = memory.event(512, { create: true });
  const end = ended(child('memory-take', memory));
  await taken.wait({ timeout: PATIENCE });
  flag('available', semaphore.available);
  go.set();
  const { code, signal } = await end;
  status(code, signal);
  flag('available', semaphore.available);
  flag('set', taken.isSet);
  taken.clear();
  flag('set', taken.isSet);
}

async function refused() {
  const ours = new procs.SharedMemory(4096, { readOnly: true });
  const theirs = procs.SharedMemory.fromFd(ours.fd);
  flag('read_only', theirs.readOnly);
  await kind(() => theirs.write(0, 'x'));
  await kind(() => theirs.mutex(0, { create: true }));
  const none = openSync('/dev/null');
  await kind(() => procs.SharedMemory.fromFd(none));
  closeSync(none);
  await kind(() => new procs.SharedMemory(0));
  const memory = new procs.SharedMemory(4096);
  await kind(() => memory.mutex(1, { create: true }));
  await kind(() => memory.write(memory.size, 'x'));
}

/** What the children do. */
export const parts = {
  'memory-reverse': () => {
    const memory = procs.SharedMemory.fromFd(FD);
    memory.write(100, memory.read(0, 12).reverse());
    memory.cell(200).store(7);
  },
  'memory-own': () => {
    const memory = procs.SharedMemory.fromFd(FD);
    memory.mutex(0, { create: false }).lockSync();
    memory.event(256, { create: false }).set();
    setTimeout(() => {}, 3 * PATIENCE);
  },
  'memory-take': async () => {
    const memory = procs.SharedMemory.fromFd(FD);
    const semaphore = memory.semaphore(4096, { create: false });
    semaphore.acquireSync();
    await semaphore.acquire();
    memory.event(256, { create: false }).set();
    await memory.event(512, { create: false }).wait({ timeout: PATIENCE });
    semaphore.release(2);
  },
};

export const table = {
  'memory-layout': layout,
  'memory-two-processes': twoProcesses,
  'memory-owner-killed': ownerKilled,
  'memory-semaphore-event': semaphoreEvent,
  'memory-refused': refused,
};
