//! Fault row B17: the wall clock jumps by days, both ways; deadlines do not move.
//!
//! This program answers `clock_gettime` itself, for everything linked into it: the wall clock it shows jumps by 10 days at every look.

#![allow(unsafe_code, reason = "stands in for a function of the C library")]

use procs::{Command, Deadline, RunOptions, Stdio, Stop, wait_any};
use procs_tests::{helper, isolated, limit};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

const TEN_DAYS: i64 = 864_000;

static JUMP: AtomicI64 = AtomicI64::new(0);
static LOOKS: AtomicU64 = AtomicU64::new(0);

/// The C function of this name, with a wall clock that jumps.
///
/// # Safety
/// As the C function: `time` points to a timespec.
// SAFETY: the only definition in this program; it takes precedence over the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    // SAFETY: passes on what the caller vouches for, as the C library would.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) } as libc::c_int;
    if result == 0 && matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE) {
        LOOKS.fetch_add(1, Ordering::Relaxed);
        let jump = JUMP.load(Ordering::Relaxed);
        JUMP.store(-jump, Ordering::Relaxed);
        // SAFETY: the kernel has just filled it.
        unsafe { (*time).tv_sec += jump };
    }
    result
}

fn sleeper() -> Command {
    let mut command = Command::new(helper());
    command.args(["sleep", "60"]);
    command
}

/// Runs something that is bounded by 300 ms.
fn assert_takes_300_ms(what: &str, run: impl FnOnce()) {
    let start = Instant::now();
    run();
    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_millis(299) && elapsed < limit(20), "{what}: 300 ms took {elapsed:?}");
}

#[test]
fn b17_deadlines_do_not_follow_the_wall_clock() {
    isolated("b17_deadlines_do_not_follow_the_wall_clock", |_| {
        let limit = Duration::from_millis(300);
        JUMP.store(TEN_DAYS, Ordering::Relaxed);
        let (first, second) = (SystemTime::now(), SystemTime::now());
        assert!(first.duration_since(second).is_ok_and(|jump| jump.as_secs() > 1_000_000), "the wall clock does not jump: the test proves nothing");
        let looks = LOOKS.load(Ordering::Relaxed);
        assert_takes_300_ms("output", || assert!(sleeper().timeout(limit).output().expect("a run").timed_out));
        assert_takes_300_ms("status", || _ = sleeper().timeout(limit).status().expect_err("too late"));
        let mut child = sleeper().kill_on_drop(true).spawn().expect("a start");
        assert_takes_300_ms("wait", || assert_eq!(child.wait_timeout(limit).expect("a wait"), None));
        assert_takes_300_ms("wait_any", || assert_eq!(wait_any(&[child.handle()], Some(limit)).expect("a wait"), None));
        assert_takes_300_ms("stop", || {
            let report = child.stop(&Stop::new().step(procs::StopAction::Wait, limit)).expect("a stop");
            assert_eq!(report.status, None);
        });
        child.kill().expect("a signal");
        child.wait().expect("an end");
        let exit = child.exit().expect("a record");
        assert!(exit.wall_time < Duration::from_secs(30), "{exit:?}");
        let child = sleeper().stdout(Stdio::piped()).spawn().expect("a start");
        let mut capture = child.capture(RunOptions { timeout: Some(limit), ..Default::default() }).expect("a capture");
        assert_takes_300_ms("capture", || while !capture.run(Deadline::after(Duration::from_millis(10))).expect("a part") {});
        let output = capture.finish().expect("a result");
        assert!(output.timed_out && output.wall_time < Duration::from_secs(30), "{output:?}");
        assert!(LOOKS.load(Ordering::Relaxed) > looks, "start times are wall-clock times");
    });
}
