'use strict';

// Programs as the documentation and tutorials of fork and of threads teach them, run as they are and with nothing but the module changed that they
// require: the same output and the same end.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');

const FOLDER = path.join(__dirname, 'tutorials');
const OURS = JSON.stringify(path.resolve(__dirname, '..'));
const MODULE = /require\('node:(child_process|worker_threads)'\)/g;

function run(file) {
  return new Promise((resolve) => {
    execFile(process.execPath, [file], { timeout: 60_000 }, (error, stdout, stderr) => resolve({ code: error ? error.code ?? error.signal : 0, stdout, stderr }));
  });
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'procs-tutorials-'));
test.after(() => fs.rmSync(folder, { recursive: true }));

for (const name of fs.readdirSync(FOLDER)) {
  test(`tutorial ${name}`, { timeout: 120_000 }, async () => {
    const text = fs.readFileSync(path.join(FOLDER, name), 'utf8');
    assert.match(text, MODULE);
    const changed = path.join(folder, name);
    fs.writeFileSync(changed, text.replace(MODULE, `require(${OURS})`));
    const [theirs, ours] = [await run(path.join(FOLDER, name)), await run(changed)];
    assert.deepEqual(ours, theirs);
    assert.deepEqual([theirs.code, theirs.stderr], [0, '']);
    assert.notEqual(theirs.stdout, '');
  });
}
