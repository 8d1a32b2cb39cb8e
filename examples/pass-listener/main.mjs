// A listening socket is passed to another process, which answers who connects to it.

import { once } from 'node:events';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import procs from 'procs-native';

/** The first line that a connection brings. */
async function line(connection) {
  const [text] = await once(createInterface(connection), 'line');
  return text;
}

async function parent() {
  const listener = net.createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port, address } = listener.address();
  const child = procs.spawn(process.execPath, [fileURLToPath(import.meta.url), 'answer'], { channel: true, stdio: 'inherit' });
  const ended = once(child, 'exit');
  // Node shows the descriptor of a server only here; `procs.fork` and `child.send('listen', listener)` would not need it.
  child.channel.send('listen', { fds: [listener._handle.fd] });
  console.log('a listening socket goes to another process');
  listener.close();
  console.log('this process has closed its own');
  const connection = net.connect(port, address);
  connection.write('hello\n');
  console.log(`asked at the same address, the other process answers: ${await line(connection)}`);
  const [code] = await ended;
  console.log(`the child ended with exit code ${code}`);
}

async function answer() {
  const channel = procs.parentChannel();
  const { fds: [fd] } = await channel.recv({ timeout: 20_000, message: true });
  const listener = net.createServer().listen({ fd });
  const [connection] = await once(listener, 'connection');
  listener.close();
  connection.end(`${(await line(connection)).toUpperCase()}\n`);
  channel.close();
}

if (process.argv.length > 2) await answer();
else await parent();
