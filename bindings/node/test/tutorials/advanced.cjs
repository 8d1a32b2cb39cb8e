// Values that JSON does not have.
'use strict';
const { fork } = require('node:child_process');
const { inspect } = require('node:util');

if (process.argv[2] === 'child') {
  process.on('message', (message) => {
    console.log('child:', inspect(message, { depth: 4, sorted: true }));
    process.send(message);
  });
} else {
  const child = fork(__filename, ['child'], { serialization: 'advanced' });
  const circle = { name: 'circle' };
  circle.self = circle;
  const values = [
    new Map([['a', 1], ['b', { c: [2] }]]), new Set([1, 'two']), new Date(0), { big: 2n ** 70n }, /x+/gi, new Uint8Array([1, 2, 255]),
    Buffer.from('bytes'), { undefined, nan: NaN, minus: -0, infinite: Infinity }, circle, new RangeError('out of it').message, [, 1, , 2],
  ];
  let next = 0;
  child.on('message', (message) => {
    console.log('parent:', inspect(message, { depth: 4, sorted: true }));
    if (next < values.length) child.send(values[next++]);
    else child.disconnect();
  });
  child.send(values[next++]);
}
