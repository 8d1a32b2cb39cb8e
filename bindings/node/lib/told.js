'use strict';

// What a function that watches a channel is told first (bindings/node/src/incoming.rs says what follows).

module.exports = { BYTES: 0, TEXTS: 1, WHOLE: 2, END: 4 };
