// A Node child that asks the package for the channel to its parent, whatever wire that one speaks; ends with 7 once the parent has closed.
'use strict';
const { parentChannel } = require('../../../bindings/node');

(async () => {
  const channel = parentChannel();
  for (;;) {
    const { value, handle } = await channel.recv({ message: true }).catch(() => process.exit(7));
    handle?.end('through the channel');
    channel.send({ value, handle: handle?.constructor.name });
  }
})();
