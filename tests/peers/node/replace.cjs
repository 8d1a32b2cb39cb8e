'use strict';

// Preloaded with --require: child_process is procs-native for everybody who asks for it from then on, by require or import.

const childProcess = require('node:child_process');
const Module = require('node:module');
const path = require('node:path');
const own = require(path.join(__dirname, '../../../bindings/node'));

const load = Module._load;
Module._load = function replaced(request, ...rest) {
  return request === 'child_process' || request === 'node:child_process' ? own : load.call(this, request, ...rest);
};
// An import takes the names of the built-in module.
for (const name of Object.keys(childProcess)) if (name in own) childProcess[name] = own[name];
Module.syncBuiltinESMExports();
