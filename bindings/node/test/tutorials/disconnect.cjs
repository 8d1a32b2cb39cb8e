// Either side ends the channel; the other hears of it, and later sends fail.
'use strict';
const { fork } = require('node:child_process');
const { once } = require('node:events');

if (process.argv[2] === 'child') {
  process.on('message', (message) => {
    if (message === 'you') process.disconnect();
  });
  process.on('disconnect', () => {
    console.log('child: disconnected', process.connected, process.channel == null);
    process.exitCode = 4;
  });
} else {
  (async () => {
    for (const who of ['you', 'me']) {
      const child = fork(__filename, ['child']);
      const events = [once(child, 'disconnect'), once(child, 'exit')];
      console.log('connected', child.connected);
      child.send(who);
      if (who === 'me') child.disconnect();
      const [, [code]] = await Promise.all(events);
      console.log(who, 'exit', code, 'connected', child.connected);
      child.send('late', (error) => console.log('late:', error.code));
      await new Promise(setImmediate);
      child.once('error', (error) => console.log('again:', error.code));
      child.disconnect();
    }
  })();
}
