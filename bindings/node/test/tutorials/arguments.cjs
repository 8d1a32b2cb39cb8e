// Arguments, options of the runtime, environment and directory of a child.
'use strict';
const { fork } = require('node:child_process');
const os = require('node:os');

if (process.argv[2] === 'child') {
  process.send({
    argv: process.argv.slice(2), execArgv: process.execArgv, name: process.env.NAME, path: process.env.PATH !== undefined,
    cwd: process.cwd() === require('node:fs').realpathSync(os.tmpdir()), title: process.title, channel: process.env.NODE_CHANNEL_FD,
  });
} else {
  const child = fork(__filename, ['child', 'two words', ''], {
    execArgv: ['--no-warnings', '--title=of-a-tutorial'], env: { ...process.env, NAME: 'näme' }, cwd: os.tmpdir(),
  });
  child.on('message', (message) => {
    console.log(message);
    child.disconnect();
  });
  console.log(child.spawnargs.length, child.spawnfile === process.execPath);
}
