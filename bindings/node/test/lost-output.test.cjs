'use strict';

// Output that cannot be kept: no room for a file, no memory. No call takes such a run for a success.

const assert = require('node:assert/strict');
const test = require('node:test');
const procs = require('..');
const { MODULE, WATCHED } = require('./harness.cjs');

const FLOOD = ['head', ['-c', '100000', '/dev/zero']];

test('C16: a full disk is no success', WATCHED, async () => {
  const options = { stdoutSink: ['buffer', { append: '/dev/full' }] };
  const result = await procs.run(...FLOOD, options);
  assert.deepEqual([result.code, result.ok, result.stdout.length], [0, false, 100_000]);
  assert.deepEqual([result.stdoutInfo.sinkError.code, result.stdoutInfo.incomplete], ['ENOSPC', false]);
  await assert.rejects(procs.run(...FLOOD, { ...options, check: true }), (error) => {
    assert.deepEqual([error.code, error.kind, error.errno, error.result.stdout.length], ['ENOSPC', 'EXHAUSTED', -28, 100_000]);
    return /did not reach its sink \(command = head -c 100000 \/dev\/zero, stream = stdout\)/.test(error.message);
  });
  const [many] = await procs.runMany([[...FLOOD, { ...options, check: true }]]);
  assert.equal(many.reason.code, 'ENOSPC');
});

test('C16: no room for a spill', WATCHED, async () => {
  const maxOutput = { policy: 'spill', bytes: 1000 };
  const body = `
    const told = [];
    for (const check of [false, true]) {
      const all = await Promise.allSettled([procs.run('head', ['-c', '100000', '/dev/zero'], { maxOutput, check }),
        procs.pipeline([['head', ['-c', '100000', '/dev/zero']]], { maxOutput, check })]);
      for (const { value, reason } of all) told.push(reason ? reason.code : [value.ok, value.stdoutInfo.incomplete, value.stdout.length]);
    }
    console.log(JSON.stringify(told));`;
  const program = `const procs = require(${MODULE}); const maxOutput = ${JSON.stringify(maxOutput)}; (async () => { ${body} })()`;
  const { stdout, stderr } = await procs.run(process.execPath, ['-e', program], { env: { ...process.env, TMPDIR: '/nowhere' } });
  assert.equal(stdout.trim(), '[[false,true,1000],[false,true,1000],"ENOENT","ENOENT"]', stderr);
});

test('C16: a limit on the error output of a stage is no success', WATCHED, async () => {
  const stages = [['sh', ['-c', 'yes >&2']], ['cat']];
  const result = await procs.pipeline(stages, { maxOutput: 1000 });
  assert.deepEqual([result.ok, result.stages[0].stderrInfo.limitExceeded, result.stages[0].stderr.length], [false, true, 1000]);
  await assert.rejects(procs.pipeline(stages, { maxOutput: 1000, check: true }), { code: 'ERR_PROCS_TOO_LARGE', message: /stages\[0\]\.stderr/ });
});

// With room for 128 MiB and not for the next step, 256: what is left is the runtime's.
const HEADROOM = 200 << 20;
const BIG = "'head', ['-c', '400000000', '/dev/zero']";
const WAYS = {
  'execFile, bytes': `await promisify(procs.execFile)(${BIG}, { maxBuffer: Infinity, encoding: 'buffer' })`,
  'execFile, text': `await promisify(procs.execFile)(${BIG}, { maxBuffer: Infinity })`,
  run: `await procs.run(${BIG}, { maxOutput: Infinity, encoding: 'buffer', check: true })`,
  spawnSync: `const { error } = procs.spawnSync(${BIG}, { maxBuffer: Infinity }); throw error`,
  execFileSync: `procs.execFileSync(${BIG}, { maxBuffer: Infinity })`,
  'spawnSync, descriptor 3': `const { error } = procs.spawnSync('sh', ['-c', 'head -c 400000000 /dev/zero >&3'],
    { maxBuffer: Infinity, stdio: ['pipe', 'pipe', 'pipe', 'pipe'] }); throw error`,
};

for (const [way, call] of Object.entries(WAYS)) {
  test(`C05: output that there is no memory for: ${way}`, WATCHED, async () => {
    const program = `
      const procs = require(${MODULE});
      const { promisify } = require('node:util');
      const size = Number(/VmSize:\\s+(\\d+)/.exec(require('node:fs').readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;
      procs.execFileSync('prlimit', ['--pid', String(process.pid), '--as=' + (size + ${HEADROOM})]);
      (async () => { ${call} })().then(() => console.log('success'), (error) => console.log(error?.code));`;
    const { stdout, stderr, status } = await procs.run(process.execPath, ['-e', program]);
    assert.deepEqual([stdout.trim(), status], ['ENOMEM', 0], stderr);
  });
}
