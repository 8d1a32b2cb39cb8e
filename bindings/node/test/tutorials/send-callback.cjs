// send: its callback, and the boolean that asks a fast sender to wait.
'use strict';
const { fork } = require('node:child_process');

if (process.argv[2] === 'child') {
  let bytes = 0;
  process.on('message', (text) => { bytes += text.length; });
  process.on('disconnect', () => console.log('child got', bytes));
} else {
  const child = fork(__filename, ['child']);
  const text = 'x'.repeat(100_000);
  let sent = 0;
  let called = 0;
  let full = false;
  const more = () => {
    while (sent < 60) {
      sent++;
      const free = child.send(text, (error) => {
        if (error) throw error;
        if (++called === 60) {
          console.log('sent', sent, 'was full', full);
          child.disconnect();
        }
      });
      if (!free) full = true;
    }
  };
  more();
}
