// Two threads that talk to each other, past the main one.
'use strict';
const { Worker, MessageChannel, isMainThread, parentPort, receiveMessageOnPort } = require('node:worker_threads');

if (isMainThread) {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage('at once');
  console.log(receiveMessageOnPort(port2), receiveMessageOnPort(port2));
  const [first, second] = [new Worker(__filename), new Worker(__filename)];
  second.on('message', (message) => console.log('second said', message));
  first.postMessage({ port: port1, role: 'asks' }, [port1]);
  second.postMessage({ port: port2, role: 'answers' }, [port2]);
} else {
  parentPort.once('message', ({ port, role }) => {
    port.on('message', (message) => {
      if (role === 'answers') {
        port.postMessage(`${message} and back`);
        parentPort.postMessage(message);
      } else {
        port.close();
      }
    });
    if (role === 'asks') port.postMessage('there');
  });
}
