// The fixed forms of facts, and what every scenario is given.

import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

// In the tree the package is found from here, wherever the runner was started.
const require = createRequire(import.meta.url);
export const procs = require('../../../bindings/node/index.cjs');

export const helper = process.env.PROCS_TEST_CHILD;

export function file(name) {
  return path.join(process.env.PROCS_TEST_DIR, name);
}

export function fact(line) {
  process.stdout.write(`${line}\n`);
}

export function flag(name, value) {
  fact(`flag ${name}=${value}`);
}

/** Text as JSON writes it; what is not UTF-8 has no place in a transcript. */
export function quoted(text) {
  return JSON.stringify(text).replace(/\\b/g, '\\u0008').replace(/\\f/g, '\\u000c');
}

export function text(name, value) {
  fact(`${name} text=${quoted(value)}`);
}

export function bytes(name, value) {
  const data = Buffer.from(value);
  fact(`${name} bytes=${data.length} sha256=${createHash('sha256').update(data).digest('hex')}`);
}

export function ending(code, signal) {
  return `code=${code ?? 'none'} signal=${signal ?? 'none'}`;
}

export function status(code, signal) {
  fact(code === null && signal === null ? 'status unknown' : `status ${ending(code, signal)}`);
}

/** The kernel's name of an errno; getSystemErrorName knows only those of libuv, and ENOEXEC is none of them. */
function errnoName(errno) {
  return Object.keys(constants.errno).find((name) => constants.errno[name] === -errno) ?? String(errno);
}

export function errorFact(error) {
  if (error.kind === 'INVALID_ARGUMENT') return fact('error kind=INVALID_ARGUMENT');
  if (error.kind === undefined) throw error;
  const errno = error.errno === undefined ? 'none' : errnoName(error.errno);
  return fact(`error kind=${error.kind} stage=${error.stage ?? 'none'} errno=${errno}`);
}

/** The error of a start or run that must fail. */
export async function failure(promise) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return errorFact(error);
  }
  throw new Error(`succeeded: ${JSON.stringify(value)}`);
}

/** The runner again, or the one of SCENARIO_PEER, as the child of a scenario: its program and arguments. */
export function again(part) {
  const peer = process.env.SCENARIO_PEER?.split('\n') ?? [process.execPath, fileURLToPath(new URL('../node.mjs', import.meta.url))];
  return [peer[0], [...peer.slice(1), '--child', part]];
}

/** A run of the helper. */
export function run(args, options) {
  return procs.run(helper, args, options);
}

/** The end of a spawned child. */
export function ended(child) {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
}
