'use strict';

// pipeline: programs joined by pipes of the system, with the status of each.

const { AbortError, ProcsError, unwrap } = require('./errors.js');
const { normalizeSpawn } = require('./arguments.js');
const { hub, answer } = require('./hub.js');
const request = require('./request.js');
const { NONE } = require('./stdio.js');
const { streamInfo, isComplete, streamProblem } = require('./stream-info.js');
const check = require('./validate.js');
const { bounds, onAbort, decoded } = require('./run.js');

function toResult(event, encoding) {
  const stages = event.stages.map((stage) => ({
    pid: stage.pid,
    code: stage.code ?? null,
    signal: stage.signal ?? null,
    status: stage.code ?? null,
    stderr: decoded(stage.stderr, encoding),
    stderrInfo: streamInfo(stage.stderrInfo),
    usage: stage.usage ?? null,
  }));
  // As pipefail of a shell: the last stage that did not succeed speaks for the whole.
  const stdoutInfo = streamInfo(event.stdoutInfo);
  const complete = isComplete(stdoutInfo) && stages.every((stage) => isComplete(stage.stderrInfo));
  const { code, signal } = stages.findLast((stage) => stage.code !== 0) ?? stages[stages.length - 1];
  return {
    stages,
    code,
    signal,
    status: code,
    ok: stages.every((stage) => stage.code === 0) && !event.timedOut && !event.cancelled && complete,
    stdout: decoded(event.stdout, encoding),
    stdoutInfo,
    timedOut: event.timedOut,
    cancelled: event.cancelled,
    pipesLeftOpen: event.pipesLeftOpen,
    wallMs: event.wallMs,
  };
}

function complaint(result) {
  if (result.timedOut) return new ProcsError('pipeline: the timeout passed', 'TIMEOUT', 'ETIMEDOUT');
  const streams = [['stdout', result.stdoutInfo], ...result.stages.map((stage, index) => [`stages[${index}].stderr`, stage.stderrInfo])];
  for (const [stream, info] of streams) {
    const problem = streamProblem('pipeline', `stream = ${stream}`, info);
    if (problem) return problem;
  }
  const index = result.stages.findLastIndex((stage) => stage.code !== 0);
  const { code, signal } = result.stages[index];
  const text = `pipeline: a stage failed (stage = ${index}, status = ${signal ?? `exit code ${code}`}, expected exit code 0)`;
  return new ProcsError(text, 'CHILD_FAILED', 'ERR_PROCS_CHILD_FAILED');
}

/**
 * Runs commands (`[file, args, options]`), each reading what the one before writes. Resolves with the standard output of the last and one
 * entry per stage; `check: true` rejects unless every stage exited with 0.
 */
async function pipeline(commands, options = {}) {
  check.array(commands, 'commands');
  check.object(options, 'options');
  options = { __proto__: null, ...options };
  check.abortSignal(options.signal, 'options.signal');
  const encoding = options.encoding === undefined ? 'utf8' : options.encoding;
  const stages = commands.map((command) => request.build(normalizeSpawn(...[].concat(command)), NONE));
  const limits = bounds(options);
  if (options.signal?.aborted) throw new AbortError(options.signal.reason);
  let native;
  const done = answer((id) => {
    native = unwrap(hub.pipeline(id, stages, limits));
  }, (event) => toResult(event, encoding));
  const release = onAbort(options.signal, () => native?.cancel());
  try {
    const result = await done;
    if (result.cancelled) throw Object.assign(new AbortError(options.signal?.reason), { result });
    if (options.check && !result.ok) throw Object.assign(complaint(result), { result });
    return result;
  } finally {
    release();
    native?.over();
  }
}

module.exports = { pipeline };
