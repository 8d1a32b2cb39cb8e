// A program that has no descriptor left for its children.
'use strict';
const { exec, fork, spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');

async function limited() {
  // Everything has been used once before there is nothing left.
  await Promise.all([spawn('true'), exec('true', () => {}), fork('/dev/null')].map((child) => once(child, 'close')));
  const files = [];
  try {
    for (;;) files.push(fs.openSync('/dev/null'));
  } catch (error) {
    console.log(error.code);
  }
  const starts = { spawn: () => spawn('true'), exec: () => exec('true', (error) => console.log('callback', error.code)), fork: () => fork(__filename) };
  for (const [name, start] of Object.entries(starts)) {
    const child = start();
    console.log(name, child.pid, child.stdio, child.connected, typeof child.send, child.channel);
    child.on('error', ({ code, errno, syscall, message, path, spawnargs }) => {
      console.log('error', code, errno, syscall, message === `spawn ${child.spawnfile} EMFILE`, path === child.spawnfile, spawnargs.length);
    });
    console.log('close', ...await new Promise((resolve) => child.on('close', (...how) => resolve(how))));
  }
  for (const file of files) fs.closeSync(file);
  const child = fork('/dev/null');
  console.log('and again', ...await once(child, 'exit'));
}

if (process.argv[2] === 'limited') limited();
else spawn('sh', ['-c', 'ulimit -n 64; exec "$0" "$1" limited', process.execPath, __filename], { stdio: 'inherit' });
