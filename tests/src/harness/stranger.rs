//! SETTID: a process with a chosen number, to reuse the number of one that is gone.

use super::test::Test;
use crate::workspace::helper;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A process that has nothing to do with the library but has a number it once used. Dropping it ends it.
pub struct Stranger {
    pid: u32,
    keeper: Child,
}

impl Test {
    /// Starts a process with exactly this number. Needs root; fails when the number is taken.
    pub fn stranger(&self, pid: u32) -> Stranger {
        let mut command = Command::new(helper());
        command.args(["settid", &pid.to_string(), "60"]).env("LP_TEST", self.cookie());
        let mut keeper = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("start of the helper");
        let mut line = String::new();
        let stdout = keeper.stdout.take().expect("a piped stream");
        BufReader::new(stdout).read_line(&mut line).expect("a line of the helper");
        let stranger = Stranger { pid, keeper };
        assert_eq!(line.trim(), pid.to_string(), "no process with the number {pid} could be made");
        stranger
    }
}

impl Stranger {
    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it still runs: a signal has not ended it. Stopped counts as alive but not as untouched.
    pub fn is_untouched(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| matches!(rest.chars().next(), Some('S' | 'R' | 'D')))
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        if self.is_untouched() {
            let _ = kill(Pid::from_raw(self.pid as i32), Signal::SIGKILL);
        }
        let _ = self.keeper.wait();
    }
}
