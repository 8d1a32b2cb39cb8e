//! Fault rows C05, C06: output without end, limits that are exact.

mod common;

use common::child;
use procs::{Command, ErrorKind, OutputLimit};
use procs_tests::{Isolation, count, isolated_in, limit, rss_bytes};
use std::io::Read;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

#[test]
fn c05_output_without_end_meets_its_limit() {
    isolated_in("c05_output_without_end_meets_its_limit", &Isolation::new().watchdog(60), |_| {
        let before = rss_bytes();
        let yes = |limit: OutputLimit, timeout: Duration| {
            let mut command = Command::new("yes");
            command.max_output(limit).timeout(timeout);
            command.output().expect("a run")
        };
        let start = Instant::now();
        let output = yes(OutputLimit::Error(MIB), limit(20));
        assert_eq!((output.stdout.len() as u64, output.stdout_report.limit_exceeded, output.timed_out), (MIB, true, false));
        assert!(start.elapsed() < limit(20) && output.status.signal() == Some(libc::SIGKILL), "{output:?}");
        assert_eq!(output.check().expect_err("a limit").kind(), ErrorKind::TooLarge);
        for limit in [OutputLimit::Head(MIB), OutputLimit::Tail(MIB)] {
            // In a second it writes more than that a thousand times, unless the machine stands still.
            let outputs = [1, 4, 16].map(Duration::from_secs).into_iter().map(|timeout| yes(limit, timeout));
            let output = outputs.inspect(|output| assert!(output.timed_out)).find(|output| output.stdout_report.total_bytes > MIB);
            let output = output.expect("more than a mebibyte");
            let report = &output.stdout_report;
            assert_eq!(
                (output.stdout.len() as u64, report.truncated, report.limit_exceeded, output.timed_out),
                (MIB, true, false, true),
                "{limit:?}"
            );
        }
        assert!(rss_bytes().saturating_sub(before) <= 8 << 20, "{} bytes more", rss_bytes() - before);
    });
}

#[test]
fn c05_the_default_is_a_limit() {
    isolated_in("c05_the_default_is_a_limit", &Isolation::new().watchdog(60), |_| {
        let output = Command::new("yes").output().expect("a run");
        assert_eq!((output.stdout.len(), output.stdout_report.limit_exceeded), (64 << 20, true));
    });
}

#[test]
fn c05_a_deaf_writer_is_killed() {
    isolated_in("c05_a_deaf_writer_is_killed", &Isolation::new().watchdog(60), |_| {
        let start = Instant::now();
        let mut command = Command::shell("trap '' TERM; while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done");
        let output = command.max_output(OutputLimit::Error(1000)).grace(Duration::from_millis(300)).output().expect("a run");
        let elapsed = start.elapsed();
        assert_eq!((output.stdout.len(), output.stdout_report.limit_exceeded, output.status.signal()), (1000, true, Some(libc::SIGKILL)));
        assert!(elapsed >= Duration::from_millis(300) && elapsed < limit(20), "{elapsed:?}");
    });
}

#[test]
fn c05_all_of_it_in_a_file() {
    isolated_in("c05_all_of_it_in_a_file", &Isolation::new().watchdog(60), |_| {
        let output = child(&["flood", "5000000", "1"]).max_output(OutputLimit::Spill(MIB)).output().expect("a run");
        assert_eq!((output.stdout.len() as u64, output.stdout_report.truncated, output.success()), (MIB, true, true));
        let mut all = Vec::new();
        output.stdout_report.spill.expect("a file").read_to_end(&mut all).expect("its content");
        assert_eq!(all.len(), 5_000_000);
        assert!(all.iter().enumerate().all(|(at, byte)| *byte == b'a' + (at % 26) as u8), "the file differs from what was written");
    });
}

#[test]
fn c06_limits_are_exact() {
    isolated_in("c06_limits_are_exact", &Isolation::new().watchdog(120), |_| {
        const WRITTEN: usize = 4 << 20;
        let byte_at = |at: usize| b'a' + (at % 26) as u8;
        let rounds = count(200).div_ceil(12).max(1);
        for _ in 0..rounds {
            for limit in [0, 1, 4095, 65_536, 65_537, MIB] {
                for kind in [OutputLimit::Error, OutputLimit::Head, OutputLimit::Tail, OutputLimit::Spill] {
                    let output = child(&["flood", &WRITTEN.to_string(), "1"]).stdout_limit(kind(limit)).output().expect("a run");
                    let (kept, report, name) = (output.stdout.len() as u64, &output.stdout_report, kind(limit));
                    assert_eq!((kept, report.truncated), (limit, true), "{name:?}");
                    let first = if matches!(name, OutputLimit::Tail(_)) { WRITTEN - limit as usize } else { 0 };
                    assert!(output.stdout.iter().enumerate().all(|(at, byte)| *byte == byte_at(first + at)), "{name:?}: other bytes");
                    assert_eq!(report.limit_exceeded, matches!(name, OutputLimit::Error(_)), "{name:?}");
                }
            }
        }
        // As much as the limit is not too much.
        for limit in [0u64, 1, 4095, 65_536, MIB] {
            for kind in [OutputLimit::Error, OutputLimit::Head, OutputLimit::Tail, OutputLimit::Spill] {
                let output = child(&["flood", &limit.to_string(), "1"]).stdout_limit(kind(limit)).output().expect("a run");
                let report = &output.stdout_report;
                assert_eq!(
                    (output.stdout.len() as u64, report.truncated, report.limit_exceeded, report.spill.is_some()),
                    (limit, false, false, false)
                );
                assert!(output.success());
            }
        }
    });
}
