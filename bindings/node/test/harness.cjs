'use strict';

// What the tests have in common: how often and for how long, and programs of this runtime that have the package.

const path = require('node:path');
const procs = require('..');

/** The package, for the text of a program. */
const MODULE = JSON.stringify(path.resolve(__dirname, '../index.cjs'));
/** Full counts. */
const FULL = process.env.PROCS_TEST_FULL === '1';
/** By how much is awaited for longer. */
const SLOW = Number(process.env.PROCS_TEST_SLOW ?? 1);
/** Options of a test. */
const WATCHED = { timeout: SLOW * (FULL ? 3_600_000 : 60_000) };

/** A tenth of the full count, or all of it. */
const times = (full) => (FULL ? full : Math.ceil(full / 10));

/** Runs a program of this runtime that has `procs`, and `gc`. */
function script(body, options) {
  return procs.run(process.execPath, ['--expose-gc', '-e', `const procs = require(${MODULE}); ${body}`], { timeout: 50_000 * SLOW, ...options });
}

module.exports = { MODULE, FULL, SLOW, WATCHED, times, script };
