//! Fault rows B18, B19: what outlives a host, and whom it adopts.

mod common;

use common::child;
use procs::Stdio;
use procs_tests::{Isolation, cookie_holders, count, host, isolated_in, kill_loop, limit};
use std::fs;
use std::time::{Duration, Instant};

/// The host of the next test: keeps ten children that die with it and one that does not.
#[test]
#[ignore = "a host that another test starts"]
fn b18_host() {
    let Some(ready) = std::env::var_os("B18_READY") else { return };
    let mut children: Vec<_> =
        (0..10).map(|_| child(&["sleep", "60"]).die_with_parent(true).stdin(Stdio::null()).spawn().expect("a start")).collect();
    children.push(child(&["sleep", "61"]).spawn().expect("a start"));
    fs::write(ready, children[10].id().to_string()).expect("the number of the one that stays");
    std::thread::park();
}

#[test]
fn b18_only_what_may_stay_outlives_the_host() {
    isolated_in("b18_only_what_may_stay_outlives_the_host", &Isolation::new().watchdog(120), |t| {
        let ready = t.dir().join("ready");
        let start = |_| {
            let _ = fs::remove_file(&ready);
            let mut command = std::process::Command::new(std::env::current_exe().expect("this test"));
            command.args(["--exact", "b18_host", "--ignored", "--nocapture"]).env("B18_READY", &ready);
            command
        };
        let sleepers = |seconds: &str| {
            let line = format!("sleep\0{seconds}\0");
            let is = |pid: &u32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|found| found.ends_with(line.as_bytes()));
            cookie_holders(t.cookie()).into_iter().filter(is).collect::<Vec<_>>()
        };
        let check = |what: &str| {
            let killed = Instant::now();
            t.wait_until("those that die with the host are gone", || sleepers("60").is_empty());
            assert!(killed.elapsed() < limit(10), "{what}: {:?}", killed.elapsed());
            let kept = fs::read_to_string(&ready).ok().and_then(|text| text.parse::<u32>().ok());
            if let Some(pid) = kept {
                assert_eq!(sleepers("61"), [pid], "{what}: the one that may stay");
            }
            t.wait_until("the kept one is gone", || {
                // Killed between clone and exec of the last child, the host leaves one that is still on its way.
                for pid in sleepers("61") {
                    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::Signal::SIGKILL);
                }
                cookie_holders(t.cookie()).is_empty()
            });
            kept.is_some()
        };
        kill_loop(count(100), Duration::from_millis(50), start, |round| {
            check(&format!("round {round}"));
        });
        // Once after all were started, however slow the machine is.
        let mut host = start(0).spawn().expect("the host");
        t.wait_until("all were started", || fs::read_to_string(&ready).is_ok_and(|text| !text.is_empty()));
        host.kill().expect("a signal");
        host.wait().expect("its end");
        assert!(check("the last round"), "the host did not say which child stays");
    });
}

#[test]
fn b19_the_host_adopts_nobody() {
    isolated_in("b19_the_host_adopts_nobody", &Isolation::new().watchdog(60), |t| {
        assert!(!host::is_subreaper());
        for _ in 0..count(200) {
            assert!(child(&["tree-step", "0", "0"]).stdout(Stdio::null()).spawn().expect("a start").wait().expect("an end").success());
        }
        let mut tree = child(&["tree", "2", "60"]).stdout(Stdio::null()).kill_tree(true).spawn().expect("a start");
        tree.kill_tree().expect("a stop");
        tree.wait().expect("an end");
        drop(tree);
        assert!(!host::is_subreaper(), "the library made the host adopt orphans");
        assert_eq!(t.leaks(), Vec::<String>::new());
    });
}
