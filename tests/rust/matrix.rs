//! Every language as the parent of every language: the scenarios of shared memory and channels, with the child of another runner.
//!
//! The command of the child is in `SCENARIO_PEER`, a word a line; without it a runner starts itself.

use super::{LANGUAGES, Scenario, difference, run_with, runner};
use procs_tests::tool;
use std::ffi::OsString;

/// The runner of a language as the value of `SCENARIO_PEER`. Started by `env`, as a program called `node` would be spoken to on Node's own wire.
fn peer(language: &str) -> OsString {
    let mut line = OsString::from(tool("env"));
    for word in runner(language) {
        line.push("\n");
        line.push(word);
    }
    line
}

fn row(parent: &str) {
    let words = runner(parent);
    let wanted = std::env::var("PROCS_SCENARIO").unwrap_or_default();
    let mut failures = Vec::new();
    let (mut count, mut scenarios) = (0, Scenario::all());
    scenarios.retain(|one| one.id.starts_with("memory-") || one.id.starts_with("channel-"));
    for child in LANGUAGES {
        let line = peer(child);
        for scenario in scenarios.iter().filter(|one| one.is_for(parent) && one.is_for(child) && one.id.contains(&wanted)) {
            count += 1;
            let problem = match run_with(&words, &scenario.id, false, Some(&line)) {
                Ok(finished) => difference(scenario, &finished),
                Err(problem) => Some(problem),
            };
            failures.extend(problem.map(|text| format!("{} with a parent in {parent} and a child in {child}: {text}", scenario.id)));
        }
    }
    assert!(count > 0, "no scenario with {wanted:?}");
    assert!(failures.is_empty(), "{} of {count} failed\n{}", failures.len(), failures.join("\n"));
}

macro_rules! parents {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            row(stringify!($name));
        })*
    };
}

parents!(rust, c, python, node);
