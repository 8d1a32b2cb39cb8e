// The children of the scenarios of Node's wire as plain Node programs: nothing but Node's own names. `plain.cjs --child PART`.
'use strict';

/** Sends a message back; servers and datagram sockets stay open in their sender, so they are closed once they have gone. */
function back(message, handle) {
  process.send(message, handle, () => { if (handle?.close) handle.close(); });
}

exports.parts = {
  // Sends everything back, handles too; ends with 7 once its parent has disconnected.
  'node-echo'() {
    process.on('message', back);
    process.on('disconnect', () => { process.exitCode = 7; });
  },
  // Says that it is ready (Node loses what came before anybody listened once its parent has disconnected); ends with the number of messages.
  'node-count'() {
    process.exitCode = 0;
    process.on('message', () => { process.exitCode += 1; });
    process.send('ready');
  },
  // Sends 300 messages and disconnects; ends with 5.
  'node-burst'() {
    const text = 'x'.repeat(10_000);
    for (let index = 0; index < 300; index++) process.send({ index, text }, index === 299 ? () => process.disconnect() : undefined);
    process.exitCode = 5;
  },
  // Sends 100 messages and ends with 6.
  'node-last-words'() {
    for (let index = 0; index < 100; index++) process.send({ index, text: 'x'.repeat(1000) });
    process.exitCode = 6;
  },
  // Says on standard output when its parent is gone.
  'node-orphan'() {
    process.on('message', () => {});
    process.on('disconnect', () => console.log('gone'));
    console.log('ready');
  },
};

if (require.main === module) exports.parts[process.argv[3]]();
