// Child objects: waiting, killing, the stop ladder, streams.

import fs from 'node:fs';
import { ended, file, flag, helper, procs, status, text } from './facts.mjs';

export function quiet(args) {
  return procs.spawn(helper, args, { stdio: 'ignore' });
}

function piped(args, options) {
  return procs.spawn(helper, args, { ...options, stdio: ['ignore', 'pipe', 'inherit'] });
}

async function wait() {
  const child = quiet(['exit', '9']);
  flag('pid_positive', child.pid > 0);
  const end = await ended(child);
  status(end.code, end.signal);
  status(child.exitCode, child.signalCode);
}

async function kill() {
  const child = quiet(['sleep', '60']);
  child.kill('SIGKILL');
  const end = await ended(child);
  status(end.code, end.signal);
}

/** Spawns, reads the line "ready", then stops. */
async function stopped(args, options) {
  const child = piped(args);
  const end = ended(child);
  const lines = child.lines();
  const first = await lines.next();
  if (first.value !== 'ready') throw new Error(`not ready: ${JSON.stringify(first)}`);
  await child.stop(options);
  const { code, signal } = await end;
  status(code, signal);
}

async function nullStreams() {
  const end = await ended(quiet(['fds', file('list')]));
  status(end.code, end.signal);
  text('file', fs.readFileSync(file('list'), 'utf8'));
}

async function toFile() {
  for (const [word, mode] of [['one', 'w'], ['two', 'a']]) {
    const fd = fs.openSync(file('out'), mode);
    const end = await ended(procs.spawn(helper, ['echo', word], { stdio: ['ignore', fd, 'inherit'] }));
    fs.closeSync(fd);
    status(end.code, end.signal);
  }
  text('file', fs.readFileSync(file('out'), 'utf8'));
}

async function argv0() {
  const child = piped(['argv0'], { argv0: 'other name' });
  const end = ended(child);
  let stdout = '';
  for await (const chunk of child.stdout.setEncoding('utf8')) stdout += chunk;
  const { code, signal } = await end;
  text('stdout', stdout);
  status(code, signal);
}

export const table = {
  'spawn-wait': wait,
  'spawn-kill': kill,
  'spawn-stop-ladder': () => stopped(['on-term', '42']),
  'spawn-stop-ignores-term': () => stopped(['ignore-term'], { grace: 200 }),
  'spawn-stopped-child': () => stopped(['stopped']),
  'spawn-null-streams': nullStreams,
  'spawn-to-file': toFile,
  'spawn-argv0': argv0,
};
