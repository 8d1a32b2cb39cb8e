'use strict';

// What child_process does not have: run, stop, killTree, lines, pipeline, runMany, waitAny.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');
const { inspect } = require('node:util');
const { ChildProcess, execFile, run, runMany, waitAny, pipeline, spawn, spawnSync, lines, ProcsError } = require('..');

const sh = (script, options) => run('sh', ['-c', script], options);

test('run resolves with output, end, usage and times', async () => {
  const result = await sh('echo out; echo err >&2; exit 3');
  assert.deepEqual([result.stdout, result.stderr, result.code, result.status, result.signal, result.ok], ['out\n', 'err\n', 3, 3, null, false]);
  assert.equal(result.stdoutInfo.totalBytes, 4);
  assert.ok(result.pid > 0 && result.wallMs > 0 && result.usage.maxRssBytes > 0);
});

test('run gives Buffers when asked', async () => {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
  const { stdout } = await run('cat', [], { input: bytes, encoding: 'buffer' });
  assert.deepEqual(stdout, bytes);
});

test('large output arrives whole and may be changed', async () => {
  const { stdout } = await run('head', ['-c', '5000000', '/dev/zero'], { encoding: 'buffer' });
  assert.equal(stdout.length, 5_000_000);
  stdout.fill(7);
  assert.ok(stdout.every((byte) => byte === 7));
});

test('run rejects when the program does not start', async () => {
  await assert.rejects(run('procs-no-such-program'), (error) => {
    assert.ok(error instanceof ProcsError && error instanceof Error);
    assert.deepEqual([error.code, error.kind, error.errno, error.stage, error.path], ['ENOENT', 'NOT_FOUND', -2, 'exec', 'procs-no-such-program']);
    return true;
  });
});

test('check makes a failed status an error with the result', async () => {
  await assert.rejects(sh('echo partial; exit 4', { check: true }), (error) => {
    assert.deepEqual([error.code, error.kind, error.result.stdout, error.result.code], ['ERR_PROCS_CHILD_FAILED', 'CHILD_FAILED', 'partial\n', 4]);
    return true;
  });
  await assert.rejects(sh('sleep 30', { check: true, timeout: 30 }), { code: 'ETIMEDOUT', kind: 'TIMEOUT' });
  await assert.rejects(sh('yes', { check: true, maxOutput: 10 }), { code: 'ERR_PROCS_TOO_LARGE', kind: 'TOO_LARGE' });
});

test('an abort stops a run and rejects with AbortError', async () => {
  const controller = new AbortController();
  const running = sh('echo begun; exec sleep 30', { signal: controller.signal, stdoutSink: () => controller.abort(new Error('enough')) });
  await assert.rejects(running, (error) => {
    assert.deepEqual([error.name, error.code, error.cause.message, error.result.cancelled], ['AbortError', 'ABORT_ERR', 'enough', true]);
    return true;
  });
  await assert.rejects(sh('true', { signal: AbortSignal.abort() }), { code: 'ABORT_ERR' });
});

test('output policies keep what they say', async () => {
  const digits = (policy, bytes) => run('seq', ['1', '10000'], { maxOutput: { policy, bytes } });
  assert.equal((await digits('head', 4)).stdout, '1\n2\n');
  assert.equal((await digits('tail', 6)).stdout, '10000\n');
  assert.equal((await digits('unlimited', 0)).stdout.length, 48894);
  const error = await digits('error', 100);
  assert.deepEqual([error.stdout.length, error.stdoutInfo.limitExceeded, error.ok], [100, true, false]);
  const { stdoutInfo } = await digits('spill', 100);
  assert.equal(fs.readFileSync(stdoutInfo.spillFd, 'utf8').length, 48894);
  fs.closeSync(stdoutInfo.spillFd);
});

test('limits per stream', async () => {
  const result = await sh('seq 1 100; seq 1 100 >&2', { maxOutput: { stdout: { policy: 'head', bytes: 3 }, stderr: Infinity } });
  assert.deepEqual([result.stdout.length, result.stderr.length], [3, 292]);
});

test('bad options of run are refused with Node codes', async () => {
  const wrong = [
    [{ timeout: -1 }, 'ERR_OUT_OF_RANGE'], [{ timeout: '1' }, 'ERR_INVALID_ARG_TYPE'], [{ timeout: NaN }, 'ERR_OUT_OF_RANGE'],
    [{ maxOutput: -1 }, 'ERR_OUT_OF_RANGE'], [{ maxOutput: { policy: 'some' } }, 'ERR_INVALID_ARG_VALUE'], [{ input: 5 }, 'ERR_INVALID_ARG_TYPE'],
    [{ killSignal: 'SIGNONE' }, 'ERR_UNKNOWN_SIGNAL'], [{ signal: 5 }, 'ERR_INVALID_ARG_TYPE'], [{ env: { 'A=B': '1' } }, 'ERR_INVALID_ARG_VALUE'],
    [{ limits: { nonsense: 1 } }, 'ERR_INVALID_ARG_VALUE'], [{ limits: { noFile: 5n } }, 'ERR_INVALID_ARG_TYPE'], [{ limits: 5 }, 'ERR_INVALID_ARG_TYPE'],
    [{ limits: { noFile: NaN } }, 'ERR_OUT_OF_RANGE'], [{ limits: { noFile: [1, -1] } }, 'ERR_OUT_OF_RANGE'], [{ nice: 'x' }, 'ERR_INVALID_ARG_TYPE'],
    [{ nice: 100 }, 'ERR_INVALID_ARG_VALUE'], [{ umask: 1.5 }, 'ERR_OUT_OF_RANGE'], [{ affinity: 0 }, 'ERR_INVALID_ARG_TYPE'],
    [{ affinity: [] }, 'ERR_INVALID_ARG_VALUE'], [{ affinity: ['0'] }, 'ERR_INVALID_ARG_TYPE'], [{ affinity: [2 ** 32 - 1] }, 'ERR_INVALID_ARG_VALUE'],
    [{ groups: ['x'] }, 'ERR_INVALID_ARG_TYPE'], [{ stdout: 1e9 }, 'EBADF'], [{ umask: 0o1000 }, 'ERR_INVALID_ARG_VALUE'], [{ uid: -1 }, 'ERR_INVALID_ARG_VALUE'],
  ];
  for (const [options, code] of wrong) {
    await assert.rejects(run('true', [], options), (error) => {
      assert.equal(error.code, code, `${inspect(options)}: ${error.message}`);
      return true;
    });
  }
});

test('other bad input is refused, and nothing hangs', async () => {
  await assert.rejects(run('printf', ['%s', Buffer.from('a\0b')]), { code: 'ERR_INVALID_ARG_VALUE' });
  await assert.rejects(run('true', ['x'.repeat(200_000)]), { code: 'E2BIG', kind: 'TOO_LARGE' });
  await assert.rejects(run('true', [], { get cwd() { throw new Error('mine'); } }), { message: 'mine' });
  await assert.rejects(waitAny([]), { code: 'ERR_INVALID_ARG_VALUE' });
  await assert.rejects(waitAny([5]), { code: 'ERR_INVALID_ARG_TYPE' });
  await assert.rejects(waitAny(new Array(2)), { code: 'ERR_INVALID_ARG_TYPE' });
  await assert.rejects(waitAny([new ChildProcess()], null), { code: 'ERR_INVALID_ARG_TYPE' });
  await assert.rejects(run('true', [], { stdoutSink: new Array(2) }), { code: 'ERR_INVALID_ARG_VALUE' });
  await assert.rejects(runMany(5), { code: 'ERR_INVALID_ARG_TYPE' });
  await assert.rejects(runMany([['true']], { jobs: 0 }), { code: 'ERR_OUT_OF_RANGE' });
  await assert.rejects(pipeline([5]), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => lines(5), { code: 'ERR_INVALID_ARG_TYPE' });
  const detached = new ArrayBuffer(8);
  const view = new Uint8Array(detached);
  structuredClone(detached, { transfer: [detached] });
  await assert.rejects(run('cat', [], { input: view }), TypeError);
  assert.equal((await run('cat', [], { input: new Uint8Array(new SharedArrayBuffer(5)) })).stdout.length, 5);
  assert.equal((await run('true', [], { timeout: 0, grace: Infinity })).code, 0);
  assert.equal((await run('true', new Array(40_000).fill('x'))).code, 0);
  const child = spawn('sleep', ['30']);
  assert.throws(() => child.stop({ grace: 'x' }), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => child.stop({ signal: 'SIGNONE' }), { code: 'ERR_UNKNOWN_SIGNAL' });
  child.kill();
});

test('stop ends a child that listens, and one that does not', async () => {
  const polite = spawn('sh', ['-c', 'trap "exit 9" TERM; echo ready; while :; do sleep 0.05; done']);
  await polite.lines().next();
  assert.deepEqual(await polite.stop(), { code: 9, signal: null, endedBy: 'SIGTERM', level: 'process', survivors: [] });
  const deaf = spawn('sh', ['-c', 'trap "" TERM; echo ready; while :; do sleep 0.05; done']);
  await deaf.lines().next();
  const report = await deaf.stop({ grace: 50 });
  assert.deepEqual([report.signal, report.endedBy], ['SIGKILL', 'SIGKILL']);
});

test('stop of a child that has ended says how it had ended', async () => {
  const child = spawn('sh', ['-c', 'exit 5'], { stdio: 'ignore' });
  await once(child, 'exit');
  assert.deepEqual(await child.stop(), { code: 5, signal: null, endedBy: null, level: 'process', survivors: [] });
});

test('stop can close stdin first', async () => {
  const child = spawn('cat');
  const exit = once(child, 'exit');
  const report = await child.stop({ closeStdin: true, signal: 'SIGCONT', grace: 20_000 });
  assert.deepEqual([report.code, await exit], [0, [0, null]]);
});

/** Whether a process is gone, or a zombie that its parent has not looked at yet. */
function gone(pid) {
  try {
    return fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].startsWith('Z');
  } catch {
    return true;
  }
}

/** Waits until every process is gone: the leader's end may be heard of before the last of its tree has died. */
async function allGone(...pids) {
  for (let i = 0; i < 4000 && !pids.every(gone); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(pids.filter((pid) => !gone(pid)), []);
}

test('a timeout or abort of a child with killTree ends its descendants', async () => {
  const script = 'setsid sleep 60 & echo $!; sleep 60';
  const output = (options) => new Promise((resolve) => {
    execFile('sh', ['-c', script], { killTree: true, ...options }, (error, stdout) => resolve([error, stdout.trim()]));
  });
  const [late, first] = await output({ timeout: 1000 });
  assert.equal(late.killed, true);
  const [aborted, second] = await output({ signal: AbortSignal.timeout(1000) });
  assert.equal(aborted.code, 'ABORT_ERR');
  const child = spawn('sh', ['-c', script], { killTree: true, timeout: 1000, stdio: ['ignore', 'pipe', 'ignore'] });
  const exit = once(child, 'exit');
  const { value: third } = await child.lines().next();
  assert.equal((await exit)[1], 'SIGTERM');
  const blocking = spawnSync('sh', ['-c', script], { killTree: true, timeout: 1000, killSignal: 'SIGKILL', encoding: 'utf8' });
  assert.deepEqual([blocking.error.code, gone(blocking.stdout.trim())], ['ETIMEDOUT', true]);
  await allGone(first, second, third);
});

test('killTree ends descendants', async () => {
  const child = spawn('sh', ['-c', 'setsid sleep 60 & echo $!; sleep 60'], { killTree: true });
  const { value: pid } = await child.lines().next();
  const report = await child.killTree();
  assert.deepEqual([report.signal, report.survivors], ['SIGKILL', []]);
  assert.ok(gone(pid));
});

test('lines: endings, length, characters split over chunks', async () => {
  const all = async (script, options) => {
    const found = [];
    for await (const line of spawn('sh', ['-c', script]).lines(options)) found.push(line);
    return found;
  };
  assert.deepEqual(await all('printf "a\\n\\nb"'), ['a', '', 'b']);
  assert.deepEqual(await all('printf ""'), []);
  assert.deepEqual(await all('printf "a\\r\\nb\\r\\n"'), ['a\r', 'b\r']);
  assert.deepEqual(await all('printf "a\\r\\nb"', { stripCr: true }), ['a', 'b']);
  assert.deepEqual(await all('printf "\\342"; sleep 0.05; printf "\\202"; sleep 0.05; printf "\\254\\n"'), ['€']);
  assert.deepEqual((await all('head -c 3000000 /dev/zero | tr "\\0" x; echo; echo end')).map((line) => line.length), [3_000_000, 3]);
});

test('lines hold the child back and can be left early', async () => {
  const child = spawn('yes', [], { stdio: ['ignore', 'pipe', 'ignore'] });
  const exit = once(child, 'exit');
  let count = 0;
  for await (const line of lines(child.stdout)) {
    assert.equal(line, 'y');
    if (++count === 1000) break;
  }
  assert.deepEqual(await exit, [null, 'SIGPIPE']);
});

test('pipeline reports every stage', async () => {
  const result = await pipeline([['printf', ['b\\na\\n']], ['sort'], ['sh', ['-c', 'cat; echo oops >&2; exit 6']]]);
  assert.deepEqual(result.stages.map(({ code, stderr }) => [code, stderr]), [[0, ''], [0, ''], [6, 'oops\n']]);
  assert.deepEqual([result.stdout, result.code, result.ok], ['a\nb\n', 6, false]);
  await assert.rejects(pipeline([['echo', ['x']], ['false']], { check: true }), { code: 'ERR_PROCS_CHILD_FAILED' });
  await assert.rejects(pipeline([['sleep', ['30']], ['cat']], { signal: AbortSignal.timeout(50) }), { code: 'ABORT_ERR' });
  await assert.rejects(pipeline([]), { kind: 'INVALID_ARGUMENT' });
  assert.equal((await pipeline([['sleep', ['30']]], { timeout: 50 })).timedOut, true);
});

test('a run or a pipeline that is over holds no descriptor, whenever the collector looks', async () => {
  const eventfds = () => fs.readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`).includes('eventfd');
    } catch {
      return false; // the one that lists them
    }
  }).length;
  await Promise.all([run('true'), pipeline([['true'], ['true']])]);
  const before = eventfds();
  for (let round = 0; round < 20; round++) await Promise.all([run('true'), pipeline([['true'], ['true']])]);
  // 40 runs that held theirs would be 40 more; one belongs to the engine's own thread, which starts when it is first needed, one to a run just ending.
  const more = eventfds() - before;
  assert.ok(more <= 2, `${more} more`);
});

test('runMany keeps to its bound and to the order', async () => {
  const progress = [];
  const commands = [['sh', ['-c', 'sleep 0.1; echo slow']], ['echo', ['fast']], ['procs-no-such-program']];
  const results = await runMany(commands, { jobs: 2, onProgress: (index) => progress.push(index) });
  assert.deepEqual(results.map(({ status }) => status), ['fulfilled', 'fulfilled', 'rejected']);
  assert.deepEqual(results.slice(0, 2).map(({ value }) => value.stdout), ['slow\n', 'fast\n']);
  assert.deepEqual(progress.sort(), [0, 1, 2]);
});

test('runMany runs one for each CPU by default', async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'procs-many-'));
  const counts = 'touch "$0/$$"; ls "$0" | wc -l; sleep 0.1; rm "$0/$$"'; // those that are there at the same time
  const results = await runMany(Array.from({ length: 3 * os.availableParallelism() }, () => ['sh', ['-c', counts, folder]]));
  const most = Math.max(...results.map(({ value }) => Number(value.stdout)));
  assert.ok(most > 0 && most <= os.availableParallelism(), `${most} at once`);
  fs.rmdirSync(folder);
});

test('waitAny finds the first, or nothing in time', async () => {
  const children = ['30', '0.05'].map((seconds) => spawn('sleep', [seconds], { stdio: 'ignore' }));
  assert.equal(await waitAny(children), 1);
  assert.equal(await waitAny(children), 1);
  assert.equal(await waitAny([children[0]], { timeout: 20 }), null);
  children[0].kill();
});

test('resources of a child are set', async () => {
  const script = 'ulimit -n; umask; nice; sed -n "s/^Cpus_allowed_list:\\t//p; s/^NoNewPrivs:\\t//p" /proc/self/status';
  const options = { limits: { noFile: [50, 60] }, umask: 0o077, nice: 5, affinity: [0], noNewPrivs: true };
  assert.equal((await sh(script, options)).stdout, '50\n0077\n5\n1\n0\n');
});

test('arguments may be bytes', async () => {
  const bytes = Buffer.from(Array.from({ length: 255 }, (_, index) => index + 1));
  assert.deepEqual((await run('printf', ['%s', bytes], { encoding: 'buffer' })).stdout, bytes);
});
