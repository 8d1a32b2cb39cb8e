'use strict';

// Programs of fork, one by name: `fork.cjs MODULE NAME [FLAGS OF THE CHILD…]` prints what happens, in order. Run on both modules, with plain children and
// with such as require the package, the text must be the same.

const { AsyncLocalStorage } = require('node:async_hooks');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

const [, , modulePath, name, ...execArgv] = process.argv;
const api = require(modulePath);

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'procs-peer-fork-'));
process.on('exit', () => fs.rmSync(folder, { recursive: true }));

const say = (...words) => console.log(...words.map((word) => (typeof word === 'string' ? word : JSON.stringify(word))));

/** Starts a child of this text, whose events are told. Before it runs it has as much time to change over as it needs. */
function start(text, options) {
  const file = path.join(folder, `child-${Math.random()}.cjs`);
  const ready = execArgv.length > 0 ? "process.channel.wire === 'native'" : 'true';
  // Its messages begin once that is so: nobody can tell, and both wires are tried.
  fs.writeFileSync(file, `
let tries = 0;
(function begin() { if (!(${ready}) && tries++ < 500) return setTimeout(begin, 2); ${text} })();`);
  const child = api.fork(file, ['one', 'two'], { execArgv, ...options });
  child.on('message', (message, handle) => say('message', message, handle === undefined ? 'alone' : handle.constructor.name));
  for (const event of ['spawn', 'disconnect', 'exit']) child.on(event, (...args) => say(event, args, child.connected, child.channel === null));
  child.on('error', (error) => say('error', error.code, error.message));
  return child;
}

/** What the child sends is told by its callback, too. */
const tell = (message) => new Promise((resolve) => { tell.child.send(message, (error) => { say('written', error?.code ?? null); resolve(); }); });

const PROGRAMS = {
  async echo() {
    const child = tell.child = start("process.on('message', (m) => process.send({ m, argv: process.argv.slice(2), connected: process.connected }));");
    for (const message of [1, 'text', null, { a: [true] }, 'ü'.repeat(10)]) {
      await Promise.all([tell(message), once(child, 'message')]);
    }
    child.disconnect();
    say('after', child.connected);
    await once(child, 'exit');
  },

  async 'the child leaves'() {
    const child = start(`process.on('disconnect', () => { console.log('in the child', process.connected, process.channel); process.exitCode = 3; });
      for (let i = 0; i < 5; i++) process.send(i); process.disconnect();`, { silent: true });
    let printed = '';
    child.stdout.on('data', (text) => { printed += text; });
    await once(child, 'close');
    // A pipe and a channel have no common order.
    say('stdout', printed);
  },

  async 'a start that fails'() {
    for (const options of [{ execPath: '/no/such/program' }, { execPath: '/etc', silent: true }]) {
      const child = start('', options);
      child.on('close', (...args) => say('close', args));
      say(child.connected, typeof child.channel.ref, child.pid === undefined);
      say(child.send('x', (error) => say('written', error.code)), child.send('y'));
      await new Promise((resolve) => { child.on('close', resolve); });
      say(child.connected, child.channel, child.send('z', (error) => say('written', error.code)));
      await new Promise(setImmediate);
    }
  },

  async 'the child exits at once'() {
    const child = start("for (let i = 0; i < 20; i++) process.send('x'.repeat(1000) + i); process.exit(4);");
    await once(child, 'close');
  },

  async 'the child is killed'() {
    const child = start("process.send('here'); setInterval(() => {}, 1000);");
    await once(child, 'message');
    child.kill('SIGKILL');
    await once(child, 'close');
    child.send('late', (error) => say('late', error.code));
  },

  async 'errors of both sides'() {
    const child = start(`
      const names = [];
      for (const bad of [() => process.send(), () => process.send(() => {}), () => process.send(Symbol('x')), () => process.send('x', {}), () => process.send('x', undefined, 5)]) {
        try { bad(); names.push('none'); } catch (error) { names.push(error.code + ' ' + error.message); }
      }
      process.send(names);
      process.on('disconnect', () => {
        process.send('gone', (error) => console.log('callback', error.code, error.message));
        process.once('error', (error) => console.log('event', error.code));
        process.disconnect();
      });`, { silent: true });
    let text = '';
    child.stdout.on('data', (chunk) => { text += chunk; });
    await once(child, 'message');
    child.disconnect();
    await Promise.all([once(child, 'exit'), once(child.stdout, 'end')]);
    say('stdout', text);
  },

  async 'messages before there is a listener'() {
    const child = start("setTimeout(() => process.on('message', (m) => process.send('got ' + m)), 200); process.send('ready');");
    await once(child, 'message');
    for (let index = 0; index < 5; index++) child.send(index);
    await new Promise((resolve) => child.on('message', (message) => { if (message === 'got 4') resolve(); }));
    child.disconnect();
    await once(child, 'exit');
  },

  async 'a server and a connection'() {
    const child = start(`process.on('message', (m, handle) => {
      if (m === 'server') { handle.close(); process.send('closed'); }
      else handle.end('from the child ' + (handle instanceof require('node:net').Socket));
    });`);
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    child.send('server', server);
    await once(child, 'message');
    const client = net.connect(server.address().port, '127.0.0.1');
    const [connection] = await once(server, 'connection');
    child.send('connection', connection);
    say('answer', String((await once(client, 'data'))[0]));
    server.close();
    child.disconnect();
    await once(child, 'exit');
  },

  async 'a listener keeps the child, its end lets it go'() {
    const child = start(`const f = (m) => { process.removeListener('message', f); process.send('removed ' + m); }; process.on('message', f);`);
    child.send('x');
    await once(child, 'exit');
  },

  async 'the async context of the start'() {
    const storage = new AsyncLocalStorage();
    const child = storage.run('mine', () => start("process.send('one'); process.once('message', () => { process.send('two'); process.disconnect(); });"));
    for (const event of ['message', 'disconnect', 'exit', 'close']) child.on(event, () => say(event, 'in', storage.getStore()));
    await once(child, 'message');
    storage.run('other', () => child.send('go', () => say('written in', storage.getStore())));
    await once(child, 'close');
  },

  async 'unref in the child'() {
    const child = start("process.on('message', () => {}); process.channel.unref(); process.send('bye');");
    await once(child, 'exit');
  },

  async 'ref in the child'() {
    const child = start("process.channel.ref(); process.send('here'); process.once('disconnect', () => process.exit(6));");
    await once(child, 'message');
    child.disconnect();
    await once(child, 'exit');
  },

  async 'internal messages'() {
    const child = start("process.on('internalMessage', (m) => process.send({ cmd: 'NODE_mine', m })); process.on('message', () => process.disconnect()); process.send('ready');");
    await once(child, 'message');
    child.on('internalMessage', (message) => { if (message.cmd === 'NODE_mine') { say('internal', message); child.send('end'); } });
    child.send({ cmd: 'NODE_yours' });
    await once(child, 'exit');
  },
};

if (name === undefined) say(Object.keys(PROGRAMS));
else PROGRAMS[name]();
