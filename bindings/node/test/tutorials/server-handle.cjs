// A server that listens in the parent and answers in the child.
'use strict';
const { fork } = require('node:child_process');
const net = require('node:net');

if (process.argv[2] === 'child') {
  process.on('message', (message, server) => {
    if (message !== 'server') return;
    let served = 0;
    server.on('connection', (socket) => {
      socket.end(`served by the child: ${++served}`);
      if (served === 3) server.close(() => process.disconnect());
    });
    process.send('listening');
  });
} else {
  const child = fork(__filename, ['child']);
  const server = net.createServer();
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    child.send('server', server, (error) => {
      console.log('sent', error);
      server.close();
    });
    child.on('message', async (message) => {
      console.log(message);
      for (let round = 0; round < 3; round++) {
        let got = '';
        for await (const chunk of net.connect(port, '127.0.0.1').setEncoding('utf8')) got += chunk;
        console.log(got);
      }
    });
  });
  child.on('disconnect', () => console.log('disconnected'));
}
