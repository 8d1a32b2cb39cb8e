//! Rules about the tree as a whole: one version, complete topics, nothing that does not belong there.

use procs_tests::{Source, read_source, root, sources};
use std::collections::BTreeSet;
use std::fs;

/// The folders with the code that ships.
const SHIPPED: [&str; 4] = ["core/src", "ffi/src", "bindings/python", "bindings/node"];
const CODE: [&str; 9] = [".rs", ".py", ".pyi", ".js", ".cjs", ".mjs", ".ts", ".c", ".h"];

fn shipped() -> impl Iterator<Item = Source> {
    SHIPPED.into_iter().flat_map(|folder| sources(folder, &CODE)).filter(|source| !source.path.contains("/test") && !source.path.contains("/peer/"))
}

/// The value of `key = "…"` or `"key": "…"` in a manifest.
fn value(source: &Source, key: &str) -> Option<String> {
    source.text.lines().find_map(|line| {
        let rest = line.trim().trim_start_matches('"').strip_prefix(key)?;
        let rest = rest.trim_start_matches('"').trim_start().strip_prefix([':', '='])?;
        Some(rest.trim().trim_end_matches(',').trim_matches('"').to_owned())
    })
}

#[test]
fn there_is_one_version_number() {
    let version = value(&read_source("Cargo.toml"), "version").expect("the workspace has a version");
    let npm = value(&read_source("bindings/node/package.json"), "version").expect("the npm package has a version");
    assert_eq!(npm, version, "bindings/node/package.json");
    let pyproject = read_source("bindings/python/pyproject.toml");
    if !pyproject.text.contains("dynamic = [\"version\"]") {
        assert_eq!(value(&pyproject, "version").as_deref(), Some(version.as_str()), "bindings/python/pyproject.toml");
    }
    for folder in ["core", "ffi", "bindings/python", "bindings/node", "examples", "tests"] {
        let manifest = read_source(&format!("{folder}/Cargo.toml"));
        assert!(manifest.text.contains("version.workspace = true"), "{folder}/Cargo.toml has a version of its own");
    }
    let header = read_source("include/procs.h");
    let parts: Vec<&str> = version.split('.').collect();
    for (name, part) in ["PROCS_VERSION_MAJOR", "PROCS_VERSION_MINOR", "PROCS_VERSION_PATCH"].iter().zip(parts) {
        let line = header.text.lines().find(|line| line.starts_with(&format!("#define {name} ")));
        assert_eq!(line.and_then(|line| line.split(' ').nth(2)), Some(part), "{name} of include/procs.h");
    }
    assert!(read_source("CHANGELOG.md").text.contains("Unreleased"), "CHANGELOG.md has no section Unreleased");
}

#[test]
fn every_example_topic_is_complete() {
    let mut topics = BTreeSet::new();
    for entry in fs::read_dir(root().join("examples")).expect("the examples").flatten() {
        if entry.file_type().expect("type of a listed file").is_dir() {
            topics.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    let manifest = read_source("examples/Cargo.toml");
    for topic in &topics {
        for file in ["main.rs", "main.c", "main.py", "main.mjs", "expected.txt"] {
            assert!(root().join("examples").join(topic).join(file).is_file(), "examples/{topic}/{file} is missing");
        }
        assert!(manifest.text.contains(&format!("path = \"{topic}/main.rs\"")), "examples/Cargo.toml does not name {topic}");
    }
    for topic in ["stream-long-command", "capture-pipeline", "deadline-tree", "feed-filter", "limits-and-failures", "many-children"] {
        assert!(topics.contains(topic), "examples/{topic} is missing");
    }
}

#[test]
fn nothing_starts_a_shell_but_the_shell_constructor() {
    let mut places = Vec::new();
    for source in shipped() {
        for (number, line) in source.code_lines() {
            let code = line.split("//").next().unwrap_or_default();
            let starts = ["/bin/sh", "sh -c", "\"-c\"", "'-c'", "\"bash\"", "'bash'", "system(", "popen("];
            if starts.iter().any(|word| code.contains(word)) && !code.trim_start().starts_with(['#', '*']) {
                places.push((source.path.clone(), format!("{}: {}", source.at(number), line.trim())));
            }
        }
    }
    // Command::shell; the peers' own `shell` option, whose name of the shell is the peer's, passes it on in its own layer.
    let homes = ["core/src/spawn/command.rs", "bindings/python/procs/_options.py", "bindings/node/lib/arguments.js", "bindings/node/src/options.rs"];
    let others: Vec<&String> = places.iter().filter(|(path, _)| !homes.contains(&path.as_str())).map(|(_, text)| text).collect();
    assert!(others.is_empty(), "a shell is started outside the shell constructors:\n{others:#?}");
    assert!(
        places.iter().any(|(path, _)| path == "core/src/spawn/command.rs"),
        "Command::shell is gone: is this test still looking at the right lines?"
    );
}

#[test]
fn shared_memory_has_no_names_and_signals_no_numbers() {
    for source in shipped() {
        for (number, line) in source.code_lines() {
            for forbidden in ["shm_open", "sem_open", "mq_open", "libc::kill(", "libc::killpg(", "nix::sys::signal::kill(", "waitpid(-1"] {
                assert!(!line.contains(forbidden), "{}: {forbidden} is not used here: {}", source.at(number), line.trim());
            }
        }
    }
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    // Composed, so that this file does not contain them.
    let forbidden = [["/ro", "ot/"].concat(), ["/ho", "me/"].concat(), ["/wo", "rk/"].concat(), ["/Us", "ers/"].concat()];
    let endings = [".rs", ".py", ".pyi", ".js", ".cjs", ".mjs", ".ts", ".c", ".h", ".sh", ".toml", ".json", ".md", ".txt"];
    let mut wrong = Vec::new();
    for folder in ["core", "ffi", "bindings", "examples", "include", "tests", "docs", ".ci"] {
        for source in sources(folder, &endings) {
            let bad = |line: &&str| forbidden.iter().any(|path| line.contains(path.as_str()));
            wrong.extend(source.text.lines().filter(bad).map(|line| format!("{}: {}", source.path, line.trim())));
        }
    }
    assert!(wrong.is_empty(), "paths of one machine:\n{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_for_later() {
    let forbidden = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["to", "do!("].concat(), ["unimple", "mented!("].concat(), ["XX", "X:"].concat()];
    let mut wrong = Vec::new();
    for folder in ["core", "ffi", "bindings", "examples", "include", "tests", ".ci"] {
        for source in sources(folder, &[".rs", ".py", ".pyi", ".js", ".cjs", ".mjs", ".ts", ".c", ".h", ".sh"]) {
            let bad = |line: &&str| forbidden.iter().any(|word| line.contains(word.as_str()));
            wrong.extend(source.text.lines().filter(bad).map(|line| format!("{}: {}", source.path, line.trim())));
        }
    }
    assert!(wrong.is_empty(), "unfinished work:\n{}", wrong.join("\n"));
}

#[test]
fn files_hold_one_idea() {
    // About 400 lines; comments and blank lines do not make a file harder to hold in mind.
    const LIMIT: usize = 400;
    let mut wrong = Vec::new();
    for folder in ["core/src", "ffi/src", "bindings/python/src", "bindings/python/procs", "bindings/node/src", "bindings/node/lib", "tests"] {
        for source in sources(folder, &[".rs", ".py", ".js", ".mjs"]) {
            let count = source.code_lines().count();
            if count > LIMIT {
                wrong.push(format!("{}: {count} lines of code", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "files over {LIMIT} lines of code:\n{}", wrong.join("\n"));
}

#[test]
fn tests_wait_for_events_and_not_for_time() {
    // Composed, so that this file does not contain it.
    let sleep = ["thread::", "sleep("].concat();
    let mut wrong = Vec::new();
    for source in sources("tests/rust", &[".rs"]).iter().chain(&sources("core/src", &[".rs"])) {
        let in_tests = source.path.starts_with("tests/") || source.path.ends_with("tests.rs");
        let bad = source.code_lines().filter(|(_, line)| in_tests && line.contains(&sleep));
        wrong.extend(bad.map(|(number, line)| format!("{}: {}", source.at(number), line.trim())));
    }
    assert!(wrong.is_empty(), "bare sleeps in tests (use Test::wait_until):\n{}", wrong.join("\n"));
}

/// The pages that a reader of README may be sent to.
fn pages() -> BTreeSet<String> {
    let docs = sources("docs", &[".md"]).into_iter().map(|source| source.path);
    docs.chain(["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "examples/README.md"].map(str::to_owned)).collect()
}

/// The files of this tree that a page links to, relative to the root.
fn linked(page: &str) -> Vec<String> {
    let text = read_source(page).text;
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = targets.filter(|target| !target.contains("://") && !target.starts_with('#')).map(|target| target.split('#').next().unwrap_or(target));
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    files
        .map(|file| match file.strip_prefix("../") {
            Some(above) => above.to_owned(),
            None if folder.is_empty() => file.to_owned(),
            None => format!("{folder}/{file}"),
        })
        .collect()
}

#[test]
fn every_page_is_reachable_from_readme_and_no_link_is_dead() {
    let pages = pages();
    let mut unread = vec!["README.md".to_owned()];
    let mut reached: BTreeSet<String> = unread.iter().cloned().collect();
    while let Some(page) = unread.pop() {
        for file in linked(&page) {
            assert!(root().join(&file).exists(), "{page} links to {file}, which is not there");
            if pages.contains(&file) && reached.insert(file.clone()) {
                unread.push(file);
            }
        }
    }
    let lost: Vec<&String> = pages.difference(&reached).collect();
    assert!(lost.is_empty(), "no way leads from README to {lost:?}");
}
