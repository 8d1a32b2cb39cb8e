// The children of the scenarios of Node's wire as plain Node programs: nothing but Node's own names. `plain.cjs --child PART`.
'use strict';
const dgram = require('node:dgram');
const net = require('node:net');

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
  // Gives handles of its own: a listening socket, a datagram socket, and for the port that it is told a connection; ends with 9 at the disconnect.
  'node-own-handles'() {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      back({ port: server.address().port }, server);
      const udp = dgram.createSocket('udp4').bind(0, '127.0.0.1', () => back({ port: udp.address().port }, udp));
    });
    process.on('message', ({ port }) => {
      const socket = net.connect(port, '127.0.0.1', () => process.send('connection', socket));
    });
    process.on('disconnect', () => { process.exitCode = 9; });
  },
  // Holds what comes with a message and says so.
  'node-holds'() {
    process.on('message', (message, handle) => {
      exports.held = handle;
      process.send('held');
    });
  },
  // Writes to the connection that comes, closes it without a word to its other end, and says so; ends with 7 at the disconnect.
  'node-writes'() {
    process.on('message', (message, socket) => socket.write('child', () => socket.destroy().on('close', () => process.send('written'))));
    process.on('disconnect', () => { process.exitCode = 7; });
  },
  // Says that it is ready and reads nothing any more.
  'node-stalls'() {
    process.send('ready', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
  },
  // Says that it is ready (Node fails when what came before anybody listened makes it disconnect), disconnects after ten messages, while more are on
  // their way; ends with 8. Node that has read half of a message waits with the end for one that comes after, and gives none after `disconnect()`
  // (20.20, `target._disconnect` and `handleMessage`): the event that it waits for is given here.
  'node-leaves'() {
    let count = 0;
    process.on('message', () => {
      if (++count !== 10) return;
      process.disconnect();
      process.emit('internalMessage', {});
    });
    process.exitCode = 8;
    process.send('ready');
  },
  // Sends for ever.
  'node-floods'() {
    flood(process);
  },
  // Says on standard output that something has come, and at the end whether all of it was whole and in order.
  'node-sink'() {
    let count = 0;
    let inOrder = true;
    process.on('message', (message) => {
      if (count === 0) console.log('ready');
      inOrder &&= isPart(message, count++);
    });
    process.on('disconnect', () => console.log(inOrder ? 'in order' : 'out of order'));
  },
};

/** The message of this number in a flood. */
const flooding = (index) => ({ index, text: 'x'.repeat(index * 79_193 % 400_000) });
const isPart = (message, index) => message.index === index && message.text === flooding(index).text;

function flood(target) {
  let index = 0;
  const next = (error) => { if (!error) target.send(flooding(index++), next); };
  next();
}

Object.assign(exports, { flood, isPart });

if (require.main === module) exports.parts[process.argv[3]]();
