'use strict';

// The native module, one instance per environment (main thread or worker).

module.exports = require('../procs.node');
