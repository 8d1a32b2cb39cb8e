// A child of a plain Node program that knows the package; and, without arguments, that Node program as a child of this one.

import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { spawn } from 'procs-native';

/** Node, with this program as its child. */
async function startNode() {
  const parent = fileURLToPath(new URL('parent.cjs', import.meta.url));
  const node = spawn(process.execPath, [parent, process.execPath, fileURLToPath(import.meta.url), 'child'], { stdio: 'inherit' });
  [process.exitCode] = await once(node, 'exit');
}

function child() {
  process.on('message', async (message, connection) => {
    if (!connection) {
      process.send({ sum: message.numbers.reduce((sum, number) => sum + number) });
      return;
    }
    let read = '';
    for await (const chunk of connection.setEncoding('utf8')) read += chunk;
    process.send({ read });
  });
  process.on('disconnect', () => { process.exitCode = 3; });
}

if (process.argv.length > 2) child();
else await startNode();
