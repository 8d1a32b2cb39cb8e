//! Who may use whom in the core, where unsafe code may be, and what runs between clone and exec.

use procs_tests::{Source, has_word, read_source, sources};
use std::collections::BTreeSet;

/// `module → may use`, beside `error` and `deadline`, which everybody may. The table is the design's
/// whole: `listen`, `signals`, `supervise`, `pool` and `cluster` are not in this release, but their arrows bind whoever adds them.
const ARROWS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("deadline", &[]),
    ("sys", &[]),
    ("io", &["sys"]),
    ("shm", &["sys", "io"]),
    ("listen", &["sys"]),
    ("signals", &["sys"]),
    ("spawn", &["sys", "io", "signals"]),
    ("capture", &["spawn", "io"]),
    ("channel", &["sys", "io", "shm"]),
    ("fork", &["spawn", "channel"]),
    ("fuzz", &["channel", "shm"]),
    ("supervise", &["spawn", "fork", "channel", "shm", "signals", "io"]),
    ("pool", &["supervise", "spawn", "fork", "capture", "channel", "shm", "io"]),
    ("cluster", &["supervise", "spawn", "fork", "capture", "channel", "shm", "listen", "signals", "io"]),
];

/// What everybody may use, except these two themselves: they use the standard library only.
const GROUND: [&str; 2] = ["error", "deadline"];

/// Crates whose functions and types only `sys` may use; their constants (errno values, signal numbers) are data.
const SYSTEM_CRATES: [&str; 2] = ["nix", "libc"];

fn module_of(source: &Source) -> &str {
    let inside = source.path.strip_prefix("core/src/").expect("a file of the core");
    inside.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

/// Every top-level name that a line mentions through `crate::`, also in `{…}` lists, or through `super::super::` from one level down.
fn mentioned(line: &str, prefix: &str) -> Vec<String> {
    let identifier = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = Vec::new();
    let starts_there = |at: &usize| !line[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    for at in line.match_indices(prefix).map(|(at, _)| at).filter(starts_there) {
        let rest = &line[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(list) => names.extend(list.split(',').map(|entry| identifier(entry.trim().trim_start_matches('{')))),
            None => names.push(identifier(rest)),
        }
    }
    names
}

fn allowed(module: &str) -> BTreeSet<&'static str> {
    let (_, uses) = ARROWS.iter().find(|row| row.0 == module).unwrap_or_else(|| panic!("module {module} is not in the design's table"));
    let mut all: BTreeSet<&str> = uses.iter().copied().collect();
    if !GROUND.contains(&module) {
        all.extend(GROUND);
    }
    all
}

#[test]
fn modules_use_only_what_the_design_allows() {
    let known: BTreeSet<&str> = ARROWS.iter().map(|row| row.0).collect();
    let mut wrong = Vec::new();
    for source in sources("core/src", &[".rs"]).iter().filter(|source| source.path != "core/src/lib.rs") {
        let module = module_of(source);
        let allowed = allowed(module);
        for (number, line) in source.code_lines() {
            let depth = source.path.matches('/').count();
            let from_root = mentioned(line, "crate::").into_iter().chain(match depth {
                3 => mentioned(line, "super::super::"),
                _ => Vec::new(),
            });
            for name in from_root.filter(|name| known.contains(name.as_str()) && name != module && !allowed.contains(name.as_str())) {
                wrong.push(format!("{}: {module} uses {name}: {}", source.at(number), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that the design does not have:\n{}", wrong.join("\n"));
}

#[test]
fn the_table_has_no_cycle_and_keeps_pool_and_cluster_apart() {
    fn reaches(from: &str, to: &str) -> bool {
        ARROWS.iter().find(|row| row.0 == from).is_some_and(|row| row.1.iter().any(|next| *next == to || reaches(next, to)))
    }
    for (module, _) in ARROWS {
        assert!(!reaches(module, module), "{module} reaches itself");
    }
    assert!(!reaches("pool", "cluster") && !reaches("cluster", "pool"));
}

#[test]
fn only_sys_calls_the_system() {
    let mut wrong = Vec::new();
    for source in sources("core/src", &[".rs"]).iter().filter(|source| module_of(source) != "sys") {
        for (number, line) in source.code_lines() {
            for name in SYSTEM_CRATES.iter().flat_map(|name| mentioned(line, &format!("{name}::")).into_iter().map(move |item| (name, item))) {
                let (krate, item) = name;
                let is_constant = !item.is_empty() && item.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
                // Names and numbers of signals are data, not calls.
                let is_signal_name = *krate == "nix" && line.contains("nix::sys::signal::Signal");
                // Macros of wait(2) that take a status word apart.
                let is_status_macro = item.starts_with('W') && item[1..].chars().all(|c| c.is_ascii_uppercase());
                if !is_constant && !is_signal_name && !is_status_macro {
                    wrong.push(format!("{}: {}", source.at(number), line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "system calls and their types outside sys:\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_is_in_its_places_only() {
    let mut wrong = Vec::new();
    let core = sources("core/src", &[".rs"]);
    wrong.extend(core.iter().filter(|source| module_of(source) != "sys").flat_map(unsafe_lines));
    for folder in ["bindings/python/src", "bindings/node/src"] {
        // The exceptions: lending bytes to the runtime without a copy, and waiting in the event loop of Node.
        let places = [
            "node/src/memory.rs",
            "node/src/text.rs",
            "node/src/poller.rs",
            "node/src/receiver.rs",
            "python/src/memory.rs",
            "python/src/shared/block.rs",
            "python/src/shared/memory.rs",
        ];
        let lifted = |source: &Source| places.iter().any(|place| source.path == format!("bindings/{place}"));
        let others = sources(folder, &[".rs"]).into_iter().filter(|source| !lifted(source));
        wrong.extend(others.flat_map(|source| unsafe_lines(&source)));
        let root = read_source(&format!("{folder}/lib.rs"));
        assert!(root.text.contains("#![deny(unsafe_code)]"), "{} does not deny unsafe code", root.path);
    }
    assert!(wrong.is_empty(), "unsafe code outside core/src/sys:\n{}", wrong.join("\n"));
    assert!(read_source("core/src/lib.rs").text.contains("#![deny(unsafe_code)]"), "the core does not deny unsafe code");
    let lifted: Vec<&str> = core.iter().filter(|source| source.text.contains("allow(unsafe_code")).map(|source| source.path.as_str()).collect();
    assert!(lifted.iter().all(|path| path.starts_with("core/src/sys")), "the denial is lifted outside sys: {lifted:?}");
}

fn unsafe_lines(source: &Source) -> Vec<String> {
    let uses_it = |line: &str| has_word(line, "unsafe") && !line.contains("unsafe_code");
    source.code_lines().filter(|(_, line)| uses_it(line)).map(|(number, line)| format!("{}: {}", source.at(number), line.trim())).collect()
}

/// Whether the lines above an unsafe block say why: comments and attributes may stand between.
fn has_reason(lines: &[&str], index: usize) -> bool {
    let above = lines[..index].iter().rev().take_while(|line| {
        let line = line.trim();
        line.starts_with("//") || line.starts_with('#') || line.ends_with('=') || line.ends_with('(')
    });
    lines[index].contains("// SAFETY:") || above.into_iter().any(|line| line.contains("// SAFETY:"))
}

#[test]
fn every_unsafe_block_says_why() {
    let mut wrong = Vec::new();
    for source in ["core/src", "ffi/src", "bindings/python/src", "bindings/node/src", "tests/src"].iter().flat_map(|folder| sources(folder, &[".rs"]))
    {
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in source.code_lines() {
            let opens = line.contains("unsafe {") || line.trim_start().starts_with("unsafe impl");
            if opens && !has_reason(&lines, number - 1) {
                wrong.push(format!("{}: {}", source.at(number), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "unsafe blocks without a // SAFETY: reason:\n{}", wrong.join("\n"));
}

#[test]
fn ffi_turns_pointers_into_references_in_one_file() {
    let mut wrong = Vec::new();
    for source in sources("ffi/src", &[".rs"]).iter().filter(|source| !source.path.ends_with("/ptr.rs")) {
        for (number, line) in source.code_lines() {
            let makes = ["from_raw_parts", "CStr::from_ptr", ".as_ref()", ".as_mut()", "&*", "&mut *", ".read()", ".write("];
            if line.contains("unsafe {") && makes.iter().any(|call| line.contains(call)) {
                wrong.push(format!("{}: {}", source.at(number), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "pointers of C are dereferenced outside ffi/src/ptr.rs:\n{}", wrong.join("\n"));
}

/// The calls that the head of `sys/child.rs` lists.
fn listed_calls(source: &Source) -> BTreeSet<String> {
    let head: String = source.text.lines().take_while(|line| line.starts_with("//!")).map(|line| &line[3..]).collect();
    let from = head.find("System calls made here").expect("the head of sys/child.rs lists its calls");
    let list = head[from..].split_once(':').expect("a list after a colon").1;
    let list = list.split_once(". ").map_or(list, |(list, _)| list);
    let words = list.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'));
    let is_call = |word: &&str| !word.is_empty() && *word != "or" && !word.contains('.') && !word.chars().any(|c| c.is_ascii_uppercase());
    words.filter(is_call).map(str::to_owned).collect()
}

/// What runs between clone and exec.
fn child_sources() -> Vec<Source> {
    let mut all = sources("core/src/sys/child", &[".rs"]);
    all.push(read_source("core/src/sys/child.rs"));
    all
}

#[test]
fn the_child_makes_the_calls_it_lists_and_no_other() {
    let mut made = BTreeSet::new();
    for source in child_sources() {
        made.extend(source.code_lines().flat_map(|(_, line)| mentioned(line, "libc::SYS_")).collect::<Vec<_>>());
    }
    assert_eq!(made, listed_calls(&read_source("core/src/sys/child.rs")), "calls made (left) and listed in the head of sys/child.rs (right) differ");
}

#[test]
fn the_child_cannot_allocate_lock_or_panic() {
    let forbidden = [
        "Vec",
        "Box",
        "String",
        "format!",
        "println!",
        "eprintln!",
        "panic!",
        "assert!",
        "assert_eq!",
        ".unwrap()",
        ".expect(",
        "Mutex",
        "Rc::",
        "Arc::",
        "to_owned",
        "to_vec",
        "collect",
        "std::",
    ];
    let mut found = Vec::new();
    for source in child_sources() {
        let code = source.code_lines().take_while(|(_, line)| !line.contains("#[cfg(test)]"));
        let bad = code.filter(|(_, line)| forbidden.iter().any(|word| line.split("//").next().unwrap_or_default().contains(word)));
        found.extend(bad.map(|(number, line)| format!("{}: {}", source.at(number), line.trim())));
    }
    assert!(found.is_empty(), "between clone and exec nothing may allocate, lock, format or panic:\n{}", found.join("\n"));
}

#[test]
fn bindings_and_examples_stay_above_the_public_interface() {
    for (folder, forbidden) in [
        ("ffi/src", ["nix", "procs_python", "procs_node"]),
        ("bindings/python/src", ["nix", "procs_ffi", "procs_node"]),
        ("bindings/node/src", ["nix", "procs_ffi", "procs_python"]),
        ("examples", ["nix", "libc", "procs_ffi"]),
    ] {
        for source in sources(folder, &[".rs"]) {
            for (number, line) in source.code_lines() {
                let found = forbidden.iter().find(|name| !mentioned(line, &format!("{name}::")).is_empty());
                assert!(found.is_none(), "{}: {}", source.at(number), line.trim());
            }
        }
    }
}
