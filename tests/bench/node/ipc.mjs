// Messages between two Node processes or threads: child_process, worker_threads and libprocs.
// `ipc.mjs CASE mode=M sizes=N,N seconds=S peer-cpu=C`, for a plain script that echoes `echo=PATH`.
import * as childProcess from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { options } from './common.mjs';
import { measure, measureEcho, serve } from './messages.mjs';

const FILE = fileURLToPath(import.meta.url);
const BYTES = (size) => Buffer.alloc(size, 'x');
const TEXT = (size) => 'x'.repeat(size);

/** Either end of a process channel. Its queue grows without bound: a sender waits for the callback of every message that `send` refuses. */
function processLink(end) {
  const stopped = (error) => { if (error) throw error; };
  const link = { handler: null, onMessage: (handler) => { link.handler = handler; } };
  end.on('message', (message) => link.handler(message));
  link.send = (message) => {
    let sent;
    const written = new Promise((resolve) => { sent = resolve; });
    return end.send(message, (error) => { stopped(error); sent(); }) ? undefined : written;
  };
  return link;
}

/** Either end of a worker's port. It has no measure of what is queued. */
function portLink(port) {
  const link = { handler: null, onMessage: (handler) => { link.handler = handler; } };
  port.on('message', (message) => link.handler(message));
  link.send = (message) => { port.postMessage(message); };
  return link;
}

/** The options of fork for a child that is to run on another processor. */
function place(values) {
  return values['peer-cpu'] ? { execPath: 'taskset', execArgv: ['-c', values['peer-cpu'], process.execPath] } : {};
}

/** A child that knows nothing of measurements. */
async function echo(api, values) {
  const child = api.fork(values.echo, [], place(values));
  const ended = new Promise((resolve) => child.on('exit', resolve));
  await measureEcho(processLink(child), values);
  child.disconnect();
  if (await ended !== 0) throw new Error('child failed');
}

/** fork with one of its two serializations. */
function forked(serialization, make, role = 'child') {
  return async (api, values) => {
    const child = api.fork(FILE, [role], { serialization, ...place(values) });
    const ended = new Promise((resolve) => child.on('exit', resolve));
    await measure(processLink(child), values, make);
    if (await ended !== 0) throw new Error('child failed');
  };
}

/** A worker thread, which is given a processor of its own when the sides are to be apart. */
async function worker(_api, values) {
  const thread = new Worker(FILE, { workerData: { cpu: values['peer-cpu'] }, argv: ['worker'] });
  const ended = new Promise((resolve) => thread.on('exit', resolve));
  await measure(portLink(thread), values, BYTES);
  if (await ended !== 0) throw new Error('worker failed');
}

function serveAsWorker() {
  const thread = readlinkSync('/proc/thread-self').split('/').pop();
  if (workerData.cpu) childProcess.execFileSync('taskset', ['-cp', workerData.cpu, thread]);
  serve(portLink(parentPort), () => parentPort.close());
}

/** Either end of libprocs' channel: bytes as they are, orders as JSON. */
function channelLink(channel) {
  const link = { handler: null, onMessage: (handler) => { link.handler = handler; } };
  channel.on('message', (message) => link.handler(message));
  link.send = (message) => {
    const room = message.kind ? channel.send(message, { codec: 'json' }) : channel.send(message);
    return room ? undefined : new Promise((resolve) => channel.once('drain', resolve));
  };
  return link;
}

/** A channel to this file as a program. */
async function channel(api, values) {
  const { execPath, execArgv } = { execPath: process.execPath, execArgv: [], ...place(values) };
  const child = api.spawn(execPath, [...execArgv, FILE, 'procs-child'], { channel: { codec: 'raw' }, stdio: 'inherit' });
  const ended = new Promise((resolve) => child.on('exit', resolve));
  await measure(channelLink(child.channel), values, BYTES);
  if (await ended !== 0) throw new Error('child failed');
}

function serveAsChild(api) {
  const end = api.parentChannel({ codec: 'raw' });
  serve(channelLink(end), () => end.close());
}

/** Nothing but the require makes this end of Node's channel native. */
const serveForked = () => serve(processLink(process), () => process.disconnect());

const PEERS = { 'fork-json': forked('json', TEXT), 'fork-advanced': forked('advanced', BYTES), worker, echo, child: serveForked };
const OURS = { fork: forked('json', TEXT, 'procs-forked'), echo, channel, child: serveAsChild, forked: serveForked };

const { name, values } = options();
const ours = name?.startsWith('procs-');
const api = ours ? createRequire(import.meta.url)('../../../bindings/node') : childProcess;
const run = ours ? OURS[name.slice('procs-'.length)] : PEERS[name];
if (!isMainThread) serveAsWorker();
else if (run) await run(api, values);
else {
  console.error(`unknown case ${name}`);
  process.exitCode = 2;
}
