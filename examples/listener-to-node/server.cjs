// A plain Node program: it serves HTTP on the listening socket that its parent sends, until its parent disconnects.
'use strict';
const http = require('node:http');

process.on('message', ({ greeting }, listener) => {
  const server = http.createServer((request, response) => response.end(`${greeting}, ${request.url.slice(1)}`));
  server.listen(listener, () => process.send('ready'));
  process.on('disconnect', () => server.close());
});
