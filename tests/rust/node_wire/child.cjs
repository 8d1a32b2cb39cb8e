// A plain Node child: nothing but Node's own names. What it does is its first argument.
'use strict';
const http = require('node:http');
const net = require('node:net');

const acts = {
  // Sends back what comes, handles too; Node leaves servers and datagram sockets open in their sender.
  echo() {
    process.on('message', (message, handle) => process.send(message, handle, () => { if (handle && handle.close) handle.close(); }));
  },
  // Tells what each message is for JavaScript.
  describe() {
    process.on('message', (message, handle) => {
      const kind = handle === undefined ? null : handle.constructor.name;
      process.send({ type: message === null ? 'null' : typeof message, text: JSON.stringify(message), kind });
    });
  },
  // Serves HTTP on the listening socket that comes.
  serve() {
    process.on('message', (message, server) => {
      const web = http.createServer((request, response) => response.end(`${message.name} ${request.url} ${process.pid}`));
      web.listen(server, () => process.send({ listening: process.pid }));
    });
  },
  // Answers on the connection that comes, then tells how much was read from it.
  answer() {
    process.on('message', (message, socket) => {
      let got = '';
      socket.setEncoding('utf8');
      socket.on('data', (data) => { got += data; });
      socket.on('end', () => { socket.end(`${message.hello} ${got}`); });
      socket.on('close', () => process.send({ got }));
    });
  },
  // Sends a datagram from the socket that comes, to the port in the message.
  datagram() {
    process.on('message', (message, socket) => {
      socket.send(`from ${process.pid}`, message.port, '127.0.0.1', () => { socket.close(); process.send('sent'); });
    });
  },
  // Sends COUNT messages of SIZE characters, then disconnects: Node loses what is not written by then.
  burst(count, size) {
    for (let index = 1; index < Number(count); index++) process.send({ index, text: 'x'.repeat(Number(size)) });
    process.send({ index: Number(count), text: 'x'.repeat(Number(size)) }, () => process.disconnect());
    process.exitCode = 5;
  },
  // Runs until its parent disconnects, then ends with 7.
  'until-disconnect'() {
    process.on('message', () => {});
    process.on('disconnect', () => { process.exitCode = 7; });
    process.send('ready');
  },
  // Sends one message of SIZE characters and never ends by itself.
  big(size) {
    process.on('message', () => {});
    process.send('x'.repeat(Number(size)));
  },
  // Says that it is ready and then does nothing at all until there is something on its standard input; tells how many messages came before 'last'.
  stall() {
    let count = 0;
    process.on('message', (message) => {
      if (message === 'last') process.send(count);
      else count++;
    });
    process.send('ready', () => require('node:fs').readSync(0, Buffer.alloc(1)));
  },
  // For every message gives a listening socket, then says 'after'.
  give() {
    const server = net.createServer().listen(0, '127.0.0.1', () => process.send('ready'));
    process.on('message', () => {
      process.send('handle', server);
      process.send('after');
    });
  },
  // Ends at once, but a child of its own has the channel as well; tells that one's number.
  'leave-a-holder'() {
    const holder = require('node:child_process').spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', 'ignore', process.channel.fd], detached: true });
    holder.unref();
    process.send(holder.pid);
  },
  // Gives the runtime's bare handles, then the pipe of its standard input as a socket.
  async bare() {
    const opened = (make) => new Promise((resolve) => { const one = make(() => resolve(one)); });
    const listener = await opened((done) => net.createServer().listen(0, '127.0.0.1', done));
    const client = await opened((done) => net.connect(listener.address().port, '127.0.0.1', done));
    const udp = require('node:dgram').createSocket('udp4');
    await new Promise((done) => udp.bind(0, '127.0.0.1', done));
    const path = `${require('node:os').tmpdir()}/bare-${process.pid}`;
    const unix = await opened((done) => net.createServer().listen(path, done));
    require('node:fs').unlinkSync(path);
    const state = udp[Object.getOwnPropertySymbols(udp).find((symbol) => symbol.description === 'state symbol')];
    const all = { tcp: client._handle, listener: listener._handle, udp: state.handle, unix: unix._handle, pipe: process.stdin };
    for (const [name, handle] of Object.entries(all)) await new Promise((resolve) => process.send(name, handle, resolve));
    process.on('disconnect', () => process.exit(0));
    process.disconnect();
  },
  // Connects back and hands the connection, then a listener, to its parent.
  handles(port) {
    const socket = net.connect(Number(port), '127.0.0.1', () => {
      process.send('client', socket, () => {});
      const server = net.createServer().listen(0, '127.0.0.1', () => {
        process.send({ port: server.address().port }, server, () => { server.close(); process.disconnect(); });
      });
    });
  },
};

acts[process.argv[2]](...process.argv.slice(3));
