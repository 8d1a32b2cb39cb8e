//! Several children: pipelines, waiting for any, a bounded number at once.

use crate::spawn::quiet;
use crate::{Outcome, Row, Scene, ending, put_failure, put_status};
use procs::{Command, Pipeline, run_many, wait_any};
use procs_tests::{Facts, json_text};

pub(crate) const TABLE: &[Row] = &[
    ("pipeline-three", pipeline_three),
    ("pipeline-status", pipeline_status),
    ("pipeline-missing-stage", pipeline_missing_stage),
    ("many-wait-any", many_wait_any),
    ("many-run-bounded", many_run_bounded),
];

fn pipeline_three(scene: &Scene, facts: &mut Facts) -> Outcome {
    let stages = [scene.helper(["lines", "3"]), piped(scene, &["upper"]), piped(scene, &["cat"])];
    let output = Pipeline::new(stages).output()?;
    for (index, stage) in output.stages.iter().enumerate() {
        facts.line(format!("stage index={index} {}", ending(stage.status)));
    }
    facts.text("stdout", &output.stdout);
    Ok(())
}

/// A stage whose standard input is the pipeline's.
fn piped(scene: &Scene, args: &[&str]) -> Command {
    let mut command = Command::new(&scene.helper);
    command.args(args);
    command
}

fn pipeline_status(scene: &Scene, facts: &mut Facts) -> Outcome {
    let stages = [scene.helper(["lines", "3"]), piped(scene, &["cat", "4"]), piped(scene, &["cat"])];
    let output = Pipeline::new(stages).output()?;
    for (index, stage) in output.stages.iter().enumerate() {
        facts.line(format!("stage index={index} {}", ending(stage.status)));
    }
    put_status(facts, output.status());
    facts.text("stdout", &output.stdout);
    Ok(())
}

fn pipeline_missing_stage(scene: &Scene, facts: &mut Facts) -> Outcome {
    let stages = [scene.helper(["sleep", "60"]), piped(scene, &["cat"]), Command::new("procs-no-such-program")];
    put_failure(facts, Pipeline::new(stages).output())
}

fn many_wait_any(scene: &Scene, facts: &mut Facts) -> Outcome {
    let start = |args: [&str; 2]| quiet(&mut scene.helper(args)).spawn();
    let mut children = [start(["sleep", "60"])?, start(["sleep", "60"])?, start(["exit", "5"])?];
    let handles = [children[0].handle(), children[1].handle(), children[2].handle()];
    let index = wait_any(&handles, None)?.ok_or("nothing ended")?;
    facts.flag("index", index);
    put_status(facts, children[index].wait()?);
    for child in &mut children[..2] {
        child.kill()?;
        put_status(facts, child.wait()?);
    }
    Ok(())
}

fn many_run_bounded(scene: &Scene, facts: &mut Facts) -> Outcome {
    let slots = scene.path("slots");
    let command = |index: usize| {
        let mut command = scene.helper(["slots"]);
        command.arg(&slots).arg("2").arg(index.to_string());
        command
    };
    let results = run_many((0..8).map(command).collect(), 2, |_, _| {});
    for (index, result) in results.into_iter().enumerate() {
        let output = result?;
        facts.line(format!("result index={index} {} stdout={}", ending(output.status), json_text(&output.stdout)));
    }
    Ok(())
}
