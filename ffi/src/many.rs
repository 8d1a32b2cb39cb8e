//! Several children at once.

use crate::child::{child, not_yet, procs_child};
use crate::choices::timeout;
use crate::command::Plan;
use crate::guard::guard;
use crate::options::procs_spawn_options;
use crate::output::{OutputObject, procs_output};
use crate::ptr::{self, Out, ProgressFn, UserData, array, array_mut};
use crate::slab::{self, lock};
use crate::status::{c_string, invalid, procs_status, store};
use crate::stop::{Ladder, procs_stop_options};
use procs::{ChildHandle, Error, Output, Result};
use std::ffi::{c_char, c_int, c_void};

/// A function that is told, on the thread that called `procs_run_many`, when the command at `index` has ended: its `procs_status`, and the
/// message of its error ("" for PROCS_OK; borrowed, during the call only). It must return normally: no longjmp, no C++ exception.
pub type procs_progress_fn = Option<unsafe extern "C" fn(index: usize, status: c_int, message: *const c_char, user_data: *mut c_void)>;

/// Waits until one of the children has ended and gives its index. It is not yet waited for: call `procs_child_try_wait` with it. A child that has
/// ended counts each time, so leave it out of the next call.
///
/// Errors: PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0, when all still run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_wait_any(children: *const *const procs_child, count: usize, timeout_ms: i64, index: *mut usize) -> procs_status {
    let operation = "procs_wait_any";
    guard(operation, || {
        let limit = timeout(operation, "timeout_ms", timeout_ms)?;
        let out = Out::new(operation, "index", index)?;
        let objects: Vec<_> = array(operation, "children", children, count)?.iter().map(|&handle| child(operation, handle)).collect::<Result<_>>()?;
        let handles: Vec<&ChildHandle> = objects.iter().map(|object| &object.handle).collect();
        let ended = procs::wait_any(&handles, limit)?;
        out.set(ended.ok_or_else(|| not_yet(operation, "all children still run", limit))?);
        Ok(())
    })
}

/// Ends several children together, such as the stages of a pipeline, by one ladder: each step is taken for all of them. NULL for `options` is
/// SIGTERM, 5 s, SIGKILL. `survivors`, the number of those that outlive the last step, may be NULL.
///
/// Works also for children that have ended already. With a ladder of one PROCS_STOP_KILL step it kills them all at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_stop_all(
    children: *const *const procs_child,
    count: usize,
    options: *const procs_stop_options,
    survivors: *mut usize,
) -> procs_status {
    let operation = "procs_stop_all";
    guard(operation, || {
        let objects: Vec<_> = array(operation, "children", children, count)?.iter().map(|&handle| child(operation, handle)).collect::<Result<_>>()?;
        if objects.is_empty() {
            return Err(invalid(operation, "no children (count = 0)"));
        }
        let ladder = Ladder::read(operation, options)?;
        let handles: Vec<&ChildHandle> = objects.iter().map(|object| &object.handle).collect();
        let mut alive = 0;
        for (closes, part) in ladder.parts() {
            if closes {
                objects.iter().for_each(|object| lock(&object.pipes).stdin = None);
            }
            let reports = procs::stop_all(&handles, &part)?;
            alive = reports.iter().filter(|report| report.status.is_none() || !report.survivors.is_empty()).count();
            if alive == 0 {
                break;
            }
        }
        ptr::set_optional(operation, "survivors", survivors, alive)
    })
}

/// Runs every command to its end, at most `jobs` at once (0: one for each CPU), and gives the results in the order of the commands.
///
/// `options` and `outputs` and `statuses` have `count` entries. A failure does not stop the others and is not an error of this call:
/// `statuses[i]` is what `procs_run` would have returned, and `outputs[i]` is NULL unless there is an output (owned: free each). Output, input and
/// progress functions may be called by several threads, one at a time for each command. `progress` may be NULL.
///
/// Errors: PROCS_E_INVALID_ARGUMENT names the entry whose options are refused; nothing was started then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_run_many(
    options: *const *const procs_spawn_options,
    count: usize,
    jobs: usize,
    outputs: *mut *mut procs_output,
    statuses: *mut c_int,
    progress: procs_progress_fn,
    user_data: *mut c_void,
) -> procs_status {
    let operation = "procs_run_many";
    guard(operation, || {
        let list = array(operation, "options", options, count)?;
        if list.is_empty() {
            return Err(invalid(operation, "no commands (count = 0)"));
        }
        let outputs = array_mut(operation, "outputs", outputs, count)?;
        let statuses = array_mut(operation, "statuses", statuses, count)?;
        let mut commands = Vec::with_capacity(count);
        for (index, &entry) in list.iter().enumerate() {
            let plan = Plan::read(operation, entry);
            let named = |error: Error| Error::new(error.kind(), operation, format!("options[{index}]: {}", error.detail()));
            commands.push(plan.map_err(named)?.into_command());
        }
        let user = UserData(user_data);
        let results = procs::run_many(commands, jobs, |index, result| {
            if let Some(function) = progress {
                tell(function, index, result, user);
            }
        });
        for ((result, output), status) in results.into_iter().zip(outputs).zip(statuses) {
            (*status, *output) = deliver(result)?;
        }
        Ok(())
    })
}

fn tell(function: ProgressFn, index: usize, result: &Result<Output>, user: UserData) {
    match result {
        Ok(_) => ptr::call_progress(function, index, 0, c"", user),
        Err(error) => ptr::call_progress(function, index, procs_status::of(error.kind()) as c_int, &c_string(error.to_string()), user),
    }
}

/// A result as a code and, where there is one, an output.
fn deliver(result: Result<Output>) -> Result<(c_int, *mut procs_output)> {
    match result {
        Ok(output) => Ok((0, slab::insert(OutputObject(output))?)),
        Err(error) => {
            let code = store(error) as c_int;
            let output = crate::status::take_output().map(|output| slab::insert(OutputObject(output))).transpose()?;
            Ok((code, output.unwrap_or(std::ptr::null_mut())))
        }
    }
}
