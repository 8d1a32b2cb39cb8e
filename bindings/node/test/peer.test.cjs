'use strict';

// The same programs on node:child_process and on procs-native: equal transcripts, except where peer/differences.json has a reason.

const assert = require('node:assert/strict');
const childProcess = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { inspect } = require('node:util');
const native = require('..');
const differences = require('../peer/differences.json');
const { inFolder } = require('../peer/folder.cjs');

const CASES = Object.assign({}, ...['validation', 'events', 'exec', 'stdio'].map((name) => require(`../peer/${name}.cjs`).cases));

const PEER = { ...childProcess, modulePath: 'node:child_process' };
const OURS = { ...native, modulePath: path.resolve(__dirname, '../index.cjs') };

function line(values) {
  return values.map((value) => (typeof value === 'string' ? value : inspect(value, { depth: 5, breakLength: Infinity, sorted: true }))).join(' | ');
}

/** What a case logs, run in a fresh folder. */
async function transcript(run, api) {
  const lines = [];
  await inFolder(async (folder) => {
    fs.writeFileSync(path.join(folder, 'script-without-interpreter'), 'echo "run by $0 with $*"\n', { mode: 0o755 });
    await run(api, (...values) => lines.push(line(values)), folder);
  });
  return lines;
}

for (const [name, run] of Object.entries(CASES)) {
  test(name, { timeout: 120_000 }, async () => {
    const peer = await transcript(run, PEER);
    const ours = await transcript(run, OURS);
    assert.ok(peer.length > 0, 'the case logs nothing');
    const differing = ours.map((text, index) => [peer[index], text]).filter(([theirs, text]) => theirs !== text);
    const excused = differences[name];
    if (excused === undefined) {
      assert.deepEqual(ours, peer);
      return;
    }
    assert.ok(excused.reason.length > 0 && excused.lines > 0, 'a difference needs a reason and a count');
    assert.equal(ours.length, peer.length);
    assert.equal(differing.length, excused.lines, `lines that differ: ${inspect(differing)}`);
  });
}

test('every excused difference belongs to a case', () => {
  assert.deepEqual(Object.keys(differences).filter((name) => !(name in CASES)), []);
});
