'use strict';

// exec, execFile and the blocking calls: results and error objects.

const { promisify } = require('node:util');

const ERROR_FIELDS = ['name', 'message', 'code', 'errno', 'syscall', 'path', 'spawnargs', 'killed', 'signal', 'cmd', 'status', 'stdout', 'stderr'];

function shown(value) {
  return Buffer.isBuffer(value) ? `Buffer(${value.toString('latin1')})` : value;
}

function fields(error) {
  if (error === null) return null;
  return Object.fromEntries(ERROR_FIELDS.filter((key) => key in error).map((key) => [key, shown(error[key])]));
}

function finished(cp, log, method, ...args) {
  return new Promise((resolve) => {
    const child = cp[method](...args, (error, stdout, stderr) => {
      log('callback', fields(error), shown(stdout), shown(stderr));
      child.once?.('close', () => {});
      resolve();
    });
    log('child', child.constructor.name, child.spawnfile, child.spawnargs);
  });
}

const CALLBACKS = {
  'exec of a pipeline': ['exec', 'echo one | cat; echo two >&2'],
  'exec that fails': ['exec', 'echo out; echo err >&2; exit 3'],
  'exec with a missing folder': ['exec', 'true', { cwd: '/no/such' }],
  'exec with a shell by name': ['exec', 'echo $0', { shell: '/bin/bash' }],
  'exec with Buffers': ['exec', 'echo one; echo two >&2', { encoding: 'buffer' }],
  'exec in hex': ['exec', 'echo one', { encoding: 'hex' }],
  'exec in an unknown encoding': ['exec', 'echo one', { encoding: 'nonsense' }],
  'exec with much text': ['exec', 'yes plain | head -c 3000000', { maxBuffer: Infinity }],
  'exec with much text of many bytes': ['exec', 'yes schön € 𝄞 | head -c 3000000', { maxBuffer: Infinity }],
  'exec with much that is no text': ['exec', "yes $(printf '\\377\\303 \\360\\237\\230 x') | head -c 3000000", { maxBuffer: Infinity }],
  'exec over time': ['exec', 'exec sleep 30', { timeout: 60 }],
  'exec over time with a signal': ['exec', 'exec sleep 30', { timeout: 60, killSignal: 'SIGKILL' }],
  'exec with too much output': ['exec', 'exec yes', { maxBuffer: 100 }],
  'exec with too much error output': ['exec', 'exec yes >&2', { maxBuffer: 100 }],
  'exec with exactly enough': ['exec', 'printf 12345', { maxBuffer: 5 }],
  'exec with multibyte text over the limit': ['exec', 'printf éééééé', { maxBuffer: 5 }],
  'exec without a limit': ['exec', 'head -c 100000 /dev/zero | tr "\\0" x | wc -c', { maxBuffer: Infinity }],
  'exec of a killed shell': ['exec', 'kill -9 $$'],
  'execFile': ['execFile', 'echo', ['a  b', '$HOME']],
  'execFile without arguments': ['execFile', 'true'],
  'execFile that fails': ['execFile', 'sh', ['-c', 'echo out; exit 9'], {}],
  'execFile of a missing program': ['execFile', 'procs-no-such-program', ['x', 'y']],
  'execFile with options only': ['execFile', 'env', { env: { A: '1' } }],
  'execFile with null options': ['execFile', 'echo', ['x'], null],
  'execFile through a shell': ['execFile', 'echo', ['one', '&&', 'echo', 'two'], { shell: true }],
  'execFile in latin1': ['execFile', 'printf', ['\\351'], { encoding: 'latin1' }],
};

async function promises(cp, log) {
  const exec = promisify(cp.exec);
  const execFile = promisify(cp.execFile);
  const promise = exec('echo one');
  log('child', promise.child.constructor.name, promise instanceof Promise);
  log('value', await promise);
  log('value', await execFile('echo', ['two'], { encoding: 'buffer' }).then(({ stdout }) => shown(stdout)));
  await exec('echo out; exit 4').catch((error) => log('error', fields(error)));
  await execFile('procs-no-such-program').catch((error) => log('error', fields(error)));
  const controller = new AbortController();
  const waiting = execFile('sleep', ['30'], { signal: controller.signal });
  controller.abort();
  await waiting.catch((error) => log('abort', error.name, error.code, error.message, error.cmd));
}

function synchronous(log, call) {
  try {
    const result = call();
    if (result !== null && typeof result === 'object' && 'status' in result) {
      const { error, pid, output, stdout, stderr, ...rest } = result;
      log('result', { ...rest, pid: typeof pid, output: output?.map(shown), stdout: shown(stdout), stderr: shown(stderr), error: error && fields(error) });
      log('keys', Object.keys(result));
    } else {
      log('value', shown(result));
    }
  } catch (error) {
    log('threw', fields(error), Object.keys(error));
  }
}

const BLOCKING = {
  'spawnSync': (cp) => cp.spawnSync('echo', ['one']),
  'spawnSync with text': (cp) => cp.spawnSync('sh', ['-c', 'echo out; echo err >&2; exit 3'], { encoding: 'utf8' }),
  'spawnSync with input': (cp) => cp.spawnSync('cat', { input: 'given', encoding: 'utf8' }),
  'spawnSync with bytes as input': (cp) => cp.spawnSync('cat', { input: new Uint16Array([0x4141, 0x4242]), encoding: 'utf8' }),
  'spawnSync with hex input': (cp) => cp.spawnSync('cat', { input: '616263', encoding: 'hex' }),
  'spawnSync without input': (cp) => cp.spawnSync('cat'),
  'spawnSync that does not read its input': (cp) => cp.spawnSync('true', { input: 'x'.repeat(8 << 20) }),
  'spawnSync killed': (cp) => cp.spawnSync('sh', ['-c', 'kill -9 $$']),
  'spawnSync missing program': (cp) => cp.spawnSync('procs-no-such-program', ['a']),
  'spawnSync missing folder': (cp) => cp.spawnSync('true', { cwd: '/no/such' }),
  'spawnSync not executable': (cp) => cp.spawnSync('/etc/passwd'),
  'spawnSync folder is a file': (cp) => cp.spawnSync('true', { cwd: '/etc/passwd' }),
  'spawnSync over time': (cp) => cp.spawnSync('sleep', ['30'], { timeout: 60 }),
  'spawnSync over time with a signal': (cp) => cp.spawnSync('sleep', ['30'], { timeout: 60, killSignal: 'SIGHUP' }),
  'spawnSync ignoring stdio': (cp) => cp.spawnSync('echo', ['x'], { stdio: 'ignore' }),
  'spawnSync with some stdio': (cp) => cp.spawnSync('sh', ['-c', 'echo out; echo err >&2'], { stdio: ['ignore', 'pipe', 'ignore'], encoding: 'utf8' }),
  'spawnSync with a fourth pipe': (cp) => cp.spawnSync('sh', ['-c', 'echo three >&3'], { stdio: ['pipe', 'pipe', 'pipe', 'pipe'], encoding: 'utf8' }),
  'spawnSync with a little too much': (cp) => cp.spawnSync('sh', ['-c', 'echo out; exec sleep 30'], { maxBuffer: 1, encoding: 'utf8' }),
  'spawnSync with a limit of 0, which is none': (cp) => cp.spawnSync('sh', ['-c', 'echo out; echo err >&2'], { maxBuffer: 0, encoding: 'utf8' }),
  'execFileSync with a limit of 0': (cp) => cp.execFileSync('printf', ['12345'], { maxBuffer: 0, encoding: 'utf8' }),
  'spawnSync with exactly enough': (cp) => cp.spawnSync('printf', ['12345'], { maxBuffer: 5, encoding: 'utf8' }),
  'execSync with too much output': (cp) => cp.execSync('printf 12345; exec sleep 30', { maxBuffer: 1, stdio: 'pipe' }),
  'spawnSync through a shell': (cp) => cp.spawnSync('echo one; exit 2', { shell: true, encoding: 'utf8' }),
  'spawnSync with argv0': (cp) => cp.spawnSync('cat', ['/proc/self/cmdline'], { argv0: 'renamed', encoding: 'utf8' }),
  'execFileSync': (cp) => cp.execFileSync('echo', ['one'], { encoding: 'utf8' }),
  'execFileSync that fails': (cp) => cp.execFileSync('sh', ['-c', 'echo out; exit 6'], { stdio: 'pipe', encoding: 'utf8' }),
  'execFileSync missing program': (cp) => cp.execFileSync('procs-no-such-program', ['a'], { stdio: 'pipe' }),
  'execSync': (cp) => cp.execSync('echo one && echo two'),
  'execSync that fails': (cp) => cp.execSync('echo out; echo err >&2; exit 6', { stdio: 'pipe' }),
  'execSync with ignored streams': (cp) => cp.execSync('exit 3', { stdio: 'ignore' }),
  'execSync over time': (cp) => cp.execSync('exec sleep 30', { timeout: 60, stdio: 'pipe' }),
};

/** What somebody put on Object.prototype is no option. */
async function tampered(cp, log) {
  for (const [name, value] of [['cwd', '/tmp'], ['uid', 4711], ['shell', true], ['timeout', 1], ['killTree', true], ['umask', 5]]) {
    Object.prototype[name] = value;
    try {
      const outputs = [cp.execFileSync('sh', ['-c', 'pwd; id -u; umask']), cp.spawnSync('pwd').stdout, cp.execSync('pwd')];
      log(name, outputs.map((output) => output.toString().replace(process.cwd(), 'here')));
      const child = cp.spawn('sh', ['-c', 'test $(pwd) != /tmp && sleep 0.02']);
      log(await new Promise((resolve) => child.on('exit', (...end) => resolve(end))));
      log(await new Promise((resolve) => cp.execFile('sh', ['-c', 'id -u; sleep 0.02'], (...all) => resolve(all))));
    } finally {
      delete Object.prototype[name];
    }
  }
}

/** Bad input of the promise forms is thrown, not rejected. */
function thrownAtOnce(cp, log) {
  for (const call of [() => promisify(cp.exec)('true', { signal: {} }), () => promisify(cp.execFile)(5), () => promisify(cp.exec)('true', { timeout: -1 })]) {
    try {
      log('returned', typeof call());
    } catch (error) {
      log('threw', error.code);
    }
  }
}

/** The stack names the code, as for every error of Node. */
function stacks(cp, log) {
  for (const call of [() => cp.exec(''), () => cp.spawn(5), () => cp.spawn('true', { timeout: -1 }), () => cp.spawn('')]) {
    try {
      call();
    } catch (error) {
      log(error.stack.split('\n')[0], String(error), Object.keys(error));
    }
  }
}

module.exports.cases = {
  ...Object.fromEntries(Object.entries(CALLBACKS).map(([name, [method, ...args]]) => [name, (cp, log) => finished(cp, log, method, ...args)])),
  ...Object.fromEntries(Object.entries(BLOCKING).map(([name, call]) => [name, (cp, log) => synchronous(log, () => call(cp))])),
  'spawnSync with too much output': (cp, log) => {
    const { error, status, signal, stdout } = cp.spawnSync('yes', { maxBuffer: 1000 });
    log(fields(error), status, signal, stdout.length > 1000);
  },
  'promises of exec and execFile': promises,
  'stacks of refusals': stacks,
  'tampered prototypes': tampered,
  'bad input of the promise forms': thrownAtOnce,
};
