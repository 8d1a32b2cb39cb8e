'use strict';

// What became of the streams of a run: limits that were exceeded, output that was lost.

const { ProcsError, fromFailure } = require('./errors.js');

/** What the native module tells of a stream, with the failure of a sink as an Error. */
function streamInfo(info) {
  if (info.sinkError !== undefined) info.sinkError = fromFailure(info.sinkError);
  return info;
}

/** Whether output was lost on the way to the result or to a sink. A reader that went away wanted no more. */
function isLost(info) {
  return info.sinkError !== undefined && (info.incomplete || info.sinkError.kind !== 'CLOSED');
}

/** Whether all of the output came where it was to go. */
function isComplete(info) {
  return !info.limitExceeded && !isLost(info);
}

/** Why a run with such a stream is no success; undefined if it may be one. `subject` names the stream and its run. */
function streamProblem(operation, subject, info) {
  if (info.limitExceeded) {
    return new ProcsError(`${operation}: the output exceeded its limit (${subject})`, 'TOO_LARGE', 'ERR_PROCS_TOO_LARGE');
  }
  if (!isLost(info)) return undefined;
  const { kind, code, errno, message } = info.sinkError;
  const what = info.incomplete ? 'the output is incomplete' : 'the output did not reach its sink';
  const error = new ProcsError(`${operation}: ${what} (${subject}): ${message}`, kind, code);
  if (errno !== undefined) error.errno = errno;
  error.cause = info.sinkError;
  return error;
}

module.exports = { streamInfo, isComplete, streamProblem };
