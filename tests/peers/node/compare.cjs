'use strict';

// Runs programs twice, with Node's child_process and with procs-native in its place, and compares what they print and how they end.
// `compare.cjs [FILE.cjs [NAME]]…`: a file whose names are asked from itself; no file means all of this folder.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const TIMEOUT = 30_000;
const REPLACE = path.join(__dirname, 'replace.cjs');
/** Where the packages of the drivers are installed. */
const MODULES = process.env.PEERS_MODULES ?? '';

function run(file, name, own) {
  const args = [...(own ? ['--require', REPLACE] : []), file, name];
  const result = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: TIMEOUT, env: { ...process.env, PEERS_MODULES: MODULES } });
  const text = `${result.stdout}\n--- stderr\n${result.stderr}\n--- end ${result.status} ${result.signal}`;
  // What differs between any two runs.
  return text.replace(/\bat .*:\d+:\d+\)?/g, 'at …').replace(/pid[ :=]+\d+/g, 'pid …').split('\n');
}

function difference(theirs, ours) {
  const line = theirs.findIndex((text, index) => text !== ours[index]);
  if (line < 0 && theirs.length === ours.length) return undefined;
  const at = line < 0 ? theirs.length : line;
  return `line ${at + 1}\n    child_process: ${theirs.slice(at, at + 4).join('\n                   ')}\n    procs-native:  ${ours.slice(at, at + 4).join('\n                   ')}`;
}

const names = (file) => spawnSync(process.execPath, [file], { encoding: 'utf8', env: { ...process.env, PEERS_MODULES: MODULES } }).stdout.split('\n').filter(Boolean);
const [wantedFile, wantedName] = process.argv.slice(2);
const folder = fs.readdirSync(__dirname).filter((name) => !['compare.cjs', 'replace.cjs'].includes(name) && name.endsWith('.cjs'));
const files = wantedFile ? [path.resolve(wantedFile)] : folder.map((name) => path.join(__dirname, name));
let [equal, different] = [0, 0];
for (const file of files) {
  for (const name of wantedName ? [wantedName] : names(file)) {
    const found = difference(run(file, name, false), run(file, name, true));
    if (found === undefined) equal++;
    else different++;
    console.log(`${found === undefined ? 'same' : 'DIFFERENT'}  ${path.basename(file)}: ${name}${found === undefined ? '' : `\n  ${found}`}`);
  }
}
console.log(`${equal} equal, ${different} different`);
process.exitCode = different === 0 && equal > 0 ? 0 : 1;
