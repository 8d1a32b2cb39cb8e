import { run } from 'procs-native';

try {
  await run('no-such-sort');
} catch (error) {
  console.log(error.kind);
}
const done = await run('sort', [], { input: 'pear\nfig\napple\n', timeout: 5000, killTree: true });
process.stdout.write(done.stdout);
console.log(`exit code ${done.code}`);
