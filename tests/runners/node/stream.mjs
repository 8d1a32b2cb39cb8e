// Reading line by line.

import { bytes, ended, flag, helper, procs, quoted, fact, status } from './facts.mjs';

/** All lines of a child of the helper, and its end. */
async function linesOf(args) {
  const child = procs.spawn(helper, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const end = ended(child);
  const lines = [];
  for await (const line of child.lines()) lines.push(line);
  return { lines, end: await end };
}

function line(index, value) {
  fact(`line index=${index} text=${quoted(value)}`);
}

async function streamLines() {
  const { lines, end } = await linesOf(['lines', '1000']);
  flag('lines', lines.length);
  line(0, lines[0]);
  line(999, lines[999]);
  status(end.code, end.signal);
}

async function longLine() {
  const { lines, end } = await linesOf(['line', '5000000']);
  flag('lines', lines.length);
  bytes('line index=0', lines[0]);
  line(1, lines[1]);
  status(end.code, end.signal);
}

async function noFinalNewline() {
  const { lines, end } = await linesOf(['print', 'a\\n\\nb']);
  flag('lines', lines.length);
  lines.forEach((value, index) => line(index, value));
  status(end.code, end.signal);
}

export const table = {
  'stream-lines': streamLines,
  'stream-long-line': longLine,
  'stream-no-final-newline': noFinalNewline,
};
