// A plain Node program: it knows nothing of libprocs.
'use strict';

process.on('message', (message, connection) => {
  if (connection) connection.end(`hello ${message.name}, from Node`);
  else process.send({ square: message.number ** 2 });
});
process.on('disconnect', () => { process.exitCode = 3; });
