//! A child as an object: wait, kill, stop, streams.

use crate::{Outcome, Row, Scene, put_status};
use procs::{Child, Command, Stdio, Stop};
use procs_tests::Facts;
use std::io::Read;
use std::time::Duration;

pub(crate) const TABLE: &[Row] = &[
    ("spawn-wait", wait),
    ("spawn-kill", kill),
    ("spawn-stop-ladder", stop_ladder),
    ("spawn-stop-ignores-term", stop_ignores_term),
    ("spawn-stopped-child", stopped_child),
    ("spawn-null-streams", null_streams),
    ("spawn-to-file", to_file),
    ("spawn-argv0", argv0),
];

/// All three streams null.
pub(crate) fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

fn wait(scene: &Scene, facts: &mut Facts) -> Outcome {
    let mut child = quiet(&mut scene.helper(["exit", "9"])).spawn()?;
    facts.flag("pid_positive", child.id() > 0);
    put_status(facts, child.wait()?);
    put_status(facts, child.wait()?);
    Ok(())
}

fn kill(scene: &Scene, facts: &mut Facts) -> Outcome {
    let mut child = quiet(&mut scene.helper(["sleep", "60"])).spawn()?;
    child.kill()?;
    put_status(facts, child.wait()?);
    Ok(())
}

/// A child that has said `ready`.
fn ready<const N: usize>(scene: &Scene, args: [&str; N]) -> Result<Child, Box<dyn std::error::Error>> {
    let mut child = scene.helper(args).stdout(Stdio::piped()).spawn()?;
    let mut line = [0; 6];
    child.stdout.as_mut().ok_or("no piped stdout")?.read_exact(&mut line)?;
    if &line == b"ready\n" { Ok(child) } else { Err(format!("said {line:?}").into()) }
}

fn put_stop(facts: &mut Facts, mut child: Child, how: &Stop) -> Outcome {
    let report = child.stop(how)?;
    put_status(facts, report.status.ok_or("outlived the stop")?);
    Ok(())
}

fn stop_ladder(scene: &Scene, facts: &mut Facts) -> Outcome {
    put_stop(facts, ready(scene, ["on-term", "42"])?, &Stop::default())
}

fn stop_ignores_term(scene: &Scene, facts: &mut Facts) -> Outcome {
    put_stop(facts, ready(scene, ["ignore-term"])?, &Stop::graceful(Duration::from_millis(200)))
}

fn stopped_child(scene: &Scene, facts: &mut Facts) -> Outcome {
    put_stop(facts, ready(scene, ["stopped"])?, &Stop::default())
}

fn null_streams(scene: &Scene, facts: &mut Facts) -> Outcome {
    let list = scene.path("list");
    let mut child = quiet(scene.helper(["fds"]).arg(&list)).spawn()?;
    put_status(facts, child.wait()?);
    facts.text("file", &std::fs::read(list)?);
    Ok(())
}

fn to_file(scene: &Scene, facts: &mut Facts) -> Outcome {
    let out = scene.path("out");
    let mut first = scene.helper(["echo", "one"]).stdout(Stdio::write_file(&out)).spawn()?;
    put_status(facts, first.wait()?);
    let mut second = scene.helper(["echo", "two"]).stdout(Stdio::append_file(&out)).spawn()?;
    put_status(facts, second.wait()?);
    facts.text("file", &std::fs::read(out)?);
    Ok(())
}

fn argv0(scene: &Scene, facts: &mut Facts) -> Outcome {
    let mut child = scene.helper(["argv0"]).arg0("other name").stdout(Stdio::piped()).spawn()?;
    let mut said = Vec::new();
    child.stdout.as_mut().ok_or("no piped stdout")?.read_to_end(&mut said)?;
    facts.text("stdout", &said);
    put_status(facts, child.wait()?);
    Ok(())
}
