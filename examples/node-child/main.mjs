// A plain Node program as the child: objects both ways, a connection that it is handed, its end.

import { once } from 'node:events';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import { fork } from 'procs-native';

const child = fork(fileURLToPath(new URL('child.cjs', import.meta.url)));
const ended = once(child, 'exit');
const question = { number: 12 };
child.send(question);
const [answer] = await once(child, 'message');
console.log(`sent ${JSON.stringify(question)}, got back ${JSON.stringify(answer)}`);

const server = net.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
await once(server, 'listening');
const client = net.connect(server.address().port, '127.0.0.1');
const [connection] = await once(server, 'connection');
child.send({ name: 'client' }, connection);
let said = '';
for await (const chunk of client.setEncoding('utf8')) said += chunk;
server.close();
console.log(`the child answered on the connection: ${said}`);

child.disconnect();
const [code] = await ended;
console.log(`the child ended with exit code ${code}`);
