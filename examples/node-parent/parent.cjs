// A plain Node program, which knows nothing of libprocs, and a child of it that is the command on its command line.
'use strict';
const { spawn } = require('node:child_process');
const net = require('node:net');

const [, , program, ...args] = process.argv;
const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
child.on('message', (message) => {
  console.log('the child says', JSON.stringify(message));
  if (message.sum) handConnection();
  else child.disconnect();
});
child.on('disconnect', () => console.log('the channel has ended'));
child.on('exit', (code) => process.on('exit', () => console.log('the child ended with exit code', code)));
child.send({ numbers: [1, 2, 3, 4] });

/** A client of a server here whose connection the child gets. */
function handConnection() {
  const server = net.createServer({ pauseOnConnect: true }, (connection) => {
    child.send('a connection', connection);
    server.close();
  });
  server.listen(0, '127.0.0.1', () => {
    net.connect(server.address().port, '127.0.0.1').end('words of a client');
  });
}
