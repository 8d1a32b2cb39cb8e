'use strict';

// The programs that teach child_process, each as a function that prints what a reader would see. `tutorials.cjs NAME`; no name lists them.

const cp = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { once } = require('node:events');
const { pipeline } = require('node:stream/promises');
const { Transform } = require('node:stream');
const { createInterface } = require('node:readline');
const { promisify } = require('node:util');

const say = (...words) => console.log(...words);
const told = (error) => ({
  name: error.name, message: error.message, code: error.code, errno: error.errno, syscall: error.syscall, path: error.path,
  spawnargs: error.spawnargs, killed: error.killed, signal: error.signal, cmd: error.cmd, stdout: error.stdout, stderr: error.stderr,
});
const watch = (child, events = ['spawn', 'error', 'exit', 'close']) => {
  for (const event of events) child.on(event, (...args) => say(event, ...args.map((arg) => (arg instanceof Error ? told(arg) : arg))));
  return child;
};
const closed = (child) => new Promise((resolve) => { child.on('close', resolve); });
const text = async (stream) => {
  let all = '';
  for await (const chunk of stream.setEncoding('utf8')) all += chunk;
  return all;
};

const programs = {
  'spawn ls'() {
    const ls = watch(cp.spawn('ls', ['-1', '/usr']));
    ls.stdout.on('data', (data) => say('stdout', `${data}`));
    ls.stderr.on('data', (data) => say('stderr', `${data}`));
  },
  async 'ps piped into grep'() {
    const one = cp.spawn('printf', ['apple\nbanana\napricot\n']);
    const two = cp.spawn('grep', ['ap']);
    one.stdout.on('data', (data) => two.stdin.write(data));
    one.on('close', (code) => { say('first', code); two.stdin.end(); });
    say(await text(two.stdout));
  },
  async 'streams joined by pipe'() {
    const one = cp.spawn('seq', ['20000']);
    const two = cp.spawn('wc', ['-l']);
    one.stdout.pipe(two.stdin);
    watch(two);
    say(await text(two.stdout));
  },
  'exec with a callback'() {
    cp.exec('echo out; echo err >&2', (error, stdout, stderr) => say(error, stdout, stderr));
  },
  'exec that fails'() {
    cp.exec('echo half; cat /no/such/file; exit 3', (error, stdout, stderr) => say(told(error), stdout, stderr));
  },
  async 'promisified exec'() {
    const exec = promisify(cp.exec);
    say(await exec('echo $((6 * 7))'));
    await exec('exit 9').catch((error) => say(told(error)));
    const pending = exec('echo $0');
    say(typeof pending.child.pid, pending.child.spawnfile, pending.child.spawnargs);
    say((await pending).stdout);
  },
  async 'execFile node --version'() {
    const child = cp.execFile(process.execPath, ['--version'], (error, stdout, stderr) => say(error, stdout === `${process.version}\n`, stderr));
    await closed(child);
    const { stdout } = await promisify(cp.execFile)('uname', ['-s'], { encoding: 'buffer' });
    say(stdout);
  },
  'spawnSync and its result'() {
    const result = cp.spawnSync('sh', ['-c', 'cat; echo err >&2; exit 4'], { input: 'fed', encoding: 'utf8' });
    delete result.pid;
    say(Object.keys(result), result);
    const missing = cp.spawnSync('no-such-program', ['x']);
    say(Object.keys(missing), told(missing.error));
    const late = cp.spawnSync('sleep', ['5'], { timeout: 50 });
    say(late.signal, late.status, told(late.error));
    const large = cp.spawnSync('sh', ['-c', 'printf %1000d 1; sleep 10'], { maxBuffer: 100 });
    const inherited = cp.spawnSync('cat', { stdio: ['ignore', 'pipe', 'inherit'], input: 'not for this child' });
    say(inherited.status, inherited.stdout.length, inherited.error);
    say(large.status, large.signal, large.stdout.length, told(large.error));
  },
  'execSync and execFileSync'() {
    say(cp.execSync('echo hello').toString(), cp.execFileSync('echo', ['a', 'b'], { encoding: 'utf8' }));
    try {
      cp.execSync('echo before; echo bad >&2; exit 2', { stdio: 'pipe' });
    } catch (error) {
      say(error.status, error.signal, error.message, `${error.stdout}`, `${error.stderr}`, Object.keys(error).sort());
    }
    try {
      cp.execFileSync('no-such-program');
    } catch (error) {
      say(told(error));
    }
  },
  async 'stdio inherit and ignore'() {
    say('before');
    const child = cp.spawn('sh', ['-c', 'echo inherited; echo to stderr >&2'], { stdio: ['ignore', 'inherit', 'inherit'] });
    say(await closed(child), child.stdin, child.stdout, child.stderr, child.stdio);
    const silent = cp.spawn('echo', ['nobody sees this'], { stdio: 'ignore' });
    say(silent.stdio, await closed(silent));
  },
  async 'stdio to files'() {
    const file = path.join(os.tmpdir(), `tutorial-${process.pid}`);
    const fd = fs.openSync(file, 'w');
    const child = cp.spawn('sh', ['-c', 'echo out; echo err >&2; echo more >&3'], { stdio: ['ignore', fd, fd, fd] });
    say(child.stdio.length, await closed(child));
    fs.closeSync(fd);
    say(fs.readFileSync(file, 'utf8'));
    const stream = fs.createWriteStream(file);
    await once(stream, 'open');
    await closed(cp.spawn('echo', ['into a stream'], { stdio: ['ignore', stream, 'inherit'] }));
    stream.end();
    say(fs.readFileSync(file, 'utf8'));
    fs.unlinkSync(file);
  },
  async 'a fourth pipe'() {
    const child = cp.spawn('sh', ['-c', 'read line <&3; echo "got $line"; echo back >&3'], { stdio: ['inherit', 'inherit', 'inherit', 'pipe'] });
    child.stdio[3].on('data', (data) => { say(`${data}`); child.stdio[3].end(); });
    child.stdio[3].write('a line\n');
    say(child.stdio.map((stream) => stream && stream.constructor.name), await closed(child));
  },
  'detached and unref'() {
    const child = cp.spawn('sleep', ['1'], { detached: true, stdio: 'ignore' });
    const group = fs.readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(' ')[4];
    say(Number(group) === child.pid);
    child.on('exit', () => say('never seen'));
    child.unref();
  },
  async 'AbortController'() {
    const controller = new AbortController();
    const child = watch(cp.spawn('sleep', ['10'], { signal: controller.signal }));
    child.on('spawn', () => controller.abort());
    await closed(child);
    say(child.killed, child.exitCode, child.signalCode);
    const early = watch(cp.spawn('sleep', ['10'], { signal: AbortSignal.abort(new Error('why')) }));
    early.on('error', (error) => say(error.cause));
    await closed(early);
    const other = new AbortController();
    const run = promisify(cp.execFile)('sleep', ['10'], { signal: other.signal });
    other.abort();
    await run.catch((error) => say(told(error)));
  },
  async 'timeout and killSignal'() {
    cp.exec('sleep 10', { timeout: 50 }, (error) => say(told(error)));
    cp.execFile('sleep', ['10'], { timeout: 500, killSignal: 'SIGKILL' }, (error) => say(told(error)));
    say(await closed(watch(cp.spawn('sleep', ['10'], { timeout: 1000, killSignal: 'SIGINT' }))));
  },
  'maxBuffer'() {
    cp.exec('seq 100000', { maxBuffer: 1024 }, (error, stdout, stderr) => {
      say(told(error).message, error.code, stdout.length, stderr.length);
      cp.execFile('sh', ['-c', 'seq 10000 >&2'], { maxBuffer: 10, encoding: 'buffer' }, (second, out, err) => say(second.message, out, err));
    });
  },
  async 'shell true'() {
    say(await text(cp.spawn('echo "$HOME" | wc -l; echo', ['a', '"b  c"'], { shell: true }).stdout));
    say(await text(cp.spawn('echo $0', { shell: '/bin/bash' }).stdout));
  },
  async 'stdin write and end'() {
    const child = watch(cp.spawn('cat'));
    child.stdout.on('data', (data) => say(`${data}`));
    child.stdout.on('end', () => say('end'));
    child.stdin.write('one ', () => say('written'));
    child.stdin.end('two', () => say('finished'));
    await closed(child);
  },
  async 'stdin of a program that is gone'() {
    const child = watch(cp.spawn('true'));
    child.stdin.on('error', (error) => say(error.code, error.syscall));
    await closed(child);
    child.stdin.write('x', (error) => say(error?.code));
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  },
  async 'big output'() {
    let [bytes, digest] = [0, require('node:crypto').createHash('sha256')];
    const child = cp.spawn('seq', ['1000000']);
    child.stdout.on('data', (data) => { bytes += data.length; digest.update(data); });
    await closed(child);
    say(bytes, digest.digest('hex'));
    say((await promisify(cp.exec)('seq 300000', { maxBuffer: Infinity })).stdout.length);
  },
  async 'a program that does not exist'() {
    const child = watch(cp.spawn('no-such-program', ['a', 'b']));
    say(child.pid, child.exitCode, child.killed); // kill() would signal the own group: child_process passes on the number 0
    child.stdin.on('close', () => say('stdin close'));
    child.stdout.on('close', () => say('stdout close'));
    await closed(child);
    cp.exec('no-such-program', (error, stdout, stderr) => say(error.code, stderr.includes('not found')));
    cp.execFile('no-such-program', ['x'], (error, stdout, stderr) => say(told(error), stdout, stderr));
    cp.execFile('/etc/passwd', (error) => say(told(error)));
  },
  async 'a directory that does not exist'() {
    await closed(watch(cp.spawn('ls', { cwd: '/no/such/place' })));
    say(await promisify(cp.exec)('pwd', { cwd: '/' }), await promisify(cp.exec)('pwd', { cwd: new URL('file:///usr') }));
  },
  async 'environment'() {
    say(await text(cp.spawn('env', { env: { A: '1', B: 'two words', C: undefined, D: null, E: 5 } }).stdout));
    process.env.FROM_PARENT = 'yes';
    say(await text(cp.spawn('sh', ['-c', 'echo $FROM_PARENT $MORE'], { env: { ...process.env, MORE: 'more' } }).stdout));
    say(cp.execSync('echo $FROM_PARENT').toString());
    delete process.env.FROM_PARENT;
    say(cp.execSync('echo [$FROM_PARENT]').toString());
  },
  async 'readline over stdout'() {
    const child = cp.spawn('printf', ['first\nsecond\r\nthird']);
    for await (const line of createInterface({ input: child.stdout, crlfDelay: Infinity })) say(line);
    say(child.exitCode);
    const counted = createInterface({ input: cp.spawn('seq', ['50000']).stdout });
    let count = 0;
    counted.on('line', () => { count++; });
    await once(counted, 'close');
    say(count);
  },
  async 'pipeline of streams'() {
    const upper = new Transform({ transform: (chunk, _, done) => done(null, `${chunk}`.toUpperCase()) });
    const source = cp.spawn('echo', ['shout this']);
    const sink = cp.spawn('cat', { stdio: ['pipe', 'inherit', 'inherit'] });
    await pipeline(source.stdout, upper, sink.stdin);
    say(await closed(sink));
  },
  async 'for await over stdout'() {
    const chunks = [];
    for await (const chunk of cp.spawn('seq', ['5']).stdout) chunks.push(chunk);
    say(Buffer.concat(chunks).toString());
    for await (const chunk of cp.spawn('yes').stdout) { say(chunk.length > 0); break; }
  },
  async 'many at once'() {
    const exec = promisify(cp.exec);
    const results = await Promise.all(Array.from({ length: 30 }, (_, i) => exec(`echo ${i}; exit 0`)));
    say(results.map(({ stdout }) => stdout.trim()).join(' '));
    const settled = await Promise.allSettled([exec('exit 1'), exec('exit 0'), exec('kill -9 $$')]);
    say(settled.map(({ status, reason }) => [status, reason?.code, reason?.signal]));
  },
  async 'signals and kill'() {
    const child = watch(cp.spawn('sh', ['-c', 'trap "echo caught; exit 7" USR1; echo ready; while :; do sleep 0.05; done']));
    await once(child.stdout, 'data');
    child.stdout.on('data', (data) => say(`${data}`));
    say(child.kill('SIGUSR1'), child.killed, child.kill(0));
    await closed(child);
    say(child.kill(), child.exitCode, child.signalCode);
    for (const signal of ['SIGTERM', 'SIGKILL', 'SIGINT', 2]) {
      const sleeper = cp.spawn('sleep', ['10']);
      say(sleeper.kill(signal), ...(await once(sleeper, 'exit')));
    }
    try {
      cp.spawn('true').kill('SIGNOPE');
    } catch (error) {
      say(error.code, error.message);
    }
  },
  async 'exit codes'() {
    for (const code of [0, 1, 2, 127, 255, 256]) say(code, ...(await once(cp.spawn('sh', ['-c', `exit ${code}`]), 'exit')));
    for (const code of [0, 7]) say(...(await once(cp.spawn(process.execPath, ['-e', `process.exitCode = ${code}`]), 'close')));
    say(cp.spawnSync('sh', ['-c', 'kill -TERM $$']).signal);
  },
  async 'user and group'() {
    if (process.getuid() !== 0) {
      await closed(watch(cp.spawn('id', { uid: 0 })));
      return;
    }
    say(await text(cp.spawn('id', { uid: 65534, gid: 65534 }).stdout));
  },
  async 'argv0 and arguments'() {
    say(await text(cp.spawn('sh', ['-c', 'echo "$0"'], { argv0: 'another name' }).stdout));
    const child = cp.spawn('printf', ['[%s]', 'a b', '', '"q"', "it's", 'ü', '\n']);
    say(child.spawnargs, child.spawnfile, await text(child.stdout));
  },
  async 'the order of events'() {
    const child = cp.spawn('echo', ['x']);
    for (const event of ['spawn', 'exit', 'close']) child.on(event, () => say(event));
    for (const event of ['readable', 'end', 'close']) child.stdout.on(event, () => say('stdout', event, child.stdout.read()?.length));
    process.nextTick(() => say('tick'));
    Promise.resolve().then(() => say('microtask'));
    say(child.exitCode, child.signalCode, child.connected, child.channel);
    await closed(child);
    say(child.exitCode, child.signalCode, child.killed, child.stdin.destroyed, child.stdout.destroyed, child.stdout.readableEnded);
  },
  async 'a child that writes and reads in turn'() {
    const child = cp.spawn('bc', ['-q']);
    child.on('error', () => {});
    const calculator = child.pid ? child : cp.spawn('sh', ['-c', 'while read a b c; do echo $((a + c)); done']);
    calculator.stdin.write('1 + 2\n');
    say(`${(await once(calculator.stdout, 'data'))[0]}`);
    calculator.stdin.write('10 + 20\n');
    say(`${(await once(calculator.stdout, 'data'))[0]}`);
    calculator.stdin.end();
    say(await closed(calculator));
  },
  async 'fork and messages'() {
    if (process.argv[3] === 'child') {
      process.on('message', (message) => process.send({ answer: message.n * 2 }));
      return;
    }
    const child = watch(cp.fork(__filename, [process.argv[2], 'child']), ['message', 'disconnect', 'exit', 'close']);
    child.send({ n: 21 });
    await once(child, 'message');
    child.disconnect();
    await closed(child);
  },
  'bad arguments'() {
    const attempts = [
      () => cp.spawn(), () => cp.spawn(''), () => cp.spawn('ls', 'no'), () => cp.spawn('ls', [], 'no'), () => cp.spawn('ls', { cwd: 5 }),
      () => cp.spawn('a\0b'), () => cp.spawn('ls', ['a\0b']), () => cp.exec(), () => cp.exec('ls', { shell: 5 }, () => {}), () => cp.execFile('ls', 5),
      () => cp.spawn('ls', { stdio: 'no' }), () => cp.spawn('ls', { stdio: ['pipe', 'no'] }), () => cp.spawn('ls', { timeout: -1 }),
      () => cp.spawn('ls', { killSignal: 'NO' }), () => cp.spawnSync('ls', { maxBuffer: -1 }), () => cp.spawn('ls', { uid: 'me' }),
      () => cp.spawn('ls', { detached: 'yes' }), () => cp.execSync('ls', { encoding: 'no' }), () => cp.spawn('ls', { signal: {} }), () => cp.fork(),
      () => cp.spawn('ls', { serialization: 'xml' }), () => cp.spawn('ls', { env: { A: 'a\0b' } }), () => cp.spawn('ls', { argv0: 1 }),
      () => cp.spawn('ls', { serialization: null }), () => cp.spawn('ls', { signal: null }), () => cp.spawn('ls', { shell: 0 }),
    ];
    for (const attempt of attempts) {
      try {
        const child = attempt();
        say(typeof child);
        child?.on?.('error', () => {});
        child?.stdout?.resume?.();
      } catch (error) {
        say(error.name, error.code, error.message);
      }
    }
  },
};

const name = process.argv[2];
if (name === undefined) say(Object.keys(programs).join('\n'));
else Promise.resolve(programs[name]()).catch((error) => { say('failed', error); process.exitCode = 1; });
