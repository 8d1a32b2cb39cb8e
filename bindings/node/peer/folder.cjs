'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

/** Runs something in a fresh folder, which is the working directory meanwhile. */
exports.inFolder = async function inFolder(run) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'procs-node-'));
  const before = process.cwd();
  process.chdir(folder);
  try {
    await run(folder);
  } finally {
    process.chdir(before);
    fs.rmSync(folder, { recursive: true, force: true });
  }
};
