// A channel beside other streams, in spawn.
'use strict';
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');

if (process.argv[2] === 'child') {
  process.on('message', (message) => {
    fs.writeSync(4, `through the pipe: ${message}`);
    process.disconnect();
  });
} else {
  (async () => {
    const child = spawn(process.execPath, [__filename, 'child'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc', 'pipe'] });
    console.log(child.stdio.map((stream) => stream === null), child.stdin, child.stdout);
    child.send('hello');
    let got = '';
    for await (const chunk of child.stdio[4].setEncoding('utf8')) got += chunk;
    console.log(got);
    console.log(await once(child, 'close'));
  })();
}
