// Starting and ending children from Node: child_process and libprocs. `spawn.mjs CASE true=PATH seconds=S mb=M outstanding=N`, and
// `addon=PATH` for the limit, whatever the case is called.
import * as childProcess from 'node:child_process';
import { createRequire } from 'node:module';
import { hold, options, reportSpawn } from './common.mjs';

const { name, values } = options();

/** One start; `done(called)` is told when the child has ended. Each answers the time at which the call returned. */
function starters(api) {
  const ended = (done) => (code) => {
    if (code !== 0) throw new Error('child failed');
    done();
  };
  return {
    spawn: (file, done) => api.spawn(file, [], { stdio: 'inherit' }).on('exit', ended(done)),
    'spawn-pipe': (file, done) => api.spawn(file, []).on('close', ended(done)),
    execFile: (file, done) => api.execFile(file, [], (error) => ended(done)(error ? 1 : 0)),
    spawnSync: (file, done) => ended(done)(api.spawnSync(file, [], { stdio: 'inherit' }).status),
  };
}

/** A native module that starts and tells the end, and nothing else (limits/node_spawn.c). */
function bare(addon) {
  const ended = (done) => (status) => {
    if (status !== 0) throw new Error('child failed');
    done();
  };
  return (file, done) => addon.start(file, ended(done));
}

/** Keeps `outstanding` children running for `seconds`, after 20 that warm up. */
function measure(start, outstanding, seconds) {
  return new Promise((resolve) => {
    let [warmUp, running, first, stop] = [20, 0, 0, Infinity];
    const result = { call: [], total: [], elapsed: 0 };
    const next = () => {
      const begin = performance.now();
      if (warmUp-- === 0) [first, stop] = [begin, begin + seconds * 1e3];
      const counted = warmUp < 0;
      if (begin >= stop) {
        result.elapsed = (begin - first) / 1e3;
        if (running === 0) resolve(result);
        return;
      }
      running++;
      let called;
      start(values.true, () => {
        const end = performance.now();
        running--;
        if (counted) {
          result.call.push(((called ?? end) - begin) * 1e3);
          result.total.push((end - begin) * 1e3);
        }
        setImmediate(next);
      });
      called = performance.now();
    };
    for (let i = 0; i < outstanding; i++) next();
  });
}

const ours = name.startsWith('procs-');
const require = createRequire(import.meta.url);
const held = hold(Number(values.mb ?? 0));
const start = values.addon ? bare(require(values.addon))
  : starters(ours ? require('../../../bindings/node') : childProcess)[ours ? name.slice('procs-'.length) : name];
if (!start) throw new Error(`unknown case ${name}`);
reportSpawn(await measure(start, Number(values.outstanding ?? 1), Number(values.seconds ?? 0.4)));
// Used after the run, so that the collector cannot return the memory during it.
if (held.some((block) => block[0] !== 1)) process.exitCode = 1;
