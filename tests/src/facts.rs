//! The fixed form in which runners print facts; `scenarios/README.md` is its description.

use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Facts in the order they were found, one a line.
#[derive(Debug, Default)]
pub struct Facts(String);

/// A SHA-256 sum in lower-case hex digits.
pub struct Sha(pub String);

impl Sha {
    /// The sum of these bytes.
    pub fn of(bytes: &[u8]) -> Sha {
        Sha(Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }))
    }
}

/// Text between quotes, escaped as in JSON; bytes that are not UTF-8 become U+FFFD.
pub fn json_text(bytes: &[u8]) -> String {
    let mut out = String::from('"');
    for character in String::from_utf8_lossy(bytes).chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", control as u32);
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

impl Facts {
    /// No facts yet.
    pub fn new() -> Facts {
        Facts::default()
    }

    /// A fact already in its form.
    pub fn line(&mut self, fact: impl AsRef<str>) {
        self.0.push_str(fact.as_ref());
        self.0.push('\n');
    }

    /// `NAME text="…"`, where `name` may carry an index.
    pub fn text(&mut self, name: &str, bytes: &[u8]) {
        self.line(format!("{name} text={}", json_text(bytes)));
    }

    /// `NAME bytes=… sha256=…`
    pub fn bytes(&mut self, name: &str, bytes: &[u8]) {
        self.line(format!("{name} bytes={} sha256={}", bytes.len(), Sha::of(bytes).0));
    }

    /// `flag NAME=VALUE`
    pub fn flag(&mut self, name: &str, value: impl std::fmt::Display) {
        self.line(format!("flag {name}={value}"));
    }

    /// All of them.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
