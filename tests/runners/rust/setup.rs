//! What a child starts with: environment, directory, group, mask, limits.

use crate::{Outcome, Row, Scene, put_status};
use procs::{Command, Resource};
use procs_tests::Facts;

pub(crate) const TABLE: &[Row] = &[
    ("run-env-clear", env_clear),
    ("run-env-set", env_set),
    ("run-cwd", cwd),
    ("spawn-process-group", process_group),
    ("spawn-umask-and-limits", umask_and_limits),
];

fn put_stdout(facts: &mut Facts, command: &mut Command) -> Outcome {
    facts.text("stdout", &command.output()?.stdout);
    Ok(())
}

fn env_clear(scene: &Scene, facts: &mut Facts) -> Outcome {
    put_stdout(facts, scene.helper(["env"]).env_clear())?;
    put_stdout(facts, scene.helper(["env"]).env_clear().env("A", "1"))
}

fn env_set(scene: &Scene, facts: &mut Facts) -> Outcome {
    let names = ["env", "SCENARIO_SET", "SCENARIO_EMPTY", "SCENARIO_UTF8", "SCENARIO_KEEP", "SCENARIO_REMOVE"];
    let mut command = scene.helper(names);
    command.env("SCENARIO_SET", "two words").env("SCENARIO_EMPTY", "").env("SCENARIO_UTF8", "é").env_remove("SCENARIO_REMOVE");
    let output = command.output()?;
    put_status(facts, output.status);
    facts.text("stdout", &output.stdout);
    Ok(())
}

fn cwd(scene: &Scene, facts: &mut Facts) -> Outcome {
    let inner = scene.path("inner");
    std::fs::create_dir(&inner)?;
    let output = scene.helper(["cwd", "name"]).current_dir(inner).output()?;
    put_status(facts, output.status);
    facts.text("stdout", &output.stdout);
    Ok(())
}

fn process_group(scene: &Scene, facts: &mut Facts) -> Outcome {
    put_stdout(facts, scene.helper(["session", "relations"]).process_group(0))?;
    put_stdout(facts, scene.helper(["session", "relations"]).new_session(true))
}

fn umask_and_limits(scene: &Scene, facts: &mut Facts) -> Outcome {
    put_stdout(facts, scene.helper(["umask"]).umask(0o027))?;
    let mut limited = scene.helper(["limits", "nofile", "core"]);
    limited.limit(Resource::NoFile, Some(64), Some(64)).limit(Resource::Core, Some(0), Some(0));
    put_stdout(facts, &mut limited)
}
