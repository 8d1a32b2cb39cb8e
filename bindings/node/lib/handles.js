'use strict';

// Sockets and servers on their way through a channel: from an object to its descriptor, and from a descriptor to an object.

const dgram = require('node:dgram');
const { EventEmitter } = require('node:events');
const net = require('node:net');
const { nodeError } = require('./errors.js');

const ignore = () => {};

/** What dgram keeps of a socket; it has no public way to its handle without a warning. */
function dgramState(socket) {
  const key = Object.getOwnPropertySymbols(socket).find((symbol) => symbol.description === 'state symbol');
  return key && socket[key];
}

/** Lets a connection that belonged to an HTTP server go, with what the server kept for it. */
function releaseParser(socket) {
  if (!socket.parser) return;
  const { freeParser, HTTPParser } = require('_http_common');
  if (!(socket.parser instanceof HTTPParser)) return;
  freeParser(socket.parser, null, socket);
  if (socket._httpMessage) socket._httpMessage.detachSocket(socket);
}

/** Connections that a child was sent: asks it about them for their server. */
class SentSockets extends EventEmitter {
  constructor(target, key) {
    super();
    this.key = key;
    this.child = target;
    target.once('exit', () => this.emit('exit', this));
  }

  #ask(cmd, answer, quiet, callback) {
    const { child, key } = this;
    if (!child.connected) {
      callback(nodeError('ERR_CHILD_CLOSED_BEFORE_REPLY'));
      return;
    }
    const finish = (error, message) => {
      child.removeListener('disconnect', onDisconnect);
      child.removeListener('internalMessage', onMessage);
      callback(error, message);
    };
    const onDisconnect = () => finish(nodeError('ERR_CHILD_CLOSED_BEFORE_REPLY'));
    const onMessage = (message) => {
      if (message.cmd === answer && message.key === key) finish(null, message);
    };
    child.once('disconnect', onDisconnect);
    child.on('internalMessage', onMessage);
    child._send({ cmd, key }, undefined, quiet);
  }

  close(callback) {
    this.#ask('NODE_SOCKET_NOTIFY_CLOSE', 'NODE_SOCKET_ALL_CLOSED', true, callback);
  }

  getConnections(callback) {
    this.#ask('NODE_SOCKET_GET_COUNT', 'NODE_SOCKET_COUNT', false, (error, message) => (error ? callback(error) : callback(null, message.count)));
  }
}

/** Connections that came from the other side: answers its questions about them. */
class ReceivedSockets extends EventEmitter {
  constructor(target, key) {
    super();
    this.connections = 0;
    this.key = key;
    const tell = (message) => { if (target.connected) target._send(message, undefined, true); };
    const allClosed = () => tell({ cmd: 'NODE_SOCKET_ALL_CLOSED', key });
    target.on('internalMessage', (message) => {
      if (message.key !== key) return;
      if (message.cmd === 'NODE_SOCKET_GET_COUNT') tell({ cmd: 'NODE_SOCKET_COUNT', key, count: this.connections });
      else if (message.cmd !== 'NODE_SOCKET_NOTIFY_CLOSE') return;
      else if (this.connections === 0) allClosed();
      else this.once('empty', allClosed);
    });
  }

  add({ socket }) {
    this.connections++;
    socket.once('close', () => {
      if (--this.connections === 0) this.emit('empty', this);
    });
  }
}

/** The list of a key among those of a channel. */
function listOf(lists, target, key, List) {
  lists[key] ??= new List(target, key);
  return lists[key];
}

/** The name on the wire of what was given to `send`. */
function typeOf(handle) {
  if (handle instanceof net.Socket) return 'net.Socket';
  if (handle instanceof net.Server) return 'net.Server';
  if (handle instanceof dgram.Socket) return 'dgram.Socket';
  switch (handle?.constructor?.name) {
    case 'TCP':
    case 'Pipe':
      return 'net.Native';
    case 'UDP':
      return 'dgram.Native';
    default:
      throw nodeError('ERR_INVALID_HANDLE_TYPE');
  }
}

/** The runtime's handle behind an object that is sent, undefined when it has none (any more). A connection is taken from its object. */
function detach(message, object, options, target, sockets) {
  switch (message.type) {
    case 'net.Server':
      return object._handle ?? undefined;
    case 'dgram.Socket':
      message.dgramType = object.type;
      return dgramState(object)?.handle ?? undefined;
    case 'net.Socket':
      return detachSocket(message, object, options, target, sockets);
    default:
      return object;
  }
}

function detachSocket(message, socket, options, target, sockets) {
  const handle = socket._handle;
  if (!handle) return undefined;
  const { server } = socket;
  if (server) {
    message.key = server._connectionKey;
    const first = !sockets.send[message.key];
    const list = listOf(sockets.send, target, message.key, SentSockets);
    // From now on the server asks the child about its connections, too.
    if (first) server._setupWorker(list);
    if (!options.keepOpen) server._connections--;
  }
  if (!options.keepOpen) {
    handle.onread = ignore;
    socket._handle = null;
    socket.setTimeout(0);
    releaseParser(socket);
  }
  return handle;
}

/** Makes the object for a descriptor that came, and calls `give` with it. */
function attach(message, fd, target, sockets, give) {
  switch (message.type) {
    case 'net.Server': {
      const server = new net.Server();
      server.listen({ fd }, () => give(server));
      return;
    }
    case 'net.Socket': {
      const socket = new net.Socket({ fd, readable: true, writable: true });
      if (message.key) listOf(sockets.got, target, message.key, ReceivedSockets).add({ socket });
      give(socket);
      return;
    }
    case 'dgram.Socket': {
      const socket = dgram.createSocket(message.dgramType ?? 'udp4');
      socket.bind({ fd, exclusive: true }, () => give(socket));
      return;
    }
    case 'dgram.Native': {
      const socket = dgram.createSocket('udp4');
      socket.bind({ fd, exclusive: true }, () => give(dgramState(socket).handle));
      return;
    }
    default: {
      const socket = new net.Socket({ fd, readable: false, writable: false });
      const handle = socket._handle;
      socket._handle = null;
      give(handle);
    }
  }
}

module.exports = { typeOf, detach, attach };
