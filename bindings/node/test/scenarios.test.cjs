'use strict';

// The scenarios in the names of child_process: on both modules equal, and equal to the transcripts, less what peer/transcripts.json gives a reason for.

const assert = require('node:assert/strict');
const childProcess = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const native = require('..');
const { cases } = require('../peer/scenarios.cjs');
const differences = require('../peer/transcripts.json');
const { inFolder } = require('../peer/folder.cjs');

const FOLDER = path.resolve(__dirname, '../../../tests/scenarios');

function expected(id) {
  const lines = fs.readFileSync(path.join(FOLDER, `${id}.txt`), 'utf8').trimEnd().split('\n');
  return lines.filter((line) => !line.startsWith('#') && !line.startsWith('not: '));
}

/** child_process knows the errno of a failure, not its kind and stage. */
function known(line) {
  return line.replace(/^error kind=(?!INVALID_ARGUMENT)\S+ stage=\S+ /, 'error ');
}

async function facts(run, api) {
  const lines = [];
  await inFolder((folder) => run(api, (line) => lines.push(line), folder));
  return lines;
}

test('the helper is there', { skip: process.env.PROCS_TEST_CHILD ? false : 'PROCS_TEST_CHILD is not set: the scenarios are not run' }, () => {
  assert.ok(fs.existsSync(process.env.PROCS_TEST_CHILD));
});

for (const [id, run] of Object.entries(cases)) {
  test(`scenario ${id}`, { timeout: 120_000 }, async () => {
    const ours = await facts(run, native);
    // What another process left open in this one decides whether the peer differs here.
    if (!differences.peer[id]) assert.deepEqual(ours, await facts(run, childProcess), 'procs-native and child_process differ');
    const transcript = expected(id).map(known);
    const reason = differences.transcript[id];
    if (reason) assert.notDeepEqual(ours, transcript, `no difference any more: ${reason}`);
    else assert.deepEqual(ours, transcript);
  });
}
