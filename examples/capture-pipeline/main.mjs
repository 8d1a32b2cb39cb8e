// A shell command line, and pipelines without a shell: what each stage did is known.

import { pipeline, run } from 'procs-native';

const ended = ({ code, signal }) => (signal === null ? `exit code ${code}` : `signal ${signal}`);
const onOneLine = (text) => text.trim().split('\n').join(' ');

function show(result) {
  console.log(`  output: ${onOneLine(result.stdout)}`);
  result.stages.forEach((stage, index) => {
    const stderr = stage.stderr === '' ? '' : `, stderr: ${stage.stderr.trim()}`;
    console.log(`  stage ${index + 1}: ${ended(stage)}${stderr}`);
  });
  console.log(`  success: ${result.ok}`);
}

console.log('a shell command line:');
const line = await run("seq 1 5 | sort -r | tr '\\n' ' '", { shell: true });
console.log(`  output: ${onOneLine(line.stdout)}`);
console.log(`  ended: ${ended(line)}`);

console.log('the same three programs without a shell:');
show(await pipeline([['sort'], ['uniq'], ['tr', ['a-z', 'A-Z']]], { input: 'pear\napple\nfig\napple\n' }));

console.log('a pipeline whose second stage fails:');
const failing = ['sh', ['-c', 'cat; echo second stage gave up >&2; exit 3']];
show(await pipeline([['cat'], failing, ['tr', ['a-z', 'A-Z']]], { input: 'partial\n' }));
