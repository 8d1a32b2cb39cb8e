//! Every Rust example prints its `expected.txt` and leaves nothing behind. `make test` compares the other languages with the same files.

use procs_tests::{root, run_program};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

macro_rules! topics {
    ($($name:literal),* $(,)?) => {
        /// Topic and built program.
        const TOPICS: &[(&str, &str)] = &[$(($name, env!(concat!("CARGO_BIN_EXE_", $name)))),*];
    };
}

topics!(
    "capture-pipeline",
    "deadline-tree",
    "feed-filter",
    "large-array",
    "limits-and-failures",
    "listener-to-node",
    "many-children",
    "messages",
    "node-child",
    "node-parent",
    "pass-listener",
    "request-reply",
    "shared-counter",
    "stream-long-command",
    "ten-lines",
    "tour"
);

/// Times differ from run to run: `0.3 s` becomes `T s`.
fn without_times(text: &str) -> String {
    let is_time = |word: &str| word.split_once('.').is_some_and(|(a, b)| a.parse::<u32>().is_ok() && b.parse::<u32>().is_ok());
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let shown = words.iter().enumerate().map(|(index, word)| match words.get(index + 1) {
            Some(unit) if is_time(word) && unit.starts_with('s') => "T",
            _ => word,
        });
        shown.collect::<Vec<_>>().join(" ")
    };
    text.lines().map(|text| line(text) + "\n").collect()
}

#[test]
fn every_folder_is_a_topic() {
    let listed: BTreeSet<String> = TOPICS.iter().map(|topic| topic.0.to_owned()).collect();
    let entries = fs::read_dir(root().join("examples")).expect("the examples").flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    assert_eq!(listed, folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect());
}

#[test]
fn every_example_prints_what_it_should() {
    let mut failures = Vec::new();
    for (topic, program) in TOPICS {
        let expected = fs::read_to_string(root().join("examples").join(topic).join("expected.txt")).expect("a transcript");
        match run_program(|_| Command::new(program), |_| {}) {
            Ok(done) if done.status.success() && without_times(&String::from_utf8_lossy(&done.stdout)) == without_times(&expected) => {}
            Ok(done) => failures.push(format!(
                "{topic}: {}\n--- expected\n{expected}--- got\n{}--- standard error\n{}",
                done.status,
                String::from_utf8_lossy(&done.stdout),
                String::from_utf8_lossy(&done.stderr)
            )),
            Err(problem) => failures.push(format!("{topic}: {problem}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
