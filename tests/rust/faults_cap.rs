//! Fault row A24: a runaway loop meets a cap, and limits reach the child.

mod common;
#[path = "common/warm_up.rs"]
mod warm_up;

use common::child;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use procs::{ErrorKind, Stage, set_max_children};
use procs_tests::{Isolation, count, isolated, isolated_in, rss_bytes};
use std::time::{Duration, Instant};
use warm_up::warm_up;

#[test]
fn a24_a_runaway_loop_meets_the_cap() {
    isolated_in("a24_a_runaway_loop_meets_the_cap", &Isolation::new().watchdog(120), |t| {
        warm_up(t);
        assert!(procs::max_children() <= 4096);
        let cap = count(4000);
        set_max_children(cap);
        let needed = cap as u64 + 100;
        let old = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
        setrlimit(Resource::RLIMIT_NOFILE, needed.max(old.0), old.1.max(needed)).expect("descriptors for the children");
        let before = rss_bytes();
        let mut started = Vec::new();
        let refusal = loop {
            match child(&["sleep", "60"]).spawn() {
                Ok(child) => started.push(child),
                Err(error) => break error,
            }
            assert!(started.len() <= cap, "more children than the cap");
        };
        assert_eq!(started.len(), cap);
        assert_eq!((refusal.kind(), refusal.stage()), (ErrorKind::Exhausted, Some(Stage::Prepare)), "{refusal:?}");
        assert!(refusal.to_string().contains(&format!("limit = {cap}")), "{refusal}");
        assert!(rss_bytes() - before <= 20 << 20, "{} bytes more for {cap} children", rss_bytes() - before);
        let start = Instant::now();
        started.iter().for_each(|child| child.kill().expect("a signal"));
        for child in &mut started {
            assert_eq!(child.wait().expect("an end").signal(), Some(libc::SIGKILL));
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{:?} to end {cap} children", start.elapsed());
        assert_eq!(child(&["exit", "0"]).spawn().expect("room again").wait().expect("an end").code(), Some(0));
        set_max_children(0);
    });
}

#[test]
fn a24_limits_reach_the_child() {
    isolated("a24_limits_reach_the_child", |_| {
        use procs::Resource::{AddressSpace, Core, Cpu, NProc, NoFile};
        let mut command = child(&["limits", "nproc", "as", "nofile", "cpu", "core"]);
        command.limit(NProc, Some(1000), Some(2000)).limit(AddressSpace, Some(1 << 30), Some(1 << 31));
        command.limit(NoFile, Some(64), Some(128)).limit(Cpu, Some(5), Some(9)).limit(Core, Some(0), Some(0));
        let output = command.output().expect("a run");
        let text = String::from_utf8(output.stdout.into_vec()).expect("text");
        assert_eq!(text, "nproc 1000 2000\nas 1073741824 2147483648\nnofile 64 128\ncpu 5 9\ncore 0 0\n");
    });
}
