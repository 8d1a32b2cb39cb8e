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
  for (let i = 0; i < 40; i++) {
    if (!child.stdin.write(block)) await new Promise((resolve) => child.stdin.once('drain', resolve));
  }
  child.stdin.end();
  log((await collect(child.stdout)).trim(), await done);
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

/** Three writers into one program: two children and this process. */
async function mergedInput(cp, log) {
  const sink = cp.spawn('cat', [], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [one, two] = [1, 2].map(() => cp.spawn('cat', [], { stdio: ['pipe', sink.stdin, 'inherit'] }));
  const heard = () => new Promise((resolve) => sink.stdout.once('data', (chunk) => resolve(chunk.toString())));
  const ends = [sink, one, two].map(closed);
  one.stdin.end('one\n');
  log(await heard());
  two.stdin.end('two\n');
  log(await heard());
  sink.stdin.end('here\n');
  log(await heard());
  log('ends', await Promise.all(ends));
}

/** What a child left in a pipe that it was given is read here afterwards. */
async function readAfterwards(cp, log) {
  const source = cp.spawn('cat', [], { stdio: ['pipe', 'pipe', 'inherit'] });
  const head = cp.spawn('head', ['-n1'], { stdio: [source.stdout, 'pipe', 'inherit'] });
  const ends = [source, head].map(closed);
  source.stdin.write('first\n');
  head.stdout.on('data', (chunk) => log('head', chunk.toString()));
  await new Promise((resolve) => head.once('exit', resolve));
  source.stdin.end('second\n');
  source.stdout.on('data', (chunk) => log('here', chunk.toString())).resume();
  log('ends', await Promise.all(ends));
}

/** The write side is filled, and ended while it still drains. */
async function endWhileDraining(cp, log) {
  const child = cp.spawn('wc', ['-c']);
  const done = closed(child);
  let sent = 0;
  for (let size = 1024; child.stdin.write(Buffer.alloc(size, '.')); size += 1024) sent += size;
  for (let i = 0; i < 50; i++) child.stdin.write(Buffer.alloc(10_000, '.'));
  child.stdin.end();
  log('more', Number(await collect(child.stdout)) > sent, await done);
}

async function partlyRead(cp, log) {
  const untouched = cp.spawn('echo');
  untouched.stdout.read();
  log('end', await closed(untouched));
  const child = cp.spawn('echo', ['123']);
  const chunks = [];
  child.stdout.on('readable', () => setImmediate(() => {
    for (let chunk = child.stdout.read(); chunk; chunk = child.stdout.read()) chunks.push(chunk);
  }));
  log('end', await closed(child), Buffer.concat(chunks).toString());
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

/** Waits, without returning to the event loop, until a child has written everything and ended. */
function blockUntilEnded(pid) {
  const deadline = Date.now() + 60_000;
  while (fs.readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1][0] !== 'Z') if (Date.now() > deadline) throw new Error('it does not end');
}

async function orderOfOutputs(cp, log) {
  const uses = {
    'listened to': (stream, told) => stream.on('data', told),
    read: (stream, told) => stream.on('readable', () => { if (stream.read() !== null) told(); }),
  };
  for (const [how, use] of Object.entries(uses)) {
    for (const order of [[1, 2, 3, 4], [4, 3, 2, 1], [2, 1, 3], [3, 1, 2], [2, 4], [4, 1]]) {
      const child = cp.spawn('sh', ['-c', 'echo 4 >&4; echo 3 >&3; echo 2 >&2; echo 1'], { stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'] });
      blockUntilEnded(child.pid);
      const came = [];
      const streams = [undefined, () => child.stdout, () => child.stderr, () => child.stdio[3], () => child.stdio[4]];
      for (const number of order) use(streams[number](), () => came.push(number));
      await closed(child);
      log(how, order, came);
    }
  }
}

module.exports.cases = {
  'stdio: shapes': shapes,
  'stdio: descriptors of files': throughFiles,
  'stdio: streams of files': throughStreams,
  "stdio: another child's output": chain,
  'stdio: more pipes': extraPipes,
  'stdio: the order of outputs': orderOfOutputs,
  'stdio: feeding with back-pressure': feeding,
  'stdio: reading with back-pressure': backPressure,
  'stdio: inherited': inherited,
  'stdio: all byte values': binary,
  'stdio: three writers': mergedInput,
  'stdio: read after another child': readAfterwards,
  'stdio: ended while draining': endWhileDraining,
  'stdio: partly read': partlyRead,
};
