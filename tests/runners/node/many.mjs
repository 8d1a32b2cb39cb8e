// Several children: pipelines, waiting for any, a bounded number at once.

import { ended, ending, fact, failure, file, flag, helper, procs, quoted, status, text } from './facts.mjs';
import { quiet } from './spawn.mjs';

function stages(result) {
  result.stages.forEach(({ code, signal }, index) => fact(`stage index=${index} ${ending(code, signal)}`));
}

async function three() {
  const result = await procs.pipeline([[helper, ['lines', '3']], [helper, ['upper']], [helper, ['cat']]]);
  stages(result);
  text('stdout', result.stdout);
}

async function pipelineStatus() {
  const result = await procs.pipeline([[helper, ['lines', '3']], [helper, ['cat', '4']], [helper, ['cat']]]);
  stages(result);
  status(result.code, result.signal);
  text('stdout', result.stdout);
}

async function waitAny() {
  const children = [quiet(['sleep', '60']), quiet(['sleep', '60']), quiet(['exit', '5'])];
  const ends = children.map(ended);
  const index = await procs.waitAny(children);
  flag('index', index);
  const first = await ends[index];
  status(first.code, first.signal);
  for (const other of [0, 1]) {
    children[other].kill('SIGKILL');
    const end = await ends[other];
    status(end.code, end.signal);
  }
}

async function bounded() {
  const commands = Array.from({ length: 8 }, (_, i) => [helper, ['slots', file('slots'), '2', String(i)]]);
  const results = await procs.runMany(commands, { jobs: 2 });
  results.forEach(({ value, reason }, index) => {
    if (reason) throw reason;
    fact(`result index=${index} ${ending(value.code, value.signal)} stdout=${quoted(value.stdout)}`);
  });
}

export const table = {
  'pipeline-three': three,
  'pipeline-status': pipelineStatus,
  'pipeline-missing-stage': () =>
    failure(procs.pipeline([[helper, ['sleep', '60']], [helper, ['cat']], ['procs-no-such-program']])),
  'many-wait-any': waitAny,
  'many-run-bounded': bounded,
};
