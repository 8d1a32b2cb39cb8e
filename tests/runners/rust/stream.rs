//! Output read line by line while the child runs.

use crate::{Outcome, Row, Scene, put_status};
use procs::Stdio;
use procs_tests::Facts;

pub(crate) const TABLE: &[Row] = &[("stream-lines", lines), ("stream-long-line", long_line), ("stream-no-final-newline", no_final_newline)];

/// Shows the lines that `wanted` names; those longer than 100 bytes by their sum.
fn put_lines<const N: usize>(scene: &Scene, facts: &mut Facts, args: [&str; N], wanted: &[usize]) -> Outcome {
    let mut child = scene.helper(args).stdout(Stdio::piped()).spawn()?;
    let mut reader = child.lines()?;
    let mut count = 0;
    let mut shown = Facts::new();
    while let Some(line) = reader.next_line()? {
        let name = format!("line index={count}");
        if wanted.contains(&count) && line.len() > 100 {
            shown.bytes(&name, line);
        } else if wanted.contains(&count) {
            shown.text(&name, line);
        }
        count += 1;
    }
    facts.flag("lines", count);
    shown.as_str().lines().for_each(|line| facts.line(line));
    put_status(facts, child.wait()?);
    Ok(())
}

fn lines(scene: &Scene, facts: &mut Facts) -> Outcome {
    put_lines(scene, facts, ["lines", "1000"], &[0, 999])
}

fn long_line(scene: &Scene, facts: &mut Facts) -> Outcome {
    put_lines(scene, facts, ["line", "5000000"], &[0, 1])
}

fn no_final_newline(scene: &Scene, facts: &mut Facts) -> Outcome {
    put_lines(scene, facts, ["print", r"a\n\nb"], &[0, 1, 2])
}
