//! Every error kind of the core has its entry in the tables of all languages: a new kind cannot get lost at a border.

use procs::{ErrorKind, Stage};
use procs_tests::{read_source, sources};
use std::collections::{BTreeMap, BTreeSet};

/// Node's code of each kind. Source: the table of errors in the design; codes of child_process where it has one.
const NODE_CODES: &[(&str, &str)] = &[
    ("InvalidArgument", "ERR_INVALID_ARG_VALUE"),
    ("InvalidState", "ERR_PROCS_INVALID_STATE"),
    ("NotFound", "ENOENT"),
    ("PermissionDenied", "EACCES"),
    ("Timeout", "ETIMEDOUT"),
    ("Cancelled", "ABORT_ERR"),
    ("WouldBlock", "EAGAIN"),
    ("Closed", "EPIPE"),
    ("TooLarge", "ERR_PROCS_TOO_LARGE"),
    ("Protocol", "ERR_PROCS_PROTOCOL"),
    ("ChildFailed", "ERR_PROCS_CHILD_FAILED"),
    ("WorkerLost", "ERR_PROCS_WORKER_LOST"),
    ("TaskFailed", "ERR_PROCS_TASK_FAILED"),
    ("OwnerDied", "ERR_PROCS_OWNER_DIED"),
    ("Exhausted", "EAGAIN"),
    ("Unsupported", "ERR_PROCS_UNSUPPORTED"),
    ("Io", "EIO"),
    ("Panic", "ERR_PROCS_PANIC"),
];

/// `name → number` of each kind of the core.
fn kinds() -> BTreeMap<String, i32> {
    ErrorKind::ALL.iter().map(|kind| (kind.name().to_owned(), kind.number())).collect()
}

#[test]
fn names_and_numbers_are_unique_and_found_again() {
    assert_eq!(kinds().len(), ErrorKind::ALL.len(), "two kinds share a name");
    let numbers: BTreeSet<i32> = kinds().into_values().collect();
    assert_eq!(numbers.len(), ErrorKind::ALL.len(), "two kinds share a number");
    for kind in ErrorKind::ALL {
        assert_eq!(ErrorKind::from_number(kind.number()), Some(*kind));
    }
    assert_eq!(ErrorKind::from_number(0), None);
    let stages: BTreeSet<&str> = Stage::ALL.iter().map(|stage| stage.name()).collect();
    assert_eq!(stages.len(), Stage::ALL.len(), "two stages share a name");
}

#[test]
fn numbers_are_those_of_the_first_release() {
    let fixed = [
        "INVALID_ARGUMENT",
        "INVALID_STATE",
        "NOT_FOUND",
        "PERMISSION_DENIED",
        "TIMEOUT",
        "CANCELLED",
        "WOULD_BLOCK",
        "CLOSED",
        "TOO_LARGE",
        "PROTOCOL",
        "CHILD_FAILED",
        "WORKER_LOST",
        "TASK_FAILED",
        "OWNER_DIED",
        "EXHAUSTED",
        "UNSUPPORTED",
        "IO",
    ];
    for (index, name) in fixed.iter().enumerate() {
        assert_eq!(kinds().get(*name), Some(&(index as i32 + 1)), "the number of {name} is part of the ABI");
    }
    assert_eq!(kinds().get("PANIC"), Some(&99));
}

#[test]
fn the_c_header_has_the_negative_numbers() {
    let header = read_source("include/procs.h");
    let mut codes = BTreeMap::new();
    for (_, line) in header.code_lines() {
        if let Some((name, number)) = line.trim().trim_end_matches(',').split_once(" = ")
            && let Some(name) = name.strip_prefix("PROCS_E_")
        {
            let number: i32 = number.trim().parse().unwrap_or_else(|_| panic!("unreadable line of the header: {line}"));
            codes.insert(name.to_owned(), -number);
        }
    }
    assert_eq!(codes, kinds(), "PROCS_E_* of include/procs.h (left) and kinds of the core (right) differ");
}

#[test]
fn python_has_a_class_for_each_kind() {
    let text = ["_errors", "_futures"].map(|name| read_source(&format!("bindings/python/procs/{name}.py")).text).concat();
    let mut class = String::new();
    let (mut kind_of_class, mut class_of_number) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("class ") {
            class = rest.split(['(', ':']).next().unwrap_or_default().to_owned();
        } else if let Some(kind) = line.strip_prefix("    kind = \"") {
            kind_of_class.insert(class.clone(), kind.trim_end_matches('"').to_owned());
        } else if let Some((number, name)) = line.trim().trim_end_matches(',').split_once(": ")
            && let Ok(number) = number.parse::<i32>()
        {
            class_of_number.insert(number, name.to_owned());
        }
    }
    let found: BTreeMap<String, i32> = class_of_number
        .iter()
        .map(|(number, name)| (kind_of_class.get(name).cloned().unwrap_or_else(|| format!("class {name} without a kind")), *number))
        .collect();
    assert_eq!(found, kinds(), "CLASSES of procs/_errors.py and _futures.py (left) and kinds of the core (right) differ");
    let public: String = sources("bindings/python/procs", &["__init__.py"]).iter().map(|source| source.text.as_str()).collect();
    for name in class_of_number.values() {
        assert!(procs_tests::has_word(&public, name), "procs does not export {name}");
    }
}

#[test]
fn node_has_a_code_for_each_kind() {
    let source = read_source("bindings/node/src/error.rs");
    let mut codes = BTreeMap::new();
    for (_, line) in source.code_lines() {
        if let Some(rest) = line.trim().strip_prefix("ErrorKind::")
            && let Some((kind, code)) = rest.split_once(" => (\"")
        {
            codes.insert(kind.to_owned(), code.split('"').next().unwrap_or_default().to_owned());
        }
    }
    let expected: BTreeMap<String, String> = NODE_CODES.iter().map(|(kind, code)| ((*kind).to_owned(), (*code).to_owned())).collect();
    assert_eq!(codes, expected, "codes of bindings/node/src/error.rs (left) and the design (right) differ");
    let core: BTreeSet<String> = ErrorKind::ALL.iter().map(|kind| format!("{kind:?}")).collect();
    assert_eq!(core, expected.into_keys().collect(), "kinds of the core (left) and of the table of this test (right) differ");
}

/// The part of an error's text that the core makes is lower case, without a full stop, and names the operation first.
#[test]
fn messages_have_the_form() {
    let failures = [
        procs::Command::new("procs-no-such-program").output().err(),
        procs::Command::new("").output().err(),
        procs::Command::new("true").current_dir("/no/such/folder").output().err(),
        procs::Command::new("true").arg("a\0b").output().err(),
        procs::Command::new("true").umask(0o7777).output().err(),
    ];
    for error in failures {
        let error = error.expect("the start fails");
        let text = error.to_string();
        assert!(text.starts_with(&format!("{}: ", error.operation())), "{text}");
        assert!(!error.detail().ends_with('.'), "{text}");
        assert!(error.operation().chars().all(|c| c.is_ascii_lowercase() || c == '.' || c == '_'), "{text}");
        assert!(!error.detail().starts_with(|c: char| c.is_ascii_uppercase()), "{text}");
    }
}
