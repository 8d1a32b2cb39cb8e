// Taking in a child's output from Node: child_process and libprocs. `capture.mjs CASE producer=PATH bytes=B captures=N`.
import * as childProcess from 'node:child_process';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { options, reportCapture } from './common.mjs';

const { name, values } = options();
const OUTPUT_ONLY = { stdio: ['ignore', 'pipe', 'inherit'] };
const NO_CAP = { maxBuffer: Infinity, encoding: 'buffer' };

function spawn(api, file, args, onChunk) {
  return new Promise((resolve, reject) => {
    const child = api.spawn(file, args, OUTPUT_ONLY);
    child.stdout.on('data', onChunk);
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error('producer failed'))));
  });
}

async function discard(api, file, args) {
  let total = 0;
  await spawn(api, file, args, (chunk) => { total += chunk.length; });
  return total;
}

async function concat(api, file, args) {
  const chunks = [];
  await spawn(api, file, args, (chunk) => chunks.push(chunk));
  return Buffer.concat(chunks).length;
}

function execFile(api, file, args) {
  return new Promise((resolve, reject) => {
    api.execFile(file, args, NO_CAP, (error, stdout) => (error ? reject(error) : resolve(stdout.length)));
  });
}

function spawnSync(api, file, args) {
  return api.spawnSync(file, args, { ...OUTPUT_ONLY, ...NO_CAP }).stdout.length;
}

function lineEvents(api, file, args) {
  return new Promise((resolve) => {
    let total = 0;
    const reader = createInterface({ input: api.spawn(file, args, OUTPUT_ONLY).stdout });
    reader.on('line', (line) => { total += line.length; });
    reader.on('close', () => resolve(total));
  });
}

async function forAwait(api, file, args) {
  let total = 0;
  for await (const line of createInterface({ input: api.spawn(file, args, OUTPUT_ONLY).stdout })) total += line.length;
  return total;
}

/** Only libprocs has these. */
async function ownLines(api, file, args) {
  let total = 0;
  for await (const line of api.spawn(file, args, OUTPUT_ONLY).lines()) total += line.length;
  return total;
}

async function ownBatches(api, file, args) {
  let total = 0;
  for await (const batch of api.spawn(file, args, OUTPUT_ONLY).lines().batches()) for (const line of batch) total += line.length;
  return total;
}

const CASES = { discard, concat, execFile, spawnSync, 'line-events': lineEvents, 'for-await': forAwait, lines: ownLines, batches: ownBatches };
const ours = name.startsWith('procs-');
const loaded = ours ? createRequire(import.meta.url)('../../../bindings/node') : childProcess;
// Asked for before anything is measured: what a module loads for its first child is no part of what an output takes.
const api = { execFile: loaded.execFile, spawn: loaded.spawn, spawnSync: loaded.spawnSync };
const take = CASES[ours ? name.slice('procs-'.length) : name];
if (!take) throw new Error(`unknown case ${name}`);
await reportCapture(values, (file, args) => take(api, file, args));
