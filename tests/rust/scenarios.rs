//! Every scenario in every language: one expectation, four implementations (`scenarios/README.md`).
//!
//! `PROCS_SCENARIO=run-echo` runs the ids that contain this text only.

mod matrix;

use procs_tests::{Finished, Random, build_dir, count, helper, library_dir, limit, node, python, root, run_program, tool};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// One transcript file.
struct Scenario {
    id: String,
    facts: String,
    not: Vec<String>,
    leaves: bool,
}

impl Scenario {
    fn read(path: &Path) -> Scenario {
        let text = fs::read_to_string(path).expect("a transcript");
        let id = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let mut scenario = Scenario { id, facts: String::new(), not: Vec::new(), leaves: false };
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("not: ") {
                let (language, reason) = rest.split_once(", ").unwrap_or_else(|| panic!("{}: `not:` without a reason", path.display()));
                assert!((LANGUAGES.contains(&language) || language == OWN_MODULE) && !reason.is_empty(), "{}: {line}", path.display());
                scenario.not.push(language.to_owned());
            } else if line.starts_with('#') {
                scenario.leaves |= line.starts_with("# leaves: ");
            } else {
                scenario.facts.push_str(line);
                scenario.facts.push('\n');
            }
        }
        assert!(!scenario.facts.is_empty(), "{}: no facts", path.display());
        scenario
    }

    fn all() -> Vec<Scenario> {
        let folder = fs::read_dir(root().join("tests/scenarios")).expect("the folder of transcripts");
        let mut paths: Vec<PathBuf> = folder.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
        paths.sort();
        paths.iter().map(|path| Scenario::read(path)).collect()
    }

    /// Those that `PROCS_SCENARIO` asks for; fails when no transcript at all has such an id.
    fn wanted() -> Vec<Scenario> {
        let wanted = std::env::var("PROCS_SCENARIO").unwrap_or_default();
        let mut scenarios = Scenario::all();
        scenarios.retain(|scenario| scenario.id.contains(&wanted));
        assert!(!scenarios.is_empty(), "no scenario with {wanted:?}");
        scenarios
    }

    fn is_for(&self, language: &str) -> bool {
        !self.not.iter().any(|name| name == language || language == OWN_MODULE && name == "node")
    }
}

static C_RUNNER: OnceLock<PathBuf> = OnceLock::new();

/// Node's own module as a parent, for what it does otherwise than libprocs.
const OWN_MODULE: &str = "child_process";

const LANGUAGES: [&str; 4] = ["rust", "c", "python", "node"];

/// The command line in front of a scenario's id. Whatever it needs and is missing fails here.
fn runner(language: &str) -> Vec<PathBuf> {
    let source = |name: &str| {
        let path = root().join("tests/runners").join(name);
        assert!(path.is_file(), "the {language} runner is missing: {}", path.display());
        path
    };
    match language {
        "rust" => vec![PathBuf::from(env!("CARGO_BIN_EXE_procs-scenarios"))],
        // Once: two tests use it, and a program that runs cannot be written.
        "c" => vec![C_RUNNER.get_or_init(|| build_c_runner(&source("c/main.c"))).clone()],
        "python" => {
            let program = python();
            assert!(program.is_file(), "{} is missing: make build sets it up, or set PROCS_PYTHON", program.display());
            vec![program, source("python/main.py")]
        }
        "node" => vec![node(), source("node.mjs")],
        other => panic!("no language {other}"),
    }
}

/// Compiles the C runner as a stranger would, with warnings as errors.
fn build_c_runner(main: &Path) -> PathBuf {
    let libraries = library_dir();
    assert!(libraries.join("libprocs.so").is_file(), "{} has no libprocs.so: make build, or set PROCS_LIBDIR", libraries.display());
    let folder = main.parent().expect("a file lies in a folder");
    let mut sources: Vec<PathBuf> = fs::read_dir(folder).expect("the C runner").flatten().map(|entry| entry.path()).collect();
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "c"));
    let program = build_dir().join("procs-scenarios-c");
    let mut command = Command::new(tool("cc"));
    command.args(["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-g"]).arg("-I").arg(root().join("include"));
    command.args(sources).arg("-L").arg(&libraries).arg("-lprocs").arg(format!("-Wl,-rpath,{}", libraries.display())).arg("-o").arg(&program);
    let output = command.output().expect("start of the C compiler");
    assert!(output.status.success(), "the C runner does not compile:\n{}", String::from_utf8_lossy(&output.stderr));
    program
}

fn run_one(words: &[PathBuf], argument: &str, leaves: bool) -> Result<Finished, String> {
    run_with(words, argument, leaves, None)
}

/// As [`run_one`], with another runner for the children of the scenario.
fn run_with(words: &[PathBuf], argument: &str, leaves: bool, peer: Option<&OsStr>) -> Result<Finished, String> {
    let make = |folder: &Path| {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(argument);
        command.env("PROCS_TEST_CHILD", helper()).env("SCENARIO_HELPER", helper()).env("PROCS_TEST_DIR", folder);
        command.env("SCENARIO_KEEP", "kept").env("SCENARIO_REMOVE", "removed");
        command.env("SCENARIO_PLAIN", root().join("tests/runners/node/plain.cjs"));
        command.env("SCENARIO_ROUNDS", count(20).max(3).to_string());
        // What is promised to be prompt is measured in tests of its own; here it is noticed or it is not.
        command.env("SCENARIO_NOTICE_MS", limit(2).as_millis().to_string()).env("SCENARIO_TIMEOUT_MS", limit(2).as_millis().to_string());
        command.env("SCENARIO_SEED", Random::from_env("scenarios").below(65_537).to_string());
        match peer {
            Some(peer) => command.env("SCENARIO_PEER", peer),
            None => command.env_remove("SCENARIO_PEER"),
        };
        command
    };
    let release = |folder: &Path| {
        if leaves {
            fs::write(folder.join("stop"), "").expect("the stop file");
        }
    };
    run_program(make, release)
}

/// Why the runner's answer is not the transcript.
fn difference(scenario: &Scenario, finished: &Finished) -> Option<String> {
    let said = String::from_utf8_lossy(&finished.stdout);
    if finished.status.success() && said == scenario.facts {
        return None;
    }
    let stderr = String::from_utf8_lossy(&finished.stderr);
    Some(format!("{}\n--- expected\n{}--- got\n{said}--- standard error\n{stderr}", finished.status, scenario.facts))
}

fn compare(language: &str) {
    let words = runner(language);
    let mut failures = Vec::new();
    let mut count = 0;
    for scenario in Scenario::wanted().iter().filter(|scenario| scenario.is_for(language)) {
        count += 1;
        let problem = match run_one(&words, &scenario.id, scenario.leaves) {
            Ok(finished) => difference(scenario, &finished),
            Err(problem) => Some(problem),
        };
        failures.extend(problem.map(|text| format!("scenario {} in {language}: {text}", scenario.id)));
    }
    assert!(failures.is_empty(), "{} of {count} scenarios failed\n{}", failures.len(), failures.join("\n"));
}

/// The runner implements exactly the folder's ids, less those that its language cannot have.
fn list_is_complete(language: &str) {
    let finished = run_one(&runner(language), "--list", false).unwrap_or_else(|problem| panic!("{problem}"));
    let said = String::from_utf8(finished.stdout).expect("ids are text");
    assert!(finished.status.success(), "{language}: {}\n{}", finished.status, String::from_utf8_lossy(&finished.stderr));
    let listed: BTreeSet<&str> = said.lines().collect();
    let scenarios = Scenario::all();
    let expected: BTreeSet<&str> = scenarios.iter().filter(|one| one.is_for(language)).map(|one| one.id.as_str()).collect();
    assert_eq!(listed, expected, "{language}: the ids of --list and the files of tests/scenarios differ");
    assert_eq!(said.lines().count(), listed.len(), "{language}: an id is listed twice");
}

macro_rules! languages {
    ($($name:ident),*) => {
        $(mod $name {
            #[test]
            fn has_every_scenario() {
                super::list_is_complete(stringify!($name));
            }

            #[test]
            fn says_what_the_transcripts_say() {
                super::compare(stringify!($name));
            }
        })*
    };
}

languages!(rust, c, python, node);
