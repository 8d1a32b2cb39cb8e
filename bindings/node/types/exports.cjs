'use strict';
// Prints TypeScript that compiles only if index.d.ts has exactly what is there at run time: the exported names, and the methods, accessors and
// static members of each class. What worker_threads has is declared with it.

const { EventEmitter } = require('node:events');
const path = require('node:path');
const threads = require('node:worker_threads');
const procs = require('../index.cjs');

const isClass = (value) => typeof value === 'function' && Function.prototype.toString.call(value).startsWith('class');
const union = (names) => names.map((name) => `'${name}'`).join(' | ') || 'never';
const members = (object, others) => Reflect.ownKeys(object).filter((key) => typeof key === 'string' && !key.startsWith('_') && !others.includes(key));

/** The members of a class and of those that it extends here. */
function instance(prototype) {
  if (prototype === null || prototype === Object.prototype || prototype === EventEmitter.prototype) return [];
  return [...members(prototype, ['constructor']), ...instance(Object.getPrototypeOf(prototype))];
}

const lines = [
  "import { EventEmitter } from 'node:events';",
  "import * as threads from 'node:worker_threads';",
  `import * as procs from ${JSON.stringify(path.join(__dirname, '../index.js'))};`,
  'type Others = keyof typeof threads | typeof Symbol.asyncIterator | typeof Symbol.dispose | typeof Symbol.asyncDispose;',
  'type Same<Typed, Real> = { typedOnly: Exclude<Typed, Real | Others>; realOnly: Exclude<Real, Typed | Others> };',
  'type None = { typedOnly: never; realOnly: never };',
];

function compare(what, typed, names) {
  lines.push(`export const ${what}: None = null as unknown as Same<${typed}, ${union(names)}>;`);
}

const own = Object.keys(procs).filter((name) => !(name in threads));
compare('names', 'keyof typeof procs', own);
for (const name of own.filter((key) => isClass(procs[key]) && !(procs[key].prototype instanceof Error))) {
  const inherited = procs[name].prototype instanceof EventEmitter ? 'keyof EventEmitter' : 'never';
  compare(`${name}Members`, `Exclude<keyof procs.${name}, ${inherited}>`, instance(procs[name].prototype));
  compare(`${name}Static`, `Exclude<keyof typeof procs.${name}, 'prototype' | keyof typeof EventEmitter>`, members(procs[name], ['length', 'name', 'prototype']));
}
console.log(lines.join('\n'));
