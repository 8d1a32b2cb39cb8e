//! The scenarios in Rust: `procs-scenarios ID` prints the facts of one, `--list` the ids. `scenarios/README.md` has the rules.

#![deny(unsafe_code)]

mod channel;
mod limits;
mod many;
mod memory;
mod node_faults;
mod node_wire;
mod run;
mod setup;
mod spawn;
mod stream;

use procs::{Error, ErrorKind, ExitStatus, Output, signal_name};
use procs_tests::{Facts, Snapshot, poll_until};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What a scenario ends with: an error that it did not expect stops the runner.
type Outcome = Result<(), Box<dyn std::error::Error>>;

/// One scenario: its id and what it does.
type Row = (&'static str, fn(&Scene, &mut Facts) -> Outcome);

/// What every scenario is given.
struct Scene {
    helper: PathBuf,
    dir: PathBuf,
}

impl Scene {
    fn from_env() -> Option<Scene> {
        let path = |variable| std::env::var_os(variable).map(PathBuf::from);
        Some(Scene { helper: path("PROCS_TEST_CHILD")?, dir: path("PROCS_TEST_DIR")? })
    }

    /// A command of the helper, with standard input null.
    fn helper<const N: usize>(&self, args: [&str; N]) -> procs::Command {
        let mut command = procs::Command::new(&self.helper);
        command.args(args).stdin(procs::Stdio::null());
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn dir(&self) -> &Path {
        &self.dir
    }
}

fn rows() -> impl Iterator<Item = &'static Row> {
    let channels = [channel::TABLE, node_wire::TABLE, node_faults::TABLE];
    [run::TABLE, setup::TABLE, limits::TABLE, stream::TABLE, spawn::TABLE, many::TABLE, memory::TABLE].into_iter().chain(channels).flatten()
}

/// The runner again, or the one of `SCENARIO_PEER`, as the child of a scenario.
fn again(part: &str) -> Result<procs::Command, Error> {
    let program = std::env::current_exe().map_err(|error| Error::from_io("scenario", &error, "where this program is"))?;
    let peer = std::env::var("SCENARIO_PEER").unwrap_or_else(|_| program.to_string_lossy().into_owned());
    let mut words = peer.split('\n');
    let mut command = procs::Command::new(words.next().unwrap_or_default());
    command.args(words).args(["--child", part]);
    Ok(command)
}

/// What a child of a scenario does.
fn child(name: &str) -> ExitCode {
    let outcome = match name.split_once('-') {
        Some(("memory", _)) => memory::part(name).map(|()| ExitCode::SUCCESS),
        Some(("node", _)) => node_wire::part(name),
        _ => channel::part(name).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("{name}: {error}");
        ExitCode::FAILURE
    })
}

/// `code=… signal=…`
fn ending(status: ExitStatus) -> String {
    let code = status.code().map_or("none".to_owned(), |code| code.to_string());
    let signal = status.signal().map_or("none".to_owned(), |signal| signal_name(signal).map_or(signal.to_string(), str::to_owned));
    format!("code={code} signal={signal}")
}

fn put_status(facts: &mut Facts, status: ExitStatus) {
    match status {
        ExitStatus::Unknown => facts.line("status unknown"),
        known => facts.line(format!("status {}", ending(known))),
    }
}

/// Status, stdout and stderr of a short run.
fn put_output(facts: &mut Facts, output: &Output) {
    put_status(facts, output.status);
    facts.text("stdout", &output.stdout);
    facts.text("stderr", &output.stderr);
}

fn put_error(facts: &mut Facts, error: &Error) {
    if error.kind() == ErrorKind::InvalidArgument {
        return facts.line("error kind=INVALID_ARGUMENT");
    }
    let stage = error.stage().map_or("none", |stage| stage.name());
    let errno = error.os_error().map_or("none".to_owned(), |number| format!("{:?}", nix::errno::Errno::from_raw(number)));
    facts.line(format!("error kind={} stage={stage} errno={errno}", error.kind().name()));
}

/// The error of a start or run that must fail.
fn put_failure<T>(facts: &mut Facts, result: Result<T, Error>) -> Outcome {
    match result {
        Ok(_) => Err("succeeded".into()),
        Err(error) => {
            put_error(facts, &error);
            Ok(())
        }
    }
}

fn main() -> ExitCode {
    let id = std::env::args().nth(1).unwrap_or_default();
    if id == "--list" {
        rows().for_each(|row| println!("{}", row.0));
        return ExitCode::SUCCESS;
    }
    if id == "--child" {
        return child(&std::env::args().nth(2).unwrap_or_default());
    }
    let Some((_, body)) = rows().find(|row| row.0 == id) else {
        eprintln!("usage: procs-scenarios --list | ID (no scenario {id:?})");
        return ExitCode::from(64);
    };
    let Some(scene) = Scene::from_env() else {
        eprintln!("PROCS_TEST_CHILD and PROCS_TEST_DIR must be set");
        return ExitCode::from(64);
    };
    let before = Snapshot::take();
    let mut facts = Facts::new();
    let outcome = body(&scene, &mut facts);
    print!("{}", facts.as_str());
    match outcome {
        Ok(()) => {
            poll_until("nothing is left of the scenario", || Snapshot::take().leaks_since(&before).is_empty());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{id}: {error}");
            ExitCode::FAILURE
        }
    }
}
