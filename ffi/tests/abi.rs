//! The binary interface is what `abi-0.1.txt` says, or more: functions, enumerators and fields at the ends of sized structures may be added;
//! nothing that is there changes or goes. `PROCS_UPDATE_ABI=1` writes the file anew, with what was added; what it refuses needs a new ABI number.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Words in one line, however the header breaks and aligns them.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The header without comments, preprocessor lines and the guards of C++.
fn declarations(header: &str) -> String {
    let mut text = String::new();
    let mut rest = header;
    while let Some((before, comment)) = rest.split_once("/*") {
        text += before;
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    text += rest;
    let code = |line: &&str| !line.trim_start().starts_with("//") && !line.trim_start().starts_with('#') && !line.contains("extern \"C\"");
    text.lines().filter(code).collect::<Vec<_>>().join("\n")
}

/// One entry of the interface by its name: a function's signature, an enumerator's number, a structure's size, a field's place and type.
type Abi = BTreeMap<String, String>;

/// The text part: names and types as the header has them. Sizes and offsets are asked of a compiler.
fn read_header(header: &str) -> (Abi, Vec<(String, Vec<String>)>) {
    let mut abi = Abi::new();
    let mut structs = Vec::new();
    for item in items(&declarations(header)) {
        let item = squeezed(&item);
        if let Some(body) = item.strip_prefix("typedef struct ").filter(|_| item.contains('{')) {
            let (name, rest) = body.split_once(" {").expect("a structure has a body");
            let fields: Vec<String> =
                rest.split_once('}').map_or("", |(fields, _)| fields).split(';').map(squeezed).filter(|f| !f.is_empty()).collect();
            structs.push((name.to_owned(), fields));
        } else if item.starts_with("typedef enum ") {
            let values = item.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(values, _)| values);
            for value in values.split(',').map(squeezed).filter(|value| !value.is_empty()) {
                let (name, number) = value.split_once(" = ").unwrap_or_else(|| panic!("an enumerator without a number: {value}"));
                abi.insert(format!("value {name}"), number.to_owned());
            }
        } else if let Some(pointer) = item.strip_prefix("typedef ").filter(|item| item.contains("(*")) {
            let name = pointer.split_once("(*").and_then(|(_, rest)| rest.split_once(')')).expect("a pointer to a function has a name").0;
            abi.insert(format!("callback {name}"), pointer.to_owned());
        } else if !item.starts_with("typedef") && item.contains('(') {
            let name = item.split('(').next().and_then(|start| start.rsplit([' ', '*']).next()).expect("a function has a name");
            abi.insert(format!("function {name}"), item.clone());
        }
    }
    (abi, structs)
}

/// What ends with a semicolon outside braces.
fn items(text: &str) -> Vec<String> {
    let (mut items, mut item, mut depth) = (Vec::new(), String::new(), 0);
    for letter in text.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ';' if depth == 0 => {
                items.push(std::mem::take(&mut item));
                continue;
            }
            _ => {}
        }
        item.push(letter);
    }
    items
}

fn name_of(field: &str) -> &str {
    field.rsplit([' ', '*']).next().and_then(|name| name.split('[').next()).expect("a field has a name")
}

/// Sizes and offsets, as a C compiler lays the structures out; and the numbers of macros.
fn ask_the_compiler(structs: &[(String, Vec<String>)], macros: &[String]) -> Abi {
    let mut program = String::from("#include <stdio.h>\n#include <procs.h>\nint main(void) {\n");
    for (name, fields) in structs {
        program += &format!("printf(\"struct {name}\\t%zu bytes\\n\", sizeof({name}));\n");
        for field in fields {
            let field_name = name_of(field);
            program += &format!(
                "printf(\"field {name}.{field_name}\\tat %zu, %zu bytes: {field}\\n\", offsetof({name}, {field_name}), sizeof((({name} *)0)->{field_name}));\n"
            );
        }
    }
    for name in macros {
        program += &format!("printf(\"macro {name}\\t%lld\\n\", (long long)({name}));\n");
    }
    program += "return 0;\n}\n";
    let base = std::env::temp_dir().join(format!("procs-abi-{}", std::process::id()));
    let (source, binary) = (base.with_extension("c"), base.with_extension("out"));
    std::fs::write(&source, program).expect("the program is written");
    let compiled = Command::new("cc").args(["-std=c11", "-I"]).arg(folder().join("../include")).arg(&source).arg("-o").arg(&binary).status();
    assert!(compiled.expect("cc is needed").success(), "the program about the layout does not compile");
    let output = Command::new(&binary).output().expect("it runs");
    [source, binary].iter().for_each(|file| drop(std::fs::remove_file(file)));
    let text = String::from_utf8(output.stdout).expect("it prints text");
    text.lines().filter_map(|line| line.split_once('\t')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn macros(header: &str) -> Vec<String> {
    let defined = header.lines().filter_map(|line| line.strip_prefix("#define PROCS_")).filter_map(|rest| rest.split_once(' '));
    // The version is what changes.
    defined.map(|(name, _)| format!("PROCS_{name}")).filter(|name| !name.contains("VERSION")).collect()
}

fn header() -> String {
    std::fs::read_to_string(folder().join("../include/procs.h")).expect("the header is there")
}

fn interface() -> Abi {
    let header = header();
    let (mut abi, structs) = read_header(&header);
    abi.extend(ask_the_compiler(&structs, &macros(&header)));
    abi
}

fn snapshot_file() -> PathBuf {
    folder().join("abi-0.1.txt")
}

fn parse(text: &str) -> Abi {
    text.lines().filter_map(|line| line.split_once('\t')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Structures that begin with their size may grow.
fn may_grow(abi: &Abi, entry: &str) -> bool {
    entry.strip_prefix("struct ").is_some_and(|name| abi.get(&format!("field {name}.size")).is_some_and(|field| field.starts_with("at 0,")))
}

fn bytes(value: &str) -> u64 {
    value.split(' ').next().and_then(|number| number.parse().ok()).expect("a size")
}

/// What programs that were built before would trip over.
fn broken(before: &Abi, now: &Abi) -> Vec<String> {
    let check = |(name, old): (&String, &String)| match now.get(name) {
        None => Some(format!("{name} is gone ({old})")),
        Some(new) if new == old => None,
        Some(new) if may_grow(now, name) && bytes(new) > bytes(old) => None,
        Some(new) => Some(format!("{name} was `{old}` and is `{new}`")),
    };
    before.iter().filter_map(check).collect()
}

#[test]
fn nothing_of_the_interface_changed_or_went() {
    let now = interface();
    let file = snapshot_file();
    let before = parse(&std::fs::read_to_string(&file).unwrap_or_default());
    assert_eq!(broken(&before, &now), Vec::<String>::new(), "a new ABI number is needed: see ffi/build.rs and CONTRIBUTING.md");
    if std::env::var_os("PROCS_UPDATE_ABI").is_some_and(|value| value == "1") {
        let text: String = now.iter().map(|(name, value)| format!("{name}\t{value}\n")).collect();
        std::fs::write(&file, text).expect("the snapshot is written");
    }
    assert!(before.len() > 500, "the snapshot is missing or cut");
}

#[test]
fn every_exported_function_has_its_signature() {
    let (now, _) = read_header(&header());
    let listed = std::fs::read_to_string(folder().join("symbols.txt")).expect("symbols.txt is there");
    let missing: Vec<&str> = listed.lines().filter(|name| !now.contains_key(&format!("function {name}"))).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn breaks_are_told_from_additions() {
    let before = parse(
        "function f\tint f(void)\nstruct s\t16 bytes\nfield s.size\tat 0, 8 bytes: size_t size\nfield s.a\tat 8, 8 bytes: long a\nvalue V\t1\n",
    );
    let with = |name: &str, value: &str| {
        let mut now = before.clone();
        now.insert(name.to_owned(), value.to_owned());
        broken(&before, &now)
    };
    assert_eq!(with("function g", "int g(void)"), Vec::<String>::new());
    assert_eq!(with("struct s", "24 bytes"), Vec::<String>::new());
    assert_eq!(with("struct s", "8 bytes").len(), 1);
    assert_eq!(with("function f", "int f(int a)").len(), 1);
    assert_eq!(with("field s.a", "at 12, 4 bytes: int a").len(), 1);
    assert_eq!(with("value V", "2").len(), 1);
    let mut now = before.clone();
    now.remove("function f");
    assert_eq!(broken(&before, &now), ["function f is gone (int f(void))"]);
}
