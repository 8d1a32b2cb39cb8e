//! The ladder that ends a child, as C says it.

use crate::choices::{self, whole_timeout, yes};
use crate::guard::guard;
use crate::ptr::{self, Operation, Sized8, init_options};
use crate::results::procs_stop_action;
use crate::status::{invalid, procs_status};
use procs::{Result, Stop, StopAction};
use std::ffi::c_int;
use std::time::Duration;

/// One step of a stop: an action, and how long it is given before the next.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct procs_stop_step {
    /// One of `procs_stop_action`.
    pub action: c_int,
    /// For PROCS_STOP_SIGNAL: which, 1 to 64. Otherwise 0.
    pub signal: c_int,
    /// Milliseconds.
    pub wait_ms: i64,
}

/// How to end a child. Set the defaults with `procs_stop_options_init`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct procs_stop_options {
    /// sizeof(procs_stop_options), set by `procs_stop_options_init`.
    pub size: usize,
    /// Steps taken in order until the child has ended. Default: NULL, SIGTERM, `grace_ms`, SIGKILL.
    pub steps: *const procs_stop_step,
    /// Number of `steps`.
    pub step_count: usize,
    /// Without `steps`: time between SIGTERM and SIGKILL. Default: 5000.
    pub grace_ms: i64,
    /// 1: descendants are stopped as well; 0: not; -1: as the child was started (default).
    pub tree: c_int,
    /// 0.
    pub reserved: c_int,
}

// SAFETY: integers and a pointer, the size first; `tests/c/abi.c` asserts that there is no padding.
unsafe impl Sized8 for procs_stop_options {
    const NAME: &'static str = "procs_stop_options";
}

const DEFAULTS: procs_stop_options =
    procs_stop_options { size: size_of::<procs_stop_options>(), steps: std::ptr::null(), step_count: 0, grace_ms: 5000, tree: -1, reserved: 0 };

/// How long SIGKILL is given: only a process in the hands of the kernel (a dead disk) outlives it.
const KILL_WAIT: Duration = Duration::from_secs(10);

/// Writes the defaults; `size` is sizeof(procs_stop_options).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_stop_options_init(options: *mut procs_stop_options, size: usize) -> procs_status {
    let operation = "procs_stop_options_init";
    guard(operation, || init_options(operation, options, size, &DEFAULTS))
}

/// A ladder, with the places where standard input is closed kept apart because its pipe belongs to the C handle.
pub(crate) struct Ladder {
    pub(crate) steps: Vec<(StopAction, Duration)>,
    pub(crate) tree: Option<bool>,
}

impl Ladder {
    /// Reads the options of a call; NULL is the default ladder.
    pub(crate) fn read(operation: Operation, options: *const procs_stop_options) -> Result<Ladder> {
        let o = if options.is_null() { DEFAULTS } else { ptr::read_options(operation, options, &DEFAULTS)? };
        choices::reserved(operation, "procs_stop_options.reserved", o.reserved)?;
        let tree = if o.tree == -1 { None } else { Some(yes(operation, "tree", o.tree)?) };
        let grace = whole_timeout(operation, "grace_ms", o.grace_ms)?;
        let mut steps = Vec::new();
        for step in ptr::array(operation, "steps", o.steps, o.step_count)? {
            steps.push((action(operation, step)?, whole_timeout(operation, "steps[].wait_ms", step.wait_ms)?));
        }
        if steps.is_empty() {
            steps = vec![(StopAction::Signal(libc::SIGTERM), grace), (StopAction::Kill, KILL_WAIT)];
        }
        Ok(Ladder { steps, tree })
    }

    /// The steps from one close of standard input to the next, each part a ladder of its own.
    pub(crate) fn part(&self, range: std::ops::Range<usize>) -> Stop {
        let stop = self.steps[range].iter().fold(Stop::new(), |stop, (action, wait)| stop.step(*action, *wait));
        match self.tree {
            Some(tree) => stop.tree(tree),
            None => stop,
        }
    }

    /// The parts in order, and whether standard input is to be closed before each: every close begins a part.
    pub(crate) fn parts(&self) -> Vec<(bool, Stop)> {
        let closes = |index: usize| self.steps[index].0 == StopAction::CloseStdin;
        let mut starts: Vec<usize> = (0..self.steps.len()).filter(|&index| index == 0 || closes(index)).collect();
        starts.push(self.steps.len());
        starts.windows(2).map(|ends| (closes(ends[0]), self.part(ends[0]..ends[1]))).collect()
    }

    /// All steps.
    pub(crate) fn whole(&self) -> Stop {
        self.part(0..self.steps.len())
    }
}

fn action(operation: Operation, step: &procs_stop_step) -> Result<StopAction> {
    use procs_stop_action::*;
    const ALL: &[procs_stop_action] = &[PROCS_STOP_WAIT, PROCS_STOP_CLOSE_STDIN, PROCS_STOP_SIGNAL, PROCS_STOP_KILL];
    let action = choices::find(operation, "procs_stop_step.action", step.action, ALL)?;
    if action != PROCS_STOP_SIGNAL && step.signal != 0 {
        return Err(invalid(operation, format!("a signal without its action (procs_stop_step.signal = {}, expected 0)", step.signal)));
    }
    Ok(match action {
        PROCS_STOP_WAIT => StopAction::Wait,
        PROCS_STOP_CLOSE_STDIN => StopAction::CloseStdin,
        PROCS_STOP_SIGNAL => StopAction::Signal(choices::signal(operation, "procs_stop_step.signal", step.signal)?),
        PROCS_STOP_KILL => StopAction::Kill,
    })
}
