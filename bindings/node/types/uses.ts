// Compiled, not run: everything that takes node:child_process takes procs-native.

import * as cp from 'node:child_process';
import { promisify } from 'node:util';
import * as procs from '../index';

export const asPeer: typeof cp = procs;

export async function uses(): Promise<number | null> {
  const child = procs.spawn('cat', ['-n'], { cwd: new URL('file:///'), killTree: true, limits: { noFile: [10, 20] } });
  child.stdin.end('x');
  for await (const line of child.lines()) line.trim();
  const quiet: procs.ChildProcessByStdio<null, import('node:stream').Readable, null> =
    procs.spawn('cat', [], { stdio: ['ignore', 'pipe', 'inherit'] });
  quiet.stdout.resume();
  // @ts-expect-error stdin was ignored
  quiet.stdin.end();
  const any: procs.ChildProcess = procs.spawn('cat', { stdio: 'inherit', signal: AbortSignal.timeout(5) });
  any.on('exit', (code, signal) => [code?.toFixed(), signal?.toLowerCase()]);
  const { stdout } = await promisify(procs.execFile)('true', [], { encoding: 'buffer' });
  const bytes: Buffer = stdout;
  const text: string = (await promisify(procs.exec)('true')).stdout;
  const captured: Buffer = (await procs.run('true', [bytes, text], { encoding: 'buffer' })).stdout;
  const result: procs.RunResult = await procs.run('true', { maxOutput: { stdout: { policy: 'tail', bytes: 5 }, stderr: Infinity } });
  // @ts-expect-error no such policy
  await procs.run('true', { maxOutput: { policy: 'some' } });
  const stages = (await procs.pipeline([['a', ['b']], ['c']], { check: true })).stages.map((stage) => stage.code);
  const report: procs.StopReport = await child.stop({ signal: 'SIGINT', grace: 10 });
  const index: number = await procs.waitAny([child, any]);
  const synchronous: string = procs.execSync('true', { encoding: 'utf8' });
  return captured.length + result.stdout.length + stages.length + report.survivors.length + index + synchronous.length;
}

/** What every start gives is a ChildProcess of ours, and takes our options beside those that somebody has typed as child_process's. */
export async function starts(spawned: cp.SpawnOptions, forked: cp.ForkOptions, executed: cp.ExecOptions): Promise<void> {
  const children: procs.ChildProcess[] = [
    procs.spawn('a', spawned), procs.spawn('a', [], spawned), procs.fork('a', forked), procs.fork('a', [], forked), procs.exec('a', executed),
    procs.exec('a', { killTree: true, grace: 5 }, (error, stdout) => [error?.cmd, stdout.trim()]), procs.execFile('a', [], (error, stdout) => stdout.trim()),
    procs.execFile('a', ['b'], { limits: { core: 0 }, encoding: 'buffer' }, (error, stdout) => stdout.readInt8()), promisify(procs.exec)('a').child,
  ];
  for (const child of children) await child.stop();
  await promisify(procs.execFile)('a', [], { nice: 1 }).child.killTree();
  const lines: string[] = [procs.execSync('a', { umask: 0, encoding: 'utf8' }), procs.execFileSync('a', [], { dieWithParent: true, encoding: 'utf8' })];
  const used: number | undefined = procs.spawnSync('a', lines, { killTree: true, timeout: 5 }).usage?.userMs;
  // @ts-expect-error no such option
  procs.exec('a', { killTre: used });
  // @ts-expect-error not of this type
  procs.spawnSync('a', { umask: 'x' });
}

export async function additions(): Promise<void> {
  const teed = await procs.run('ls', [], {
    input: (async function* chunks() { yield 'x'; })(),
    stdoutSink: [(chunk: Buffer): number => chunk.length, process.stdout, { file: '/dev/null' }, 'buffer'],
    stderrSink: { append: '/dev/null' },
  });
  const sinkFailure: string | undefined = teed.stdoutInfo.incomplete ? undefined : teed.stdoutInfo.sinkError?.message;
  for await (const batch of procs.spawn('ls').lines().batches()) {
    const first: string | undefined = batch[0];
    void [first, sinkFailure];
  }
}

export async function channels(): Promise<void> {
  const child = procs.spawn('node', ['worker.js'], { channel: { codec: 'v8' }, stdio: 'inherit' });
  child.channel.on('message', (value, message) => [value, message.buffers.length, message.fds[0]]);
  const full: boolean = !child.channel.send({ a: 1 }, { buffers: [new Uint8Array(3)], fds: [0] }, (error) => error?.message);
  const message: procs.ChannelMessage = await child.channel.recv({ message: true, timeout: 5, signal: AbortSignal.timeout(full ? 1 : 2) });
  for await (const part of child.channel.callStream(message.value)) await child.channel.call(part, { timeout: 1 });
  const [here] = procs.Channel.pair();
  for await (const value of here.unref()) await here.serve(async (asked, call) => [asked, value, call.cancelled]);
  const reply: procs.ChannelMessage = await here.call('x', { buffers: [new Uint8Array(1)], message: true });
  const served = here.serve((value, call) => call.reply(value, { buffers: call.buffers }));
  const arena = new procs.Arena(1 << 20, { maxBytes: 1 << 21 });
  const block = arena.alloc(100);
  here.send({ place: block.lend(arena.seat()), reply: reply.fds, served: await served });
  const length: number = arena.attach(block.place).buffer.length;
  const forked = procs.fork('child.js', [], { wire: length > 0 ? 'node' : undefined, killTree: true });
  const wire: 'node' | 'native' | undefined = forked.channel?.wire;
  void wire;
  const memory = new procs.SharedMemory(4096, { readOnly: false });
  const guard: procs.LockGuard = await memory.mutex(64, { create: true }).lock({ timeout: 5 });
  guard.unlock();
  const small: number = memory.cell(256, 'u32').fetchAdd();
  const large: bigint = memory.cell(264).fetchAdd(BigInt(small));
  new Uint8Array(memory.buffer)[0] = Number(large) + procs.memoryLayout().length;
  const { handle } = await procs.parentChannel().recv({ message: true });
  void handle;
  // @ts-expect-error no such codec
  procs.parentChannel({ codec: 'pickle' });
}
