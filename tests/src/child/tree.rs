//! Subcommands that start further processes.

use crate::basic::{pause_for, put};
use crate::{Args, Outcome, Row, raw};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) const TABLE: &[Row] = &[
    ("grandchild", "SECONDS [STOPFILE]: a child that keeps the streams open that long or until STOPFILE exists; prints `hi`, exits", grandchild),
    ("grandchild-wait", "SECONDS [STOPFILE]: as grandchild, but waits for it", grandchild_wait),
    ("hold", "SECONDS [STOPFILE]: does nothing that long or until STOPFILE exists", hold),
    ("tree", "DEPTH [SECONDS [STOPFILE]]: 2^(DEPTH+1)-1 processes, some in sessions of their own, some daemons; each prints `PID KIND`", tree),
    ("tree-node", "KIND DEPTH SECONDS [STOPFILE]: one node of tree", tree_node),
    ("tree-step", "DEPTH SECONDS [STOPFILE]: starts a daemon node and exits", tree_step),
    (
        "settid",
        "PID SECONDS [child]: a process with exactly this number that sleeps; prints `PID` (with child `PID CHILD`) once it lives, waits for it",
        settid,
    ),
    ("spawn", "COUNT ARGS..: starts COUNT helpers with ARGS, prints `ready`, waits for all", spawn_many),
];

/// This program again.
fn again<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Result<std::process::Child, String> {
    Command::new("/proc/self/exe").args(args).spawn().map_err(|e| format!("start of a further process: {e}"))
}

fn hold_for(seconds: f64, stop: Option<&OsStr>) {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    while Instant::now() < end && !stop.is_some_and(|file| Path::new(file).exists()) {
        pause_for(if stop.is_some() { 0.01 } else { seconds });
    }
}

fn hold(args: &Args) -> Outcome {
    hold_for(args.number(0)?, args.optional(1).map(|file| file.as_os_str()));
    Ok(0)
}

fn start_holder(args: &Args) -> Result<std::process::Child, String> {
    let child = again(std::iter::once(OsStr::new("hold")).chain(args.all().iter().map(|arg| arg.as_os_str())))?;
    put(1, b"hi\n")?;
    Ok(child)
}

fn grandchild(args: &Args) -> Outcome {
    start_holder(args)?;
    Ok(0)
}

fn grandchild_wait(args: &Args) -> Outcome {
    start_holder(args)?.wait().map_err(|e| e.to_string())?;
    Ok(0)
}

/// What every node of a tree gets passed on.
struct Node<'a> {
    depth: u32,
    seconds: f64,
    stop: Option<&'a OsStr>,
}

impl<'a> Node<'a> {
    fn from_args(args: &'a Args, first: usize) -> Result<Node<'a>, String> {
        Ok(Node {
            depth: args.number(first)?,
            seconds: args.number_or(first + 1, 60.0)?,
            stop: args.optional(first + 2).map(|file| file.as_os_str()),
        })
    }

    fn start(&self, words: &[&str], depth: u32) -> Result<std::process::Child, String> {
        let mut args: Vec<std::ffi::OsString> = words.iter().map(Into::into).collect();
        args.push(depth.to_string().into());
        args.push(self.seconds.to_string().into());
        args.extend(self.stop.map(|file| file.to_owned()));
        again(args)
    }

    /// Announces itself, starts its two children and stays.
    fn live(&self, kind: &str) -> Outcome {
        put(1, format!("{} {kind}\n", std::process::id()).as_bytes())?;
        let mut children = Vec::new();
        if self.depth > 0 {
            children.push(self.start(&["tree-node", "plain"], self.depth - 1)?);
            if self.depth.is_multiple_of(2) {
                children.push(self.start(&["tree-node", "session"], self.depth - 1)?);
            } else {
                self.start(&["tree-step"], self.depth - 1)?.wait().map_err(|e| e.to_string())?;
            }
        }
        hold_for(self.seconds, self.stop);
        for mut child in children {
            child.wait().map_err(|e| e.to_string())?;
        }
        Ok(0)
    }
}

fn tree(args: &Args) -> Outcome {
    Node::from_args(args, 0)?.live("root")
}

fn tree_node(args: &Args) -> Outcome {
    let kind = args.text(0)?;
    if kind == "session" {
        nix::unistd::setsid().map_err(|e| e.to_string())?;
    }
    Node::from_args(args, 1)?.live(kind)
}

fn tree_step(args: &Args) -> Outcome {
    nix::unistd::setsid().map_err(|e| e.to_string())?;
    let node = Node::from_args(args, 0)?;
    node.start(&["tree-node", "daemon"], node.depth)?;
    Ok(0)
}

fn settid(args: &Args) -> Outcome {
    let pid: i32 = args.number(0)?;
    let seconds: f64 = args.number(1)?;
    if raw::fork_with_pid(pid).map_err(|e| format!("clone3 with set_tid {pid}: {e}"))? {
        let mut line = std::process::id().to_string();
        if args.optional(2).is_some() {
            line.push_str(&format!(" {}", again(["sleep", &seconds.to_string()])?.id()));
        }
        line.push('\n');
        put(1, line.as_bytes())?;
        pause_for(seconds);
        return Ok(0);
    }
    nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None).map_err(|e| e.to_string())?;
    Ok(0)
}

fn spawn_many(args: &Args) -> Outcome {
    let count: usize = args.number(0)?;
    let mut children = (0..count).map(|_| again(&args.all()[1..])).collect::<Result<Vec<_>, _>>()?;
    put(1, b"ready\n")?;
    for child in &mut children {
        child.wait().map_err(|e| e.to_string())?;
    }
    Ok(0)
}
