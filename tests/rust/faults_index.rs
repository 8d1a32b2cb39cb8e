//! `docs/faults.md` names tests that exist: what a table's column of tests says is looked up in the suites of the four languages.

use procs_tests::{Source, read_source, root, sources};

/// Every file that may hold a test, and each function of them as path and name.
struct Suites {
    files: Vec<Source>,
    functions: Vec<(String, String)>,
}

impl Suites {
    fn read() -> Suites {
        let places: [(&str, &[&str]); 6] = [
            ("tests", &[".rs", ".c"]),
            ("core/src", &[".rs"]),
            ("ffi", &[".rs", ".txt"]),
            ("bindings/python/tests", &[".py"]),
            ("bindings/node/test", &[".cjs"]),
            ("docs", &["memory.md"]),
        ];
        let files: Vec<Source> = places.into_iter().flat_map(|(folder, endings)| sources(folder, endings)).collect();
        let names = |source: &Source| source.text.lines().filter_map(function_name).map(str::to_owned).collect::<Vec<_>>();
        let functions = files.iter().flat_map(|source| names(source).into_iter().map(|name| (source.path.clone(), name))).collect();
        Suites { files, functions }
    }

    /// The file of this name, with as much of its path as is given.
    fn file(&self, name: &str) -> Option<&Source> {
        self.files.iter().find(|source| source.path == name || source.path.ends_with(&format!("/{name}")))
    }

    /// Whether a test function of this name is there, in this file if one is named. `…` stands for the rest of a name.
    fn has_function(&self, name: &str, file: Option<&str>) -> bool {
        let parts: Vec<&str> = name.split('…').collect();
        let matches = |found: &str| match parts[..] {
            [whole] => found == whole,
            [start, ""] => found.starts_with(start),
            ["", middle, ""] => found.contains(middle),
            _ => false,
        };
        self.functions.iter().any(|(path, found)| file.is_none_or(|file| path.ends_with(file)) && matches(found))
    }

    /// Whether a row of the C suite is in this program's list.
    fn has_row(&self, row: &str, program: &str) -> bool {
        self.file(&format!("{program}.c")).is_some_and(|source| source.text.contains(&format!("ROW({row}, ")))
    }

    /// Whether a test of Node's suite has a title that begins so.
    fn has_title(&self, start: &str, file: &str) -> bool {
        let begins = |line: &str| {
            let call = line.trim_start().trim_start_matches("await ").trim_start_matches("t.");
            let title = call.strip_prefix("test(").map(|rest| &rest[1..]);
            title.is_some_and(|title| title.starts_with(start))
        };
        self.file(file).is_some_and(|source| source.text.lines().any(begins))
    }
}

fn function_name(line: &str) -> Option<&str> {
    let line = line.trim_start().trim_start_matches("pub ").trim_start_matches("async ");
    let rest = line.strip_prefix("fn ").or_else(|| line.strip_prefix("def "))?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

/// One row of a table: the section that it is in, what the column of tests says, and the line.
struct Entry {
    section: String,
    tests: String,
    line: usize,
}

/// The rows of all tables with a column of tests.
fn entries(text: &str) -> Vec<Entry> {
    let (mut section, mut column, mut found) = (String::new(), None, Vec::new());
    for (index, line) in text.lines().enumerate() {
        if let Some(heading) = line.strip_prefix("## ") {
            (section, column) = (heading.to_owned(), None);
        }
        let Some(row) = line.strip_prefix("| ") else { continue };
        let cells: Vec<&str> = row.trim_end_matches('|').split(" | ").map(str::trim).collect();
        let heading = cells.iter().position(|cell| matches!(*cell, "Test" | "Tests" | "File, rows"));
        match column {
            _ if heading.is_some() => column = heading,
            Some(column) => found.push(Entry { section: section.clone(), tests: cells[column].to_owned(), line: index + 1 }),
            None => {}
        }
    }
    found
}

/// The words between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn is_file(name: &str) -> bool {
    [".rs", ".c", ".py", ".cjs", ".txt"].iter().any(|ending| name.ends_with(ending))
}

/// What is named in Rust's and Python's tables: files, functions, both joined by `::`, and scenarios.
fn missing_functions(suites: &Suites, entry: &Entry) -> Vec<String> {
    let is_there = |name: &&str| match name.rsplit_once("::") {
        _ if is_file(name) => suites.file(name).is_some(),
        Some((file, function)) if is_file(file) => suites.file(file).is_some() && suites.has_function(function, Some(file)),
        Some((_, function)) => suites.has_function(function, None),
        None if entry.tests.contains("scenario `") => root().join(format!("tests/scenarios/{name}.txt")).is_file(),
        None => suites.has_function(name, None),
    };
    // An attribute and a type, named beside the tests.
    let others = ["compile_fail", "SharedMutex"];
    quoted(&entry.tests).filter(|name| !others.contains(name) && !is_there(name)).map(str::to_owned).collect()
}

/// What is named in the table of the C suite: rows of the program that was named last.
fn missing_rows(suites: &Suites, entry: &Entry, program: &mut String) -> Vec<String> {
    if let Some(name) = quoted(&entry.tests).find(|name| !is_file(name)) {
        *program = name.to_owned();
    }
    let files = quoted(&entry.tests).filter(|name| is_file(name) && suites.file(name).is_none()).map(str::to_owned);
    let plain = entry.tests.split('`').step_by(2).flat_map(|text| text.split(|c: char| !c.is_alphanumeric() && c != '_'));
    let is_row = |word: &&str| word.starts_with(['a', 'b', 'c']) && word[1..].starts_with(|c: char| c.is_ascii_digit());
    files.chain(plain.filter(is_row).filter(|row| !suites.has_row(row, program)).map(str::to_owned)).collect()
}

/// What is named in Node's tables: beginnings of titles, in the section's file or in one that is named before them.
fn missing_titles(suites: &Suites, entry: &Entry, file: &str) -> Vec<String> {
    let (mut missing, mut file) = (Vec::new(), file.to_owned());
    for part in entry.tests.replace("…, ", "…; ").split("; ") {
        if let Some(named) = quoted(part).find(|name| is_file(name)) {
            file = named.to_owned();
        }
        let title = part.rsplit("`: ").next().unwrap_or(part).split(['…', '(', '`']).next().unwrap_or_default().trim();
        if !suites.has_title(title, &file) {
            missing.push(format!("{file}: {title}"));
        }
    }
    missing
}

#[test]
fn every_named_test_exists() {
    let suites = Suites::read();
    let mut program = String::new();
    let mut wrong = Vec::new();
    let entries = entries(&read_source("docs/faults.md").text);
    for entry in &entries {
        let missing = match entry.section.as_str() {
            "A, B and C from C" => missing_rows(&suites, entry, &mut program),
            "C and H from Node" => missing_titles(&suites, entry, "faults.test.cjs"),
            section if section.contains("from Node") => missing_titles(&suites, entry, "channel-faults.test.cjs"),
            _ => missing_functions(&suites, entry),
        };
        wrong.extend(missing.into_iter().map(|name| format!("docs/faults.md:{}: {name}", entry.line)));
    }
    assert!(entries.len() > 200, "only {} rows were read: is this test still looking at the right columns?", entries.len());
    assert!(wrong.is_empty(), "tests that do not exist:\n{}", wrong.join("\n"));
}
