//! Runs to the end: output, status, errors of the start.

use crate::{Outcome, Row, Scene, put_error, put_failure, put_output, put_status};
use procs::Command;
use procs_tests::Facts;
use std::fs;
use std::os::unix::fs::PermissionsExt;

pub(crate) const TABLE: &[Row] = &[
    ("run-echo", echo),
    ("run-exit-code", exit_code),
    ("run-signal-death", signal_death),
    ("run-input-filter", input_filter),
    ("run-big-output", big_output),
    ("run-both-pipes-full", both_pipes_full),
    ("run-missing-program", missing_program),
    ("run-missing-cwd", missing_cwd),
    ("run-not-executable", not_executable),
    ("run-noexec-format", noexec_format),
    ("run-empty-program", empty_program),
    ("run-nul-argument", nul_argument),
    ("run-merge-stderr", merge_stderr),
    ("run-stdin-null", stdin_null),
    ("run-shell", shell),
    ("run-args-bytes", args_bytes),
    ("run-check-fails", check_fails),
    ("run-usage", usage),
];

fn echo(scene: &Scene, facts: &mut Facts) -> Outcome {
    put_output(facts, &scene.helper(["echo", "hello world"]).output()?);
    Ok(())
}

fn exit_code(scene: &Scene, facts: &mut Facts) -> Outcome {
    put_output(facts, &scene.helper(["fail", "3", "", "went wrong\n"]).output()?);
    Ok(())
}

fn signal_death(scene: &Scene, facts: &mut Facts) -> Outcome {
    let output = scene.helper(["die", "SIGTERM"]).output()?;
    put_status(facts, output.status);
    facts.text("stdout", &output.stdout);
    Ok(())
}

fn input_filter(scene: &Scene, facts: &mut Facts) -> Outcome {
    let output = Command::new(&scene.helper).arg("upper").input("one two\nthree\n").output()?;
    put_status(facts, output.status);
    facts.text("stdout", &output.stdout);
    Ok(())
}

fn big_output(scene: &Scene, facts: &mut Facts) -> Outcome {
    let output = scene.helper(["flood", "8388608", "1"]).max_output(procs::OutputLimit::Unlimited).output()?;
    put_status(facts, output.status);
    facts.bytes("stdout", &output.stdout);
    facts.text("stderr", &output.stderr);
    Ok(())
}

fn both_pipes_full(scene: &Scene, facts: &mut Facts) -> Outcome {
    let input: Vec<u8> = (0..5_242_880_u32).map(|i| b'a' + (i % 26) as u8).collect();
    let args = ["stderr-then-stdout", "204800", "10", "204800"];
    let output = Command::new(&scene.helper).args(args).input(input).output()?;
    put_status(facts, output.status);
    facts.bytes("stdout", &output.stdout);
    facts.bytes("stderr", &output.stderr);
    Ok(())
}

fn missing_program(scene: &Scene, facts: &mut Facts) -> Outcome {
    put_failure(facts, Command::new("procs-no-such-program").output())?;
    put_failure(facts, Command::new(scene.path("missing/program")).output())
}

fn missing_cwd(scene: &Scene, facts: &mut Facts) -> Outcome {
    put_failure(facts, scene.helper(["echo", "hi"]).current_dir(scene.path("missing")).output())?;
    put_failure(facts, scene.helper(["echo", "hi"]).current_dir(&scene.helper).output())
}

fn not_executable(scene: &Scene, facts: &mut Facts) -> Outcome {
    let plain = scene.path("plain");
    fs::write(&plain, "#!/bin/true\n")?;
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644))?;
    put_failure(facts, Command::new(plain).output())?;
    put_failure(facts, Command::new(scene.dir()).output())
}

fn noexec_format(scene: &Scene, facts: &mut Facts) -> Outcome {
    let file = scene.path("noshebang");
    fs::write(&file, "echo pwned\n")?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    put_failure(facts, Command::new(file).output())
}

fn empty_program(_: &Scene, facts: &mut Facts) -> Outcome {
    put_failure(facts, Command::new("").output())
}

fn nul_argument(scene: &Scene, facts: &mut Facts) -> Outcome {
    put_failure(facts, scene.helper(["echo", "a\0b"]).output())?;
    put_failure(facts, scene.helper(["echo", "hi"]).env("BAD", "a\0b").output())?;
    put_failure(facts, scene.helper(["echo", "hi"]).env("A=B", "c").output())
}

fn merge_stderr(scene: &Scene, facts: &mut Facts) -> Outcome {
    let output = scene.helper(["interleave", "1000"]).stderr(procs::Stdio::same_as(1)).output()?;
    put_status(facts, output.status);
    facts.bytes("stdout", &output.stdout);
    Ok(())
}

fn stdin_null(scene: &Scene, facts: &mut Facts) -> Outcome {
    let output = scene.helper(["count"]).output()?;
    put_status(facts, output.status);
    facts.text("stdout", &output.stdout);
    Ok(())
}

fn shell(_: &Scene, facts: &mut Facts) -> Outcome {
    let line = r#""$SCENARIO_HELPER" echo one | "$SCENARIO_HELPER" upper; exit 5"#;
    let output = Command::shell(line).output()?;
    put_status(facts, output.status);
    facts.text("stdout", &output.stdout);
    Ok(())
}

fn args_bytes(scene: &Scene, facts: &mut Facts) -> Outcome {
    let controls: String = (1_u8..=0x1f).map(char::from).collect();
    let args = ["", " ", "$(id)", ";", "a\nb", "'", "\"", "\\", "*", "-rf", "--", &controls, "é€😀"];
    let output = scene.helper(["argv"]).args(args).output()?;
    put_status(facts, output.status);
    facts.text("stdout", &output.stdout);
    Ok(())
}

fn check_fails(scene: &Scene, facts: &mut Facts) -> Outcome {
    let error = match scene.helper(["fail", "7", "partial\n", "reason\n"]).check(true).output() {
        Ok(_) => return Err("the check passed".into()),
        Err(error) => error,
    };
    put_error(facts, &error);
    put_output(facts, error.output().ok_or("the error carries no output")?);
    Ok(())
}

fn usage(scene: &Scene, facts: &mut Facts) -> Outcome {
    let output = scene.helper(["burn", "0.2"]).output()?;
    let usage = output.usage.ok_or("no usage")?;
    facts.flag("cpu_time", (usage.user_time + usage.system_time).as_millis() >= 100);
    facts.flag("max_rss", usage.max_rss_bytes > 0);
    facts.flag("wall_time", output.wall_time.as_millis() >= 100);
    Ok(())
}
