'use strict';

// The chunks of large streams: memory that is used again, and never while somebody has it.

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const { once } = require('node:events');
const path = require('node:path');
const test = require('node:test');
const procs = require('..');
const { MODULE, FULL, SLOW, WATCHED } = require('./harness.cjs');

const HUB = JSON.stringify(path.resolve(__dirname, '../lib/hub.js'));
const BYTES = FULL ? 1_000_000_000 : 100_000_000;

const digest = (bytes) => createHash('md5').update(bytes).digest('hex');
const numbers = () => procs.spawn('sh', ['-c', `seq 1 200000000 | head -c ${BYTES}`], { stdio: ['ignore', 'pipe', 'inherit'] });

/** Whether the bytes are the beginning of the numbers from 1 on, each in a line. */
class Numbers {
  rest = '';
  next = 1;
  total = 0;

  take(chunk) {
    this.total += chunk.length;
    const lines = (this.rest + chunk.toString('latin1')).split('\n');
    this.rest = lines.pop();
    for (const line of lines) if (Number(line) !== this.next++) throw new Error(`line ${line} where ${this.next - 1} was expected`);
  }
}

const HANDLERS = {
  'thrown away': () => {},
  'all kept': (chunk, index, kept) => kept.push([chunk, digest(chunk)]),
  'some kept': (chunk, index, kept) => { if (index % 7 === 0) kept.push([chunk, digest(chunk)]); },
  'some kept in part': (chunk, index, kept) => { if (index % 9 === 0) { const part = chunk.subarray(100, 200); kept.push([part, digest(part)]); } },
  'taken from under it': (chunk, index, kept) => {
    // A stream of bytes takes the memory of what it is given.
    if (index % 3 === 0) new ReadableStream({ type: 'bytes', start: (controller) => controller.enqueue(chunk) });
    else if (index % 3 === 1) kept.push([chunk, digest(chunk)]);
    else chunk.fill(0);
  },
};

for (const [name, handle] of Object.entries(HANDLERS)) {
  test(`H13: chunks of a large stream keep their bytes: ${name}`, WATCHED, async () => {
    const child = numbers();
    const seen = new Numbers();
    const kept = [];
    let index = 0;
    child.stdout.on('data', (chunk) => {
      seen.take(chunk);
      assert.equal(chunk.buffer.byteLength, chunk.length, 'memory of its own');
      handle(chunk, index++, kept);
    });
    await once(child, 'close');
    assert.equal(seen.total, BYTES);
    assert.equal(kept.filter(([chunk, before]) => digest(chunk) !== before).length, 0);
  });
}

test('H13: decoded, paused, iterated and partly read streams are whole', WATCHED, async () => {
  const ways = {
    decoded: (stream, take) => stream.setEncoding('latin1').on('data', take),
    'decoded later': (stream, take) => {
      let chunks = 0;
      stream.on('data', (chunk) => {
        if (++chunks === 20) stream.setEncoding('latin1');
        take(chunk);
      });
    },
    paused: (stream, take) => stream.on('data', (chunk) => {
      take(chunk);
      stream.pause();
      setImmediate(() => stream.resume());
    }),
    iterated: async (stream, take) => { for await (const chunk of stream) take(chunk); },
    'read in pieces': (stream, take) => stream.on('readable', () => {
      for (let chunk; (chunk = stream.read(100_000) ?? stream.read()) !== null;) take(chunk);
    }),
  };
  for (const [way, begin] of Object.entries(ways)) {
    const child = numbers();
    const seen = new Numbers();
    begin(child.stdout, (chunk) => seen.take(chunk));
    await once(child, 'close');
    assert.equal(seen.total, BYTES, way);
  }
});

test('H13: a small chunk is memory of its own, too', WATCHED, async () => {
  for (const size of [1, 100, 4000, 5000, 60_000]) {
    const child = procs.spawn('head', ['-c', String(size), '/dev/zero'], { stdio: ['ignore', 'pipe', 'inherit'] });
    let total = 0;
    child.stdout.on('data', (chunk) => {
      assert.equal(chunk.buffer.byteLength, chunk.length);
      total += chunk.length;
      new ReadableStream({ type: 'bytes', start: (controller) => controller.enqueue(chunk) });
    });
    await once(child, 'close');
    assert.equal(total, size);
    assert.equal(Buffer.from('still there').toString(), 'still there');
  }
});

test('H13: every block comes back, however its stream ends', WATCHED, async () => {
  const body = `const { hub } = require(${HUB});
    const { once } = require('node:events');
    (async () => {
      for (let round = 0; round < 30; round++) {
        const child = procs.spawn('head', ['-c', '9000000', '/dev/zero']);
        let total = 0;
        child.stdout.on('data', (chunk) => {
          total += chunk.length;
          if (round % 3 === 1 && total > 6e6) child.stdout.destroy();
          if (round % 3 === 2 && total > 6e6) child.kill('SIGKILL');
        });
        await once(child, 'close');
      }
      for (let tries = 0; tries < 1000 && hub.blocksUsed() > 0; tries++) {
        gc();
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      console.log(hub.blocksUsed() === 0);
    })();`;
  const { stdout } = await procs.run(process.execPath, ['--expose-gc', '-e', `const procs = require(${MODULE}); ${body}`], { timeout: 50_000 * SLOW });
  assert.equal(stdout, 'true\n');
});

test('H13: a large stream leaves the event loop time for others, however much of it there is', WATCHED, async () => {
  const child = procs.spawn('head', ['-c', '60000000', '/dev/zero'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let [total, inTurn, most] = [0, 0, 0];
  const count = () => {
    inTurn = 0;
    turn = setImmediate(count);
  };
  let turn = setImmediate(count);
  child.stdout.on('data', (chunk) => {
    total += chunk.length;
    inTurn += chunk.length;
    most = Math.max(most, inTurn);
    // Meanwhile the child fills its pipe, so that there is always more.
    for (const begun = performance.now(); performance.now() - begun < 2;);
  });
  await once(child, 'close');
  clearImmediate(turn);
  assert.equal(total, 60_000_000);
  assert.ok(most <= 6 << 20, `${most} bytes in one turn`);
});

test('H13: a large stream that is read on later neither ends the program nor keeps it alive', WATCHED, async () => {
  const body = (stdout) => `const child = procs.spawn('head', ['-c', '50000000', '/dev/zero'], { stdio: ['ignore', 'pipe', 'inherit'] });
    let total = 0;
    child.stdout.on('data', (chunk) => { total += chunk.length; });
    ${stdout}
    process.on('exit', () => console.log(total));`;
  const program = (stdout) => procs.run(process.execPath, ['-e', `const procs = require(${MODULE}); ${body(stdout)}`], { timeout: 50_000 * SLOW });
  const [kept, left] = await Promise.all([program('child.unref();'), program('child.unref(); child.stdout.unref();')]);
  assert.equal(kept.stdout, '50000000\n');
  assert.ok(Number(left.stdout) < 50_000_000, left.stdout);
});
