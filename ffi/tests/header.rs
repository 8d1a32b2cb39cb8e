//! `include/procs.h` is what the sources say, compiles everywhere without a warning, and explains every item.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn generate() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).expect("cbindgen.toml is read");
    let bindings = cbindgen::Builder::new().with_crate(folder).with_config(config).generate().expect("the header is generated");
    let mut header = Vec::new();
    bindings.write(&mut header);
    in_sections(&String::from_utf8(header).expect("the header is UTF-8"))
}

/// The chapters of the functions, each with what the names of its functions begin with; the longest beginning that fits decides.
const SECTIONS: &[(&str, &[&str])] = &[
    ("WHAT WENT WRONG", &["procs_last_error", "procs_strerror", "procs_err_name"]),
    ("RUN TO THE END", &["procs_run", "procs_output", "procs_spawn_options", "procs_last_error_take_output"]),
    ("CHILD", &["procs_spawn", "procs_child", "procs_stop_options"]),
    ("LINES", &["procs_lines"]),
    ("CAPTURE", &["procs_capture", "procs_child_capture"]),
    ("PIPELINE", &["procs_pipeline", "procs_last_error_take_pipeline_output"]),
    ("SEVERAL AT ONCE", &["procs_run_many", "procs_wait_any", "procs_stop_all", "procs_max_children", "procs_set_max_children"]),
    ("CANCEL", &["procs_cancel"]),
    ("SHARED MEMORY", &["procs_shm_"]),
    (
        "LOCKS IN SHARED MEMORY",
        &[
            "procs_shm_mutex",
            "procs_shm_rwlock",
            "procs_shm_semaphore",
            "procs_shm_event",
            "procs_shm_barrier",
            "procs_shm_once",
            "procs_shm_pending",
        ],
    ),
    ("COUNTERS IN SHARED MEMORY", &["procs_shm_counter", "procs_shm_histogram"]),
    ("ARENA", &["procs_shm_arena", "procs_shm_block"]),
    ("CHANNELS", &["procs_channel", "procs_child_channel"]),
    ("CALLS", &["procs_request", "procs_call_stream", "procs_channel_call", "procs_channel_next_request"]),
    ("MESSAGES", &["procs_message"]),
    ("VERSION, ENGINE, SIGNALS", &["procs_version", "procs_abi_version", "procs_engine", "procs_signal"]),
];

fn section(declaration: &str) -> usize {
    let fits = |prefixes: &[&str]| {
        let called = |prefix: &&&str| declaration.contains(&format!(" {prefix}")) || declaration.contains(&format!("*{prefix}"));
        prefixes.iter().filter(called).map(|prefix| prefix.len()).max().unwrap_or(0)
    };
    let best = (0..SECTIONS.len()).max_by_key(|&index| (fits(SECTIONS[index].1), usize::MAX - index));
    best.filter(|&index| fits(SECTIONS[index].1) > 0).unwrap_or_else(|| panic!("no section for: {declaration}"))
}

/// A declaration without the words `struct` and `enum`, which the typedefs make needless, broken where it is long.
fn one_declaration(lines: &[&str]) -> String {
    let joined = lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
    let short = joined.replace("struct procs_", "procs_").replace("enum procs_", "procs_").replace("( ", "(");
    let mut broken = String::new();
    let mut width = 0;
    for word in short.split_inclusive(", ") {
        if width + word.trim_end().len() > 140 && width > 0 {
            broken.truncate(broken.trim_end().len());
            broken += "\n    ";
            width = 4;
        }
        broken += word;
        width += word.len();
    }
    broken
}

/// Sorts the functions into chapters; the order within one is that of the sources.
fn in_sections(header: &str) -> String {
    const BEGIN: &str = "extern \"C\" {\n#endif // __cplusplus\n";
    const END: &str = "#ifdef __cplusplus\n}";
    let begin = header.find(BEGIN).expect("the functions begin") + BEGIN.len();
    let end = header.rfind(END).expect("the functions end");
    let mut chapters = vec![String::new(); SECTIONS.len()];
    for function in header[begin..end].split("\n\n").map(str::trim).filter(|function| !function.is_empty()) {
        let declaration: Vec<&str> = function.lines().filter(|line| !line.starts_with("//")).collect();
        let name = declaration[0].split('(').next().unwrap_or_default();
        let comment: String = function.lines().filter(|line| line.starts_with("//")).map(|line| format!("{line}\n")).collect();
        chapters[section(name)] += &format!("{comment}{}\n\n", one_declaration(&declaration));
    }
    let mut body = String::new();
    for ((title, _), chapter) in SECTIONS.iter().zip(chapters) {
        body += &format!("\n/* ---- {title} {} */\n\n{chapter}", "-".repeat(100 - title.len()));
    }
    format!("{}{body}{}", &header[..begin], &header[end..]).replace("\n\n\n", "\n\n")
}

#[test]
fn header_is_what_the_sources_say() {
    let path = root().join("include/procs.h");
    let generated = generate();
    if std::env::var_os("PROCS_UPDATE_HEADER").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(root().join("include")).expect("the folder is made");
        std::fs::write(&path, &generated).expect("the header is written");
    }
    let found = std::fs::read_to_string(&path).expect("include/procs.h is there");
    assert!(found == generated, "include/procs.h differs from ffi/src: run `make header` and look at the difference");
}

/// Compiles a program that includes the header, with this compiler and these flags.
fn compiles(compiler: &str, flags: &[&str]) {
    let folder = std::env::temp_dir().join(format!("procs-header-{}-{}", std::process::id(), flags.join("")));
    std::fs::create_dir_all(&folder).expect("the folder is made");
    let source = folder.join(if compiler == "c++" { "use.cpp" } else { "use.c" });
    let program =
        "#include <procs.h>\n#include <procs.h>\nint main(void) { procs_spawn_options o; return procs_spawn_options_init(&o, sizeof o); }\n";
    std::fs::write(&source, program).expect("the program is written");
    let output = Command::new(compiler)
        .args(flags)
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I"])
        .arg(root().join("include"))
        .arg(&source)
        .output()
        .unwrap_or_else(|error| panic!("{compiler} is needed: {error}"));
    std::fs::remove_dir_all(&folder).expect("the folder is removed");
    assert!(output.status.success(), "{compiler} {flags:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn header_compiles_as_c99() {
    compiles("cc", &["-std=c99"]);
}

#[test]
fn header_compiles_as_c11() {
    compiles("cc", &["-std=c11"]);
}

#[test]
fn header_compiles_as_cpp17() {
    compiles("c++", &["-std=c++17"]);
}

/// The declarations of the header without a comment directly above them.
fn undocumented(header: &str) -> Vec<&str> {
    let mut before = "";
    let mut missing = Vec::new();
    for line in header.lines() {
        let text = line.trim();
        let starts = text.contains("procs_") || text.contains("PROCS_");
        let declares = starts && !text.starts_with(['*', '/', '}']) && !text.starts_with("#if") && !text.starts_with("#define PROCS_H");
        // A continuation of the declaration above is inside its parentheses.
        let continues = before.contains('(') && !before.starts_with("//") && before.ends_with(['(', ',']) || line.starts_with("        ");
        let inside_guard = text.starts_with('#') && text.contains("PROCS_H");
        let forward = inside_guard || text.starts_with("typedef struct") && text.ends_with(';');
        if declares && !continues && !before.starts_with("//") && !forward {
            missing.push(line);
        }
        if !text.is_empty() {
            before = text;
        }
    }
    missing
}

#[test]
fn every_item_of_the_header_has_a_comment() {
    let header = std::fs::read_to_string(root().join("include/procs.h")).expect("include/procs.h is there");
    assert_eq!(undocumented(&header), Vec::<&str>::new());
    assert!(header.matches("//").count() > 250, "the comments went missing from the header");
}

#[test]
fn missing_comment_is_found() {
    assert_eq!(undocumented("// text\nint procs_a(void);\n\nint procs_b(void);\n"), ["int procs_b(void);"]);
}
