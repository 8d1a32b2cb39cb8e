//! Deadlines and output limits.

use crate::{Outcome, Row, Scene, put_status};
use procs::{Output, OutputLimit};
use procs_tests::Facts;
use std::time::Duration;

pub(crate) const TABLE: &[Row] = &[
    ("run-timeout", timeout),
    ("run-timeout-grandchild", timeout_grandchild),
    ("run-timeout-tree", timeout_tree),
    ("run-limit-error", limit_error),
    ("run-limit-head", limit_head),
    ("run-limit-tail", limit_tail),
];

/// In this time the child has said its words on a busy machine, too.
fn words_time() -> Result<Duration, Box<dyn std::error::Error>> {
    Ok(Duration::from_millis(std::env::var("SCENARIO_TIMEOUT_MS")?.parse()?))
}

fn put_timed(facts: &mut Facts, output: &Output) {
    facts.flag("timed_out", output.timed_out);
    facts.text("stdout", &output.stdout);
    facts.flag("pipes_left_open", output.pipes_left_open);
}

fn timeout(scene: &Scene, facts: &mut Facts) -> Outcome {
    put_timed(facts, &scene.helper(["say", "before\n", "30"]).timeout(words_time()?).output()?);
    Ok(())
}

fn timeout_grandchild(scene: &Scene, facts: &mut Facts) -> Outcome {
    let mut command = scene.helper(["grandchild-wait", "60"]);
    put_timed(facts, &command.arg(scene.path("stop")).timeout(words_time()?).output()?);
    Ok(())
}

fn timeout_tree(scene: &Scene, facts: &mut Facts) -> Outcome {
    put_timed(facts, &scene.helper(["grandchild-wait", "60"]).timeout(words_time()?).kill_tree(true).output()?);
    Ok(())
}

fn limit_error(scene: &Scene, facts: &mut Facts) -> Outcome {
    let output = scene.helper(["flood", "67108864", "1"]).max_output(OutputLimit::Error(65536)).output()?;
    facts.flag("limit_exceeded", output.stdout_report.limit_exceeded);
    facts.bytes("stdout", &output.stdout);
    Ok(())
}

fn put_limited(scene: &Scene, facts: &mut Facts, limit: OutputLimit) -> Outcome {
    let output = scene.helper(["flood", "1000000", "1"]).max_output(limit).output()?;
    put_status(facts, output.status);
    facts.flag("truncated", output.stdout_report.truncated);
    facts.bytes("stdout", &output.stdout);
    Ok(())
}

fn limit_head(scene: &Scene, facts: &mut Facts) -> Outcome {
    put_limited(scene, facts, OutputLimit::Head(1000))
}

fn limit_tail(scene: &Scene, facts: &mut Facts) -> Outcome {
    put_limited(scene, facts, OutputLimit::Tail(1000))
}
