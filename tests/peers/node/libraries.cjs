'use strict';

// Libraries that are built on child_process, used as their manuals show. `libraries.cjs NAME`; no name lists them.

const cp = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { once } = require('node:events');
const { createRequire } = require('node:module');
const { pathToFileURL } = require('node:url');

const modules = process.env.PEERS_MODULES ?? '.';
const load = createRequire(path.join(modules, 'x.js'));
const bring = (name) => import(pathToFileURL(load.resolve(name)));
const say = (...words) => console.log(...words);

async function inFolder(work) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'peers-'));
  try {
    await work(folder);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

/** What an execa result or error says, without what is different in any two runs. */
function facts(result) {
  const names = ['stdout', 'stderr', 'all', 'exitCode', 'signal', 'failed', 'timedOut', 'isCanceled', 'isTerminated', 'isMaxBuffer', 'killed', 'code', 'shortMessage', 'originalMessage', 'signalDescription'];
  return Object.fromEntries(names.map((name) => [name, result[name]]));
}

async function useExeca(execa, execaSync, command, alone) {
  say(facts(await execa('echo', ['a', 'b c'])));
  say(facts(await execa('cat', { input: 'some input\n' })));
  say(facts(await execa('sh', ['-c', 'echo out; echo err >&2'], { all: true })));
  for (const [file, args, options] of [
    ['sh', ['-c', 'echo half; exit 3']], ['no-such-program', []], ['sleep', ['10'], { timeout: 100 }], ['printf', ['%1000d', '1'], { maxBuffer: 100 }],
    ['sh', ['-c', 'kill -9 $$']], ['ls', [], { cwd: '/no/such/place' }],
  ]) say(facts(await execa(file, args, { ...options, reject: false })));
  await execa('false').catch((error) => say(error instanceof Error, error.message));
  const killed = execa('sleep', ['10']);
  killed.kill('SIGINT');
  say(facts(await killed.catch((error) => error)));
  say(facts(execaSync('echo', ['sync'])));
  try {
    execaSync('sh', ['-c', 'exit 5']);
  } catch (error) {
    say(facts(error));
  }
  say(facts(await command('echo one two')));
  say(facts(await execa('echo $((1 + 2))', { shell: true })));
  say(facts(await execa('node', ['-e', 'console.log(process.env.X, process.argv.length)'], { env: { X: 'set' } })));
  const many = await Promise.all([1, 2, 3, 4].map((n) => execa('echo', [`${n}`])));
  say(many.map(({ stdout }) => stdout));
  await alone?.();
}

const programs = {
  async 'execa 9'() {
    const { execa, execaSync, execaCommand, $, execaNode } = await bring('execa');
    await useExeca(execa, execaSync, execaCommand, async () => {
      say((await execa('echo', ['x\ny\nz'], { lines: true })).stdout);
      for await (const line of execa('seq', ['4'])) say(line);
      say((await execa('seq', ['100']).pipe('grep', ['7']).pipe('wc', ['-l'])).stdout);
      say((await $`echo ${'a b'} c`).stdout, (await $({ stdio: ['pipe', 'pipe', 'pipe', 'pipe'] })`echo more`).stdio);
      const controller = new AbortController();
      const running = execa({ cancelSignal: controller.signal })`sleep 10`;
      controller.abort();
      say(facts(await running.catch((error) => error)));
      await inFolder(async (folder) => {
        await execa('seq', ['3'], { stdout: { file: path.join(folder, 'out') } });
        say(fs.readFileSync(path.join(folder, 'out'), 'utf8'));
        fs.writeFileSync(path.join(folder, 'child.cjs'), "process.on('message', (m) => { process.send([m]); process.disconnect(); });");
        const child = execaNode(path.join(folder, 'child.cjs'), { ipc: true });
        await child.sendMessage('hello');
        say(await child.getOneMessage(), facts(await child));
      });
    });
  },
  async 'execa 5'() {
    const execa = load('execa5');
    await useExeca(execa, execa.sync, execa.command, async () => {
      const canceled = execa('sleep', ['10']);
      canceled.cancel();
      say(facts(await canceled.catch((error) => error)));
      const stubborn = execa('sh', ['-c', 'trap "" TERM; echo ready; while :; do sleep 0.05; done']);
      await once(stubborn.stdout, 'data');
      stubborn.kill('SIGTERM', { forceKillAfterTimeout: 100 });
      say(facts(await stubborn.catch((error) => error)));
      say(facts(await execa('cat', { inputFile: '/etc/hostname', stripFinalNewline: false })).exitCode);
    });
  },
  async 'cross-spawn'() {
    const spawn = load('cross-spawn');
    const child = spawn('sh', ['-c', 'echo "$@"', 'sh', 'a b', '"c"'], { stdio: ['ignore', 'pipe', 'inherit'] });
    child.stdout.on('data', (data) => say(`${data}`));
    say(await once(child, 'close'));
    const result = spawn.sync('echo', ['sync'], { encoding: 'utf8' });
    say(result.status, result.stdout, result.error);
    const missing = spawn('no-such-program');
    missing.on('error', (error) => say(error.code, error.message, error.path, error.spawnargs));
    say(await once(missing, 'close').catch((error) => error.code));
    say(spawn.sync('no-such-program').error.code);
  },
  async 'shelljs'() {
    const shell = load('shelljs');
    const result = shell.exec('echo out; echo err >&2; exit 3', { silent: true });
    say(result.code, result.stdout, result.stderr);
    say(shell.exec('echo seen').code);
    const child = shell.exec('echo later; exit 2', { silent: true, async: true }, (code, stdout, stderr) => say(code, stdout, stderr));
    say(typeof child.pid);
    await once(child, 'close');
    say(shell.exec('seq 5', { silent: true }).grep('3').toString(), `${shell.which('sh')}`.endsWith('sh'));
  },
  async 'tree-kill'() {
    const kill = load('tree-kill');
    const child = cp.spawn('sh', ['-c', 'sleep 100 & echo $!; wait']);
    const grandchild = Number(`${(await once(child.stdout, 'data'))[0]}`);
    const [end, closed] = [once(child, 'exit'), once(child, 'close')];
    kill(child.pid, 'SIGKILL', (error) => say(error));
    say(await end);
    await closed;
    say(fs.existsSync(`/proc/${grandchild}`) ? fs.readFileSync(`/proc/${grandchild}/stat`, 'utf8').includes(') Z') : true);
  },
  async 'npm-run-all2'() {
    await inFolder(async (folder) => {
      const scripts = { one: 'echo first', two: 'echo second', bad: 'exit 6', slow: 'sleep 30' };
      fs.writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ name: 'x', version: '1.0.0', scripts }));
      process.chdir(folder);
      const runAll = load('npm-run-all2');
      const quiet = { stdout: null, stderr: null, silent: true };
      say((await runAll(['one', 'two'], { ...quiet, stdout: process.stdout })).map(({ name, code }) => [name, code]));
      const failed = await runAll(['slow', 'bad'], { ...quiet, parallel: true }).catch((error) => error);
      say(failed.message, failed.results?.map(({ name, code }) => [name, code]));
    });
  },
  async 'foreground-child'() {
    if (process.argv[3] === 'inner') {
      const { foregroundChild } = load('foreground-child');
      foregroundChild('sh', ['-c', 'echo inside; exit 9'], (code, signal) => { say('cleanup', code, signal); });
      return;
    }
    if (process.argv[3] === 'signal') {
      const { foregroundChild } = load('foreground-child');
      foregroundChild('sh', ['-c', 'kill -TERM $$']);
      return;
    }
    for (const what of ['inner', 'signal']) {
      const child = cp.spawn(process.execPath, [...process.execArgv, __filename, 'foreground-child', what], { stdio: ['ignore', 'pipe', 'inherit'] });
      child.stdout.on('data', (data) => say(`${data}`));
      say(await once(child, 'close'));
    }
  },
  async 'concurrently'() {
    const { concurrently } = load('concurrently');
    const { Writable } = require('node:stream');
    let out = '';
    const outputStream = new Writable({ write(chunk, _, done) { out += chunk; done(); } });
    const run = (commands, options) => concurrently(commands, { outputStream, prefixColors: [], ...options }).result.then((events) => events, (events) => events);
    const shown = (events) => events.map(({ command, index, exitCode, killed }) => [command.command, index, exitCode, killed]).sort();
    say(shown(await run([{ command: 'echo a', name: 'a' }, { command: 'sh -c "exit 4"', name: 'b' }])));
    say(shown(await run([{ command: 'sleep 30', name: 'slow' }, { command: 'false', name: 'fails' }], { killOthers: ['failure'] })));
    say(shown(await run(['echo 1', 'echo 2', 'echo 3'], { maxProcesses: 1 })));
    say(out.split('\n').sort().join('\n'));
  },
  async 'simple-git'() {
    await inFolder(async (folder) => {
      const { simpleGit } = load('simple-git');
      const git = simpleGit(folder);
      await git.init(['-q', '-b', 'main']);
      await git.addConfig('user.name', 'A').addConfig('user.email', 'a@example.org');
      fs.writeFileSync(path.join(folder, 'file'), 'text\n');
      say((await git.status()).not_added);
      await git.add('file').commit('first');
      say((await git.log()).all.map(({ message, author_name: name }) => [message, name]), (await git.branch()).all, (await git.diffSummary()).changed);
      await git.show('nothing').catch((error) => say(error.message));
      say((await Promise.all(Array.from({ length: 8 }, () => git.revparse(['--abbrev-ref', 'HEAD'])))).join(' '));
      const controller = new AbortController();
      const aborted = simpleGit({ baseDir: folder, abort: controller.signal }).raw(['cat-file', '--batch']);
      setTimeout(() => controller.abort(), 100);
      await aborted.catch((error) => say(error.constructor.name, error.message));
    });
  },
  async 'zx'() {
    const { $, within, cd, ProcessOutput } = load('zx');
    $.verbose = false;
    say((await $`echo ${'a b'} ${['c', 'd']}`).stdout);
    const failed = await $`echo half; exit 7`.catch((error) => error);
    say(failed instanceof ProcessOutput, failed.exitCode, failed.stdout, failed.signal);
    say((await $`exit 3`.nothrow()).exitCode, (await $`seq 50`.pipe($`grep 4`).pipe($`wc -l`)).stdout.trim());
    const cat = $`cat`;
    cat.stdin.end('typed');
    say((await cat).stdout);
    const slow = $`sleep 30`;
    setTimeout(() => slow.kill('SIGTERM'), 100);
    say((await slow.catch((error) => error)).signal);
    say((await $`sleep 30`.timeout(100).catch((error) => error)).signal);
    await within(async () => { cd('/'); say((await $`pwd`).stdout); });
    say($.sync`echo sync`.stdout, (await $({ input: 'fed' })`cat`).stdout);
  },
};

const name = process.argv[2];
if (name === undefined) say(Object.keys(programs).join('\n'));
else Promise.resolve(programs[name]()).catch((error) => { say('failed', error); process.exitCode = 1; });
