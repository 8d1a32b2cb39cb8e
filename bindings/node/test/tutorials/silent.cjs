// A silent child: its output comes through pipes, line by line.
'use strict';
const { fork } = require('node:child_process');
const readline = require('node:readline');

if (process.argv[2] === 'child') {
  console.log('to standard output');
  console.error('to standard error');
  process.stdin.on('data', (data) => console.log('read', data.toString().trim()));
  process.stdin.on('end', () => process.disconnect());
  process.send('ready');
} else {
  const child = fork(__filename, ['child'], { silent: true });
  const lines = { stdout: [], stderr: [] };
  for (const name of ['stdout', 'stderr']) readline.createInterface({ input: child[name] }).on('line', (line) => lines[name].push(line));
  child.on('message', (message) => {
    console.log(message);
    child.stdin.end('words for the child\n');
  });
  child.on('close', (code) => console.log('close', code, lines));
}
