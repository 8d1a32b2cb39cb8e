// A listening socket that is opened here and handed to a plain Node program, which serves HTTP on it.

import { once } from 'node:events';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import { fork } from 'procs-native';

const child = fork(fileURLToPath(new URL('server.cjs', import.meta.url)));
const ended = once(child, 'exit');
const listener = net.createServer().listen(0, '127.0.0.1');
await once(listener, 'listening');
const { port } = listener.address();
child.send({ greeting: 'hello' }, listener);
await once(child, 'message');
// A connection goes to whoever of all holders accepts it first: from here on that is the child alone.
listener.close();
console.log('Node serves on the socket that was opened here');
for (const name of ['world', 'again']) {
  const page = await fetch(`http://127.0.0.1:${port}/${name}`, { headers: { connection: 'close' } });
  console.log(`GET /${name}: ${await page.text()}`);
}
child.disconnect();
const [code] = await ended;
console.log(`the child ended with exit code ${code}`);
