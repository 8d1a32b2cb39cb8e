'use strict';

// Every form of stdio, and the streams that come of it.

const fs = require('node:fs');
const path = require('node:path');

function closed(child) {
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve([code, signal]));
  });
}

async function collect(stream) {
  let all = '';
  for await (const chunk of stream.setEncoding('utf8')) all += chunk;
  return all;
}

function shape(stream) {
  return stream && [stream.constructor.name, stream.readable, stream.destroyed, stream.allowHalfOpen, stream.connecting];
}

async function shapes(cp, log) {
  const forms = ['pipe', 'ignore', 'overlapped', ['pipe'], ['ignore', 'pipe', 'ignore'], [null, undefined, 'pipe', 'pipe'],
    ['pipe', -1, 'pipe', 'ignore', 'overlapped'], ['pipe', 'pipe', 'pipe', null, null]];
  for (const stdio of forms) {
    const child = cp.spawn('true', [], { stdio });
    const done = closed(child);
    log(stdio, child.stdio.map(shape), child.stdin === child.stdio[0], child.stdout === child.stdio[1], child.stderr === child.stdio[2]);
    log('end', await done);
  }
}

async function throughFiles(cp, log, folder) {
  const file = path.join(folder, 'out');
  const fd = fs.openSync(file, 'w');
  const child = cp.spawn('sh', ['-c', 'echo out; echo err >&2'], { stdio: ['ignore', fd, fd] });
  log('streams', child.stdio);
  log('end', await closed(child));
  fs.closeSync(fd);
  log('file', fs.readFileSync(file, 'utf8'));
}

async function throughStreams(cp, log, folder) {
  const file = path.join(folder, 'streamed');
  const target = fs.createWriteStream(file);
  await new Promise((resolve) => target.once('open', resolve));
  log('end', await closed(cp.spawn('echo', ['into a stream'], { stdio: ['ignore', target, 'inherit'] })));
  target.end();
  log('file', fs.readFileSync(file, 'utf8'));
  const source = fs.createReadStream(file);
  await new Promise((resolve) => source.once('open', resolve));
  const child = cp.spawn('cat', [], { stdio: [source, 'pipe', 'inherit'] });
  log('output', await collect(child.stdout));
  source.destroy();
}

async function chain(cp, log) {
  const first = cp.spawn('sh', ['-c', 'sleep 0.1; echo from the first']);
  const second = cp.spawn('tr', ['a-z', 'A-Z'], { stdio: [first.stdout, 'pipe', 'inherit'] });
  const ends = [closed(first), closed(second)];
  log('output', await collect(second.stdout));
  first.stdout.destroy();
  log('ends', await Promise.all(ends));
}

async function extraPipes(cp, log) {
  const script = 'echo three >&3; read word <&4; echo "got $word"; echo back >&4';
  const child = cp.spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit', 'pipe', 'pipe'] });
  const done = closed(child);
  child.stdio[4].write('hello\n');
  log('output', await Promise.all([collect(child.stdout), collect(child.stdio[3]), collect(child.stdio[4])]));
  log('end', await done);
}

async function feeding(cp, log) {
  const child = cp.spawn('wc', ['-c']);
  const done = closed(child);
  const block = Buffer.alloc(1 << 16, 'x');
  let waits = 0;
  for (let i = 0; i < 40; i++) {
    if (!child.stdin.write(block)) {
      waits++;
      await new Promise((resolve) => child.stdin.once('drain', resolve));
    }
  }
  child.stdin.end();
  log('waited', waits > 0, (await collect(child.stdout)).trim(), await done);
}

async function backPressure(cp, log) {
  const child = cp.spawn('head', ['-c', '3000000', '/dev/zero']);
  const done = closed(child);
  let bytes = 0;
  for await (const chunk of child.stdout) {
    bytes += chunk.length;
    await new Promise(setImmediate);
  }
  log('bytes', bytes, await done);
}

async function inherited(cp, log, folder) {
  const script = `const cp = require(${JSON.stringify(cp.modulePath)});
    cp.spawn('sh', ['-c', 'cat; echo err >&2'], { stdio: 'inherit' });
    cp.spawnSync('sh', ['-c', 'echo sync'], { stdio: ['ignore', 'inherit', 'inherit'] });`;
  const result = cp.spawnSync(process.execPath, ['-e', script], { input: 'through\n', encoding: 'utf8', cwd: folder });
  log(result.stdout.split('\n').sort(), result.stderr.split('\n').sort(), result.status);
}

async function binary(cp, log) {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const child = cp.spawn('cat');
  const done = closed(child);
  child.stdin.end(bytes);
  const chunks = [];
  for await (const chunk of child.stdout) chunks.push(chunk);
  log('equal', Buffer.concat(chunks).equals(bytes), await done);
}

module.exports.cases = {
  'stdio: shapes': shapes,
  'stdio: descriptors of files': throughFiles,
  'stdio: streams of files': throughStreams,
  "stdio: another child's output": chain,
  'stdio: more pipes': extraPipes,
  'stdio: feeding with back-pressure': feeding,
  'stdio: reading with back-pressure': backPressure,
  'stdio: inherited': inherited,
  'stdio: all byte values': binary,
};
