'use strict';

// The programs of peer/fork.cjs print the same on node:child_process and on this package, with plain children and with such as change over.

const assert = require('node:assert');
const path = require('node:path');
const test = require('node:test');
const procs = require('..');

const PROGRAM = path.join(__dirname, '..', 'peer', 'fork.cjs');
const PACKAGE = path.join(__dirname, '..');

function transcript(...args) {
  return transcriptIn(process.env, ...args);
}

async function transcriptIn(env, ...args) {
  const { stdout, stderr } = await procs.run(process.execPath, [PROGRAM, ...args], { timeout: 60_000, encoding: 'utf8', check: true, env });
  return stdout + stderr;
}

test('fork: the same with both modules and every child', async (t) => {
  const names = JSON.parse(await transcript('node:child_process'));
  assert.ok(names.length > 8);
  for (const name of names) {
    await t.test(name, async () => {
      const expected = await transcript('node:child_process', name);
      assert.ok(expected.length > 20, expected);
      assert.strictEqual(await transcript(PACKAGE, name), expected, 'a plain child');
      assert.strictEqual(await transcript(PACKAGE, name, '-r', PACKAGE), expected, 'a child that changes over');
      const byThread = { ...process.env, PROCS_NODE_WAIT: 'thread' };
      const threaded = await transcriptIn(byThread, PACKAGE, name, '-r', PACKAGE);
      // The end of the channel is told by the thread, the end of a child that never was by the loop: which comes first is chance.
      const order = name === 'a start that fails' ? (text) => text.split('\n').sort() : (text) => text;
      assert.deepStrictEqual(order(threaded), order(expected), 'a thread waits in the place of the loop');
    });
  }
});
