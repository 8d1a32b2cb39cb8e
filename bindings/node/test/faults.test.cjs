'use strict';

// Faults of streams (C), by the rows of docs/faults.md. Each test was seen failing against a broken copy.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { PassThrough, Readable } = require('node:stream');
const test = require('node:test');
const { promisify } = require('node:util');
const procs = require('..');
const { MODULE, WATCHED, times, script } = require('./harness.cjs');

const execFile = promisify(procs.execFile);
const BUFFER = { encoding: 'buffer', maxBuffer: Infinity };

const sh = (line, options) => procs.spawn('sh', ['-c', line], options);

test('C01: all pipes full at once', WATCHED, async () => {
  const line = 'head -c 200000 /dev/zero >&2; printf 0123456789; head -c 200000 /dev/zero; cat | wc -c';
  const input = Buffer.alloc(5_000_000);
  for (let round = 0; round < times(100); round++) {
    const result = await procs.run('sh', ['-c', line], { input, encoding: 'buffer' });
    assert.deepEqual([result.stderr.length, result.stdout.length], [200_000, 200_018]);
    const answer = execFile('sh', ['-c', line], BUFFER);
    answer.child.stdin.end(input);
    const { stdout, stderr } = await answer;
    assert.deepEqual([stderr.length, stdout.length], [200_000, 200_018]);
  }
});

test('C01: a child whose output nobody reads is not held up by less than 256 KiB', WATCHED, async () => {
  const child = sh('head -c 200000 /dev/zero; head -c 200000 /dev/zero >&2');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
  await once(child, 'close');
});

test('C03: a grandchild keeps the stream', WATCHED, async () => {
  const line = 'sleep 30 & echo $!';
  const result = await procs.run('sh', ['-c', line], { drainAfterExit: 200 });
  assert.deepEqual([result.code, result.pipesLeftOpen], [0, true]);
  process.kill(Number(result.stdout), 'SIGKILL');
  const child = sh(line);
  let closed = false;
  child.on('close', () => { closed = true; });
  const [[text]] = await Promise.all([once(child.stdout, 'data'), once(child, 'exit')]);
  await new Promise((resolve) => setTimeout(resolve, 50)); // a 'close' that does not wait for the streams comes within a turn of the loop
  assert.equal(closed, false);
  process.kill(Number(text), 'SIGKILL');
  await once(child, 'close');
});

test('C04: what was written before the exit arrives', WATCHED, async () => {
  for (let round = 0; round < times(500); round++) {
    const { stdout } = await execFile('head', ['-c', '1048576', '/dev/zero'], BUFFER);
    assert.equal(stdout.length, 1 << 20);
    const child = procs.spawn('head', ['-c', '1048576', '/dev/zero']);
    let total = 0;
    child.stdout.on('data', (chunk) => {
      total += chunk.length;
      // Throttled, so that the child ends before all is read.
      if (total > 960_000) {
        child.stdout.pause();
        setTimeout(() => child.stdout.resume(), 5);
      }
    });
    await once(child, 'close');
    assert.equal(total, 1 << 20);
  }
});

test('C04: a stream that is looked at late has everything from its beginning', WATCHED, async () => {
  let looked = 0;
  for (let round = 0; round < times(100); round++) {
    const child = sh('echo first; sleep 0.01; echo last', { stdio: ['ignore', 'pipe', 'pipe'] });
    const closed = once(child, 'close');
    await new Promise((resolve) => setTimeout(resolve, round % 15)); // before and after each of its lines
    if (child.exitCode !== null) continue; // as in Node, what nobody had looked at by then is dropped
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk) => { text += chunk; });
    await closed;
    assert.equal(text, 'first\nlast\n');
    looked++;
  }
  assert.notEqual(looked, 0);
});

test('C04: somebody else may listen to what execFile collects', WATCHED, async () => {
  for (const delay of [0, 1, 30, 60]) {
    const answer = execFile('sh', ['-c', 'echo one; read line; echo two; sleep 0.05; echo three']);
    await new Promise((resolve) => setTimeout(resolve, delay)); // the moment is what is tested
    let heard = '';
    answer.child.stdout.on('data', (chunk) => { heard += chunk; });
    answer.child.stdin.end('go\n');
    assert.equal((await answer).stdout, 'one\ntwo\nthree\n');
    assert.match(heard, /two\nthree\n$/);
  }
});

test('C05: output without end meets its limit', WATCHED, async () => {
  const error = await execFile('yes', { maxBuffer: 1 << 20 }).catch((reason) => reason);
  assert.equal(error.code, 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER');
  assert.equal(error.stdout.length, 1 << 20);
  // What does not die of the closed pipe is ended, and waited for. The shell looks at its trap between two programs.
  const deaf = ['sh', ['-c', 'trap "sleep 0.2; exit 3" TERM; yes; sleep 2']];
  for (const encoding of ['utf8', 'buffer', 'latin1']) {
    const body = `let ended = false; procs.execFile(${JSON.stringify(deaf[0])}, ${JSON.stringify(deaf[1])}, { encoding: '${encoding}', maxBuffer: 100000 },
      (error) => console.log(error.code, ended)).on('exit', () => { ended = true; });`;
    assert.equal((await script(body)).stdout, 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER true\n');
  }
});

test('C06: limits are exact', WATCHED, async () => {
  for (const limit of [1, 4095, 65_536, 1 << 20]) {
    for (let round = 0; round < times(100); round++) {
      const error = await execFile('head', ['-c', '4194304', '/dev/zero'], { encoding: 'buffer', maxBuffer: limit }).catch((reason) => reason);
      assert.equal(error.stdout.length, limit);
      const exact = await execFile('head', ['-c', String(limit), '/dev/zero'], { encoding: 'buffer', maxBuffer: limit });
      assert.equal(exact.stdout.length, limit);
    }
  }
});

test('C07: a slow reader slows the child', WATCHED, async () => {
  const before = process.memoryUsage().rss;
  const child = sh('yes 0123456789 | head -c 20000000; echo done >&2', { stdio: ['ignore', 'pipe', 'pipe'] });
  let finished = false;
  child.stderr.on('data', () => { finished = true; });
  let count = 0;
  for await (const line of child.lines()) {
    count += line.length + 1;
    if (count === 11 * 1000) {
      await new Promise((resolve) => setTimeout(resolve, 300)); // time in which a child that is not held back writes all of it
      assert.equal(finished, false);
      assert.ok(process.memoryUsage().rss - before < 64 << 20);
    }
  }
  assert.equal(count, 20_000_001); // the last line is cut and has no line feed
});

test('C08: every byte value makes the round trip', WATCHED, async () => {
  const bytes = Buffer.from(Array.from({ length: 1 << 20 }, (_, index) => index & 0xff));
  const result = await procs.run('cat', [], { input: bytes, encoding: 'buffer' });
  assert.ok(result.stdout.equals(bytes));
  for (const encoding of ['buffer', 'latin1', 'base64', 'hex', 'utf16le', 'utf8']) {
    const answer = execFile('cat', [], { encoding, maxBuffer: Infinity });
    answer.child.stdin.end(bytes);
    const { stdout } = await answer;
    assert.ok(encoding === 'buffer' ? stdout.equals(bytes) : stdout === bytes.toString(encoding), encoding);
  }
});

test('C09: characters split over writes and blocks stay whole', WATCHED, async () => {
  const text = '€😀é';
  const pieces = [...Buffer.from(text)].map((byte) => `printf '\\${byte.toString(8)}'; sleep 0.005;`).join(' ');
  const child = sh(pieces);
  let heard = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => { heard += chunk; });
  const [collected, lines] = await Promise.all([
    execFile('sh', ['-c', pieces]),
    (async () => { for await (const line of sh(pieces).lines()) return line; })(),
    once(child, 'close'),
  ]);
  assert.deepEqual([heard, collected.stdout, lines], [text, text, text]);
  for (let shift = -4; shift <= 4; shift++) {
    const input = `${'a'.repeat(65_536 + shift)}€😀${'b'.repeat(65_536)}\n`;
    assert.equal((await procs.run('cat', [], { input })).stdout, input);
    const cat = procs.spawn('cat');
    cat.stdin.end(input);
    for await (const line of cat.lines()) assert.equal(`${line}\n`, input);
  }
});

test('C10: lines of every shape', WATCHED, async () => {
  const shapes = [['', []], ['\n', ['']], ['a', ['a']], ['a\r\nb', ['a\r', 'b']], ['\0\n\0', ['\0', '\0']], [`${'x'.repeat(10 << 20)}\ny`, ['x'.repeat(10 << 20), 'y']]];
  for (const [input, expected] of shapes) {
    for (const batches of [false, true]) {
      const cat = procs.spawn('cat');
      cat.stdin.end(input);
      const found = [];
      if (batches) for await (const batch of cat.lines().batches()) found.push(...batch);
      else for await (const line of cat.lines()) found.push(line);
      assert.deepEqual(found, expected);
    }
  }
});

test('C11: a reader that is gone is an error of its stream, or none', WATCHED, async () => {
  const block = Buffer.alloc(1 << 20);
  for (let round = 0; round < times(1000); round++) {
    const child = procs.spawn('true');
    let error;
    child.stdin.on('error', (reason) => { error = reason; }).end(block);
    await once(child, 'close');
    assert.ok(error === undefined || ['EPIPE', 'ECONNRESET'].includes(error.code), error?.code);
    const result = await procs.run('true', [], { input: round % 2 ? block : Readable.from([block, block]) });
    assert.equal(result.code, 0);
  }
});

test('C12: nobody waits for the keyboard', WATCHED, async () => {
  const host = procs.spawn(process.execPath, ['-e', `require(${MODULE}).run('cat').then((r) => console.log('ended', r.code))`]);
  const [answer] = await once(host.stdout.setEncoding('utf8'), 'data'); // its standard input stays open
  assert.equal(answer, 'ended 0\n');
  host.stdin.end();
  await once(host, 'close');
});

test('C15: merged streams keep their order', WATCHED, async () => {
  const count = times(10_000);
  const line = `i=0; while [ $i -lt ${count} ]; do echo out $i; echo err $i >&2; i=$((i+1)); done`;
  const { stdout } = await procs.run('sh', ['-c', line], { stderr: 'merge' });
  assert.equal(stdout, Array.from({ length: count }, (_, index) => `out ${index}\nerr ${index}\n`).join(''));
});

test('C16: sinks take the output as it comes, several as a tee', WATCHED, async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'procs-sinks-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const [made, grown] = [path.join(folder, 'made'), path.join(folder, 'grown')];
  fs.writeFileSync(made, 'old');
  fs.writeFileSync(grown, 'old ');
  let called = 0;
  const passed = new PassThrough();
  const collected = (async () => { let total = 0; for await (const chunk of passed) total += chunk.length; return total; })();
  const result = await procs.run('sh', ['-c', 'head -c 1000000 /dev/zero; printf error >&2'], {
    stdoutSink: [(chunk) => { called += chunk.length; }, passed, { file: made }, 'buffer'],
    stderrSink: { append: grown },
  });
  passed.end();
  assert.deepEqual([called, await collected, fs.statSync(made).size, result.stdout.length], [1e6, 1e6, 1e6, 1e6]);
  assert.deepEqual([fs.readFileSync(grown, 'utf8'), result.stderr], ['old error', '']);
  await assert.rejects(procs.run('yes', [], { stdoutSink() { throw new Error('mine'); } }), /mine/);
  const full = await procs.run('echo', ['x'], { stdoutSink: { append: '/dev/full' } });
  assert.equal(full.stdoutInfo.sinkError.code, 'ENOSPC');
  for (const bad of [{}, -1, Symbol('x'), ['buffer', null], { file: 'a\0b' }]) {
    await assert.rejects(procs.run('true', [], { stdoutSink: bad }), { code: 'ERR_INVALID_ARG_VALUE' });
  }
});

test('C16: input from streams and iterables', WATCHED, async () => {
  const flows = [Readable.from(['a', Buffer.from('b'), 'c']), (async function* letters() { yield 'a'; yield 'b'; yield 'c'; })(), ['a', 'b', 'c']];
  for (const input of flows) assert.equal((await procs.run('cat', [], { input })).stdout, 'abc');
  await assert.rejects(procs.run('cat', [], { input: Readable.from((function* failing() { yield 'a'; throw new Error('mine'); })()) }), /mine/);
});

test('C18: a handler may do anything, and hears of the end once', WATCHED, async () => {
  for (let round = 0; round < times(1000); round++) {
    const child = sh('echo x; read y; exit 0');
    let ends = 0;
    child.on('exit', () => {
      ends++;
      child.kill();
      child.stdout.destroy();
      procs.spawn('true').unref();
    });
    child.stdin.on('error', () => {});
    child.stdout.on('data', () => {
      if (round % 3 === 0) child.stdout.destroy();
      if (round % 3 === 1) child.kill('SIGKILL');
      child.stdin.end('y\n');
      procs.spawn('true').on('exit', () => procs.exec('true'));
    });
    await once(child, 'close');
    assert.equal(ends, 1);
  }
});

/** The pipes of this process that can be read, by their descriptors. */
function readablePipes() {
  const isPipe = (fd) => fs.readlinkSync(`/proc/self/fd/${fd}`).startsWith('pipe:');
  const isReadOnly = (fd) => (Number.parseInt(/^flags:\s*(\d+)/m.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))[1], 8) & 3) === 0;
  return fs.readdirSync('/proc/self/fd').map(Number).filter((fd) => {
    try {
      return isPipe(fd) && isReadOnly(fd);
    } catch {
      return false; // the one that listed them
    }
  });
}

test('C18: an output ends once, although another process still holds its pipe', WATCHED, async () => {
  const before = new Set(readablePipes());
  const answer = execFile('sh', ['-c', 'read line; echo out; echo err >&2']);
  const events = [];
  for (const name of ['exit', 'close']) answer.child.on(name, (code) => events.push([name, code]));
  await once(answer.child, 'spawn');
  await new Promise(setImmediate);
  const pipes = readablePipes().filter((fd) => !before.has(fd));
  assert.ok(pipes.length >= 2);
  // As a child does that is being started at this moment, only for longer.
  const holder = procs.spawn('sleep', ['100'], { stdio: ['ignore', 'ignore', 'ignore', ...pipes] });
  await once(holder, 'spawn');
  answer.child.stdin.end('\n');
  assert.deepEqual(await answer, { stdout: 'out\n', stderr: 'err\n' });
  assert.deepEqual(events, [['exit', 0], ['close', 0]]);
  const { user, system } = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, 300)); // a pause in which nothing is to be done
  const used = process.cpuUsage({ user, system });
  assert.ok(used.user + used.system < 150_000, `${used.user + used.system} µs of CPU with nothing to do`);
  holder.kill('SIGKILL');
  await once(holder, 'close');
});

test('C18: many at once end once each', WATCHED, async () => {
  for (let round = 0; round < times(200); round++) {
    const all = Array.from({ length: 20 }, (_, index) => execFile('sh', ['-c', `echo ${index}`]));
    const results = await Promise.all(all);
    assert.deepEqual(results.map(({ stdout }) => Number(stdout)), all.map((_, index) => index));
  }
});
