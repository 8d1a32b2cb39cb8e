//! Every language as the parent of every language: the scenarios of shared memory and channels, with the child of another runner.
//!
//! The command of the child is in `SCENARIO_PEER`, a word a line; without it a runner starts itself, or, on Node's wire, a plain Node program.

use super::{LANGUAGES, OWN_MODULE, Scenario, difference, run_with, runner};
use procs_tests::tool;
use std::ffi::OsString;
use std::path::PathBuf;

/// The runner of a language as the value of `SCENARIO_PEER`. Started by `env`, as a program called `node` would be spoken to on Node's own wire.
fn peer(language: &str) -> OsString {
    let mut line = OsString::from(tool("env"));
    for word in runner(language) {
        line.push("\n");
        line.push(word);
    }
    line
}

/// The scenarios that `wanted` takes for a child, by this parent with each of these children; `None` is the child that the scenario has by itself.
fn row(parent: &str, words: &[PathBuf], children: &[Option<&str>], wanted: impl Fn(&str, Option<&str>) -> bool) {
    let mut failures = Vec::new();
    let (mut count, mut scenarios) = (0, Scenario::wanted());
    scenarios.retain(|one| one.is_for(parent));
    for child in children {
        let line = child.map(peer);
        let fits = |one: &&Scenario| wanted(&one.id, *child) && child.is_none_or(|child| one.is_for(child) || one.id.starts_with("node-"));
        for scenario in scenarios.iter().filter(fits) {
            count += 1;
            let problem = match run_with(words, &scenario.id, false, line.as_deref()) {
                Ok(finished) => difference(scenario, &finished),
                Err(problem) => Some(problem),
            };
            let child = child.unwrap_or("plain Node");
            failures.extend(problem.map(|text| format!("{} with a parent in {parent} and a child in {child}: {text}", scenario.id)));
        }
    }
    assert!(failures.is_empty(), "{} of {count} failed\n{}", failures.len(), failures.join("\n"));
}

fn is_full() -> bool {
    procs_tests::count(10) == 10
}

/// 64 MiB between each pair of languages is for the full counts; otherwise each language sends them to itself.
fn on_the_native_wire(parent: &str) {
    let wanted = |id: &str, _: Option<&str>| id.starts_with("memory-") || id.starts_with("channel-") && (is_full() || id != "channel-large");
    row(parent, &runner(parent), &LANGUAGES.map(Some), wanted);
}

fn on_nodes_wire(parent: &str) {
    row(parent, &runner(parent), &LANGUAGES.map(Some), |id, child| is_of_nodes_wire(id, child == Some(parent)));
}

/// With the full counts each child gets the largest messages and the kills at random moments, otherwise one of them the kills.
fn is_of_nodes_wire(id: &str, is_the_one: bool) -> bool {
    id.starts_with("node-") && (is_full() || id != "node-huge" && (is_the_one || !id.ends_with("-at-random")))
}

macro_rules! parents {
    ($($wire:ident: $($name:ident),*;)*) => {
        $(mod $wire {
            $(#[test]
            fn $name() {
                super::$wire(stringify!($name));
            })*
        })*
    };
}

parents! {
    on_the_native_wire: rust, c, python, node;
    on_nodes_wire: rust, c, python, node;
}

/// The runtime's own module as the parent: of plain Node programs, with the same transcripts as ours, and of our children in every language.
#[test]
fn nodes_own_module_on_nodes_wire() {
    let mut words = runner("node");
    words.push("--peer".into());
    let children: Vec<Option<&str>> = std::iter::once(None).chain(LANGUAGES.map(Some)).collect();
    row(OWN_MODULE, &words, &children, |id, child| is_of_nodes_wire(id, child.is_none()));
}
