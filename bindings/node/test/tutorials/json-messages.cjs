// What JSON makes of values, and what cannot be sent.
'use strict';
const { fork } = require('node:child_process');

if (process.argv[2] === 'child') {
  process.on('message', (message) => process.send(message));
} else {
  const child = fork(__filename, ['child']);
  const values = [
    { date: new Date(0), map: new Map([[1, 2]]), undefined, nothing: null, nan: NaN }, [undefined, () => {}], 'text ü😀', 1e21, -0, true, null,
    { toJSON() { return 'my own'; } }, Buffer.from('ab'), { deep: { deeper: { deepest: ['!'] } } }, '', [],
  ];
  for (const bad of [undefined, () => {}, Symbol('s'), 10n]) {
    try {
      child.send(bad);
    } catch (error) {
      console.log(typeof bad, error.code);
    }
  }
  try {
    child.send({ big: 10n });
  } catch (error) {
    console.log(error.name);
  }
  let back = 0;
  child.on('message', (message) => {
    console.log(JSON.stringify(message));
    if (++back === values.length) child.disconnect();
  });
  for (const value of values) child.send(value);
}
