//! Reading the project's own sources, for the tests of its rules.

use crate::workspace::root;
use std::fs;
use std::path::{Path, PathBuf};

/// One source file: its path from the root of the workspace, and its text.
pub struct Source {
    /// Such as `core/src/sys/child.rs`.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl Source {
    /// The lines that hold code, numbered from 1: without comments that fill a line.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//") && !line.trim().is_empty())
    }

    /// `path:line`, for messages.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

/// Folders that hold nothing written by hand.
const SKIPPED: [&str; 6] = ["target", "node_modules", ".git", ".venv", "__pycache__", "peers"];

/// One file, by its path from the root of the workspace.
pub fn read_source(path: &str) -> Source {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    Source { path: path.to_owned(), text }
}

/// All files below a folder of the workspace whose name ends with one of these, sorted. Fails when there is none.
pub fn sources(folder: &str, endings: &[&str]) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root().join(folder), endings, &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "no {endings:?} below {folder}");
    let relative = |path: &PathBuf| path.strip_prefix(root()).expect("collected below the root").to_string_lossy().into_owned();
    paths.iter().map(|path| read_source(&relative(path))).collect()
}

fn collect(folder: &Path, endings: &[&str], paths: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let kind = entry.file_type().expect("type of a listed file");
        if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
            collect(&path, endings, paths);
        } else if kind.is_file() && endings.iter().any(|ending| name.ends_with(ending)) {
            paths.push(path);
        }
    }
}

/// Whether the text has this word, not as part of a longer one.
pub fn has_word(text: &str, word: &str) -> bool {
    let is_part = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word).any(|(at, _)| !is_part(text[..at].chars().next_back()) && !is_part(text[at + word.len()..].chars().next()))
}
