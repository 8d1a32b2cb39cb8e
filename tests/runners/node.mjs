// The scenarios in Node: `node node.mjs ID` prints the facts of one, `--list` the ids. scenarios/README.md has the rules.

import * as channel from './node/channel.mjs';
import * as limits from './node/limits.mjs';
import * as many from './node/many.mjs';
import * as memory from './node/memory.mjs';
import * as nodeFaults from './node/node-faults.mjs';
import * as nodeWire from './node/node-wire.mjs';
import * as runs from './node/run.mjs';
import * as setup from './node/setup.mjs';
import * as spawns from './node/spawn.mjs';
import * as streams from './node/stream.mjs';

const all = [runs, setup, limits, streams, spawns, many, memory, channel, nodeWire, nodeFaults];
const table = Object.assign({}, ...all.map((one) => one.table));

// `--peer` runs the scenarios of Node's wire on node:child_process.
const [id, part] = process.argv.slice(2).filter((word) => word !== '--peer');
if (id === '--list') {
  for (const name of Object.keys(table)) console.log(name);
} else if (id === '--child') {
  await { ...memory.parts, ...channel.parts, ...nodeWire.parts, ...nodeFaults.parts }[part]();
} else if (!Object.hasOwn(table, id ?? '')) {
  console.error(`usage: node.mjs --list | ID (no scenario ${JSON.stringify(id ?? '')})`);
  process.exitCode = 64;
} else if (!process.env.PROCS_TEST_CHILD || !process.env.PROCS_TEST_DIR) {
  console.error('PROCS_TEST_CHILD and PROCS_TEST_DIR must be set');
  process.exitCode = 64;
} else {
  await table[id]();
}
