// Connections are sorted into two children by where they come in.
'use strict';
const { fork } = require('node:child_process');
const net = require('node:net');

if (process.argv[2] === 'child') {
  process.on('message', (message, socket) => {
    if (message === 'socket' && socket) socket.end(`handled with ${process.argv[3]} priority`);
  });
} else {
  const children = { normal: fork(__filename, ['child', 'normal']), special: fork(__filename, ['child', 'special']) };
  const servers = Object.entries(children).map(([name, child]) => {
    const server = net.createServer({ pauseOnConnect: true }, (socket) => child.send('socket', socket));
    return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve({ name, server })));
  });
  Promise.all(servers).then(async (ready) => {
    for (const { name, server } of [...ready, ...ready]) {
      let got = '';
      for await (const chunk of net.connect(server.address().port, '127.0.0.1').setEncoding('utf8')) got += chunk;
      console.log(name, 'client:', got);
    }
    for (const { name, server } of ready) {
      // Its child may not have seen yet that the last client has left.
      let count;
      do count = await new Promise((resolve, reject) => server.getConnections((error, found) => (error ? reject(error) : resolve(found))));
      while (count > 0);
      console.log(name, 'connections', count);
      await new Promise((resolve) => server.close(resolve));
      children[name].disconnect();
    }
    console.log('closed');
  });
}
