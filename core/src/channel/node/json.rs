//! Looks over one JSON text without building it: is it JSON, how deep, and which members of Node's protocol are at its top.
//!
//! A decoder above must never meet text that is not JSON, and reserved messages must be told from a user's before anybody decodes them. Unlike
//! a parser this accepts lone surrogates in escapes, because JavaScript writes them.

use std::ops::Range;

/// Levels of arrays and objects that are let through. Decoders above recurse; this keeps their stacks safe.
pub(crate) const MAX_DEPTH: usize = 1024;

/// Why a text was refused, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) offset: usize,
    pub(crate) why: &'static str,
}

/// Where the members that Node's protocol uses lie in the text of an object; of a key that comes twice the last, as in JavaScript.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Members {
    pub(crate) cmd: Option<Range<usize>>,
    pub(crate) kind: Option<Range<usize>>,
    pub(crate) msg: Option<Range<usize>>,
    pub(crate) key: Option<Range<usize>>,
    /// A member `cmd` was reserved, even if a later one is not: a sender's text is refused for any of them.
    pub(crate) ever_reserved: bool,
}

impl Members {
    /// The rule of Node: `cmd` is a string that starts with `NODE_` and is longer.
    pub(crate) fn is_reserved(&self, text: &[u8]) -> bool {
        self.cmd.as_ref().is_some_and(|range| is_reserved(&text[range.clone()]))
    }

    fn put(&mut self, name: Name, text: &[u8], range: Range<usize>) {
        match name {
            Name::Cmd => {
                self.ever_reserved |= is_reserved(&text[range.clone()]);
                self.cmd = Some(range);
            }
            Name::Kind => self.kind = Some(range),
            Name::Msg => self.msg = Some(range),
            Name::Key => self.key = Some(range),
            Name::Other => {}
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Cmd,
    Kind,
    Msg,
    Key,
    Other,
}

/// Whether this JSON value is a string that stands for `NODE_` and more.
fn is_reserved(value: &[u8]) -> bool {
    let mut characters = Characters::of(value);
    b"NODE_".iter().all(|want| characters.next() == Some(u32::from(*want))) && characters.next().is_some()
}

/// Whether this JSON value is a string that stands for `text`, which is ASCII.
pub(crate) fn is_text(value: &[u8], text: &str) -> bool {
    let mut characters = Characters::of(value);
    text.bytes().all(|want| characters.next() == Some(u32::from(want))) && characters.next().is_none()
}

/// The UTF-16 units or ASCII characters of a JSON string; what is not ASCII comes as its bytes. Nothing for a value that is no string.
struct Characters<'a>(&'a [u8]);

impl<'a> Characters<'a> {
    fn of(value: &'a [u8]) -> Characters<'a> {
        match value {
            [b'"', inner @ .., b'"'] => Characters(inner),
            _ => Characters(&[]),
        }
    }
}

impl Iterator for Characters<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (character, rest) = match self.0 {
            [] => return None,
            [b'\\', b'u', digits @ ..] if digits.len() >= 4 => {
                let hex = std::str::from_utf8(&digits[..4]).ok().and_then(|hex| u32::from_str_radix(hex, 16).ok());
                (hex?, &digits[4..])
            }
            [b'\\', escaped, rest @ ..] => (u32::from(*escaped), rest),
            [byte, rest @ ..] => (u32::from(*byte), rest),
        };
        self.0 = rest;
        Some(character)
    }
}

/// Checks that `text` is one JSON value of at most `max_depth` levels (and at most [`MAX_DEPTH`]).
pub(crate) fn scan(text: &[u8], max_depth: usize) -> Result<Members, Fault> {
    if let Err(error) = std::str::from_utf8(text) {
        return Err(Fault { offset: error.valid_up_to(), why: "text is not UTF-8" });
    }
    Scanner { text, at: 0, depth: 0, max_depth: max_depth.min(MAX_DEPTH), objects: [0; MAX_DEPTH / 64], members: Members::default() }.run()
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    max_depth: usize,
    /// A bit for each open level: set for an object.
    objects: [u64; MAX_DEPTH / 64],
    members: Members,
}

impl Scanner<'_> {
    fn run(mut self) -> Result<Members, Fault> {
        // The member of the outermost object whose value is being read, and where that began.
        let mut open: (Name, usize) = (Name::Other, 0);
        loop {
            self.space();
            if self.depth <= 1 {
                open.1 = self.at;
            }
            if self.value()? {
                // Something was opened and has a first element.
                self.key_of_member(&mut open)?;
                continue;
            }
            loop {
                if self.depth == 1 && self.in_object() {
                    self.members.put(open.0, self.text, open.1..self.at);
                }
                self.space();
                if self.depth == 0 {
                    return if self.at == self.text.len() { Ok(self.members) } else { Err(self.fault("text after the value")) };
                }
                match (self.peek(), self.in_object()) {
                    (Some(b','), _) => {
                        self.at += 1;
                        break;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        self.at += 1;
                        self.depth -= 1;
                    }
                    _ => return Err(self.fault("a comma or the end of an array or object is missing")),
                }
            }
            self.key_of_member(&mut open)?;
        }
    }

    /// Reads a value that has no parts and gives false, or opens an array or object and gives true; an empty one is read to its end.
    fn value(&mut self) -> Result<bool, Fault> {
        match self.peek() {
            Some(b'"') => self.string().map(|()| false),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| false),
            Some(b't') => self.word(b"true").map(|()| false),
            Some(b'f') => self.word(b"false").map(|()| false),
            Some(b'n') => self.word(b"null").map(|()| false),
            Some(bracket @ (b'{' | b'[')) => {
                if self.depth == self.max_depth {
                    return Err(self.fault("too many levels"));
                }
                self.at += 1;
                self.space();
                // The closing brackets are two characters after the opening ones.
                if self.peek() == Some(bracket + 2) {
                    self.at += 1;
                    return Ok(false);
                }
                let bit = 1 << (self.depth % 64);
                let word = &mut self.objects[self.depth / 64];
                *word = if bracket == b'{' { *word | bit } else { *word & !bit };
                self.depth += 1;
                Ok(true)
            }
            _ => Err(self.fault("a value is missing")),
        }
    }

    /// In an object, reads the key of the next member and the colon.
    fn key_of_member(&mut self, open: &mut (Name, usize)) -> Result<(), Fault> {
        if !self.in_object() {
            return Ok(());
        }
        self.space();
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.fault("a key is missing"));
        }
        self.string()?;
        if self.depth == 1 {
            open.0 = self.name(start..self.at);
        }
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.fault("a colon is missing"));
        }
        self.at += 1;
        Ok(())
    }

    fn name(&self, range: Range<usize>) -> Name {
        let raw = &self.text[range];
        // Long keys are none of ours, however they are escaped: six characters for each letter and the quotes.
        if raw.len() > 6 * 4 + 2 {
            return Name::Other;
        }
        [("cmd", Name::Cmd), ("type", Name::Kind), ("msg", Name::Msg), ("key", Name::Key)]
            .into_iter()
            .find(|(text, _)| is_text(raw, text))
            .map_or(Name::Other, |(_, name)| name)
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            let rest = &self.text[self.at..];
            let Some(plain) = memchr::memchr2(b'"', b'\\', rest) else { return Err(self.fault("a string has no end")) };
            if let Some(bad) = rest[..plain].iter().position(|byte| *byte < 0x20) {
                self.at += bad;
                return Err(self.fault("a control character in a string"));
            }
            self.at += plain + 1;
            if rest[plain] == b'"' {
                return Ok(());
            }
            match self.peek() {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
                Some(b'u') if self.text.get(self.at + 1..self.at + 5).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) => self.at += 5,
                _ => return Err(self.fault("not an escape")),
            }
        }
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let count = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(self.fault("a digit is missing")) } else { Ok(()) }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.fault("a value is missing"));
        }
        self.at += word.len();
        Ok(())
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn in_object(&self) -> bool {
        self.depth > 0 && self.objects[(self.depth - 1) / 64] & 1 << ((self.depth - 1) % 64) != 0
    }

    fn fault(&self, why: &'static str) -> Fault {
        Fault { offset: self.at, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part<'a>(text: &'a str, range: Option<&Range<usize>>) -> Option<&'a str> {
        range.map(|range| &text[range.clone()])
    }

    #[test]
    fn members_at_the_top_are_found() -> Result<(), Fault> {
        let text = r#" {"x":{"cmd":"NODE_HANDLE"}, "cmd" : "NODE_HANDLE" ,"type":"net.Socket","msg": [1,{"key":"no"}] ,"key":"4:::80"}"#;
        let members = scan(text.as_bytes(), MAX_DEPTH)?;
        assert_eq!(part(text, members.cmd.as_ref()), Some("\"NODE_HANDLE\""));
        assert_eq!(part(text, members.kind.as_ref()), Some("\"net.Socket\""));
        assert_eq!(part(text, members.msg.as_ref()), Some(r#"[1,{"key":"no"}]"#));
        assert_eq!(part(text, members.key.as_ref()), Some("\"4:::80\""));
        assert!(members.is_reserved(text.as_bytes()));
        for plain in
            [r#"["cmd","NODE_HANDLE"]"#, r#"[{"cmd":"NODE_HANDLE"}]"#, r#""NODE_HANDLE""#, r#"{"cmd":["NODE_X"]}"#, r#"{"cmd":{"cmd":"NODE_X"}}"#]
        {
            assert!(!scan(plain.as_bytes(), MAX_DEPTH)?.is_reserved(plain.as_bytes()), "{plain}");
        }
        Ok(())
    }

    /// The rule of Node: longer than the prefix, a string, the last of several; escapes hide nothing.
    #[test]
    fn what_is_reserved() -> Result<(), Fault> {
        let cases = [
            (r#"{"cmd":"NODE_"}"#, false),
            (r#"{"cmd":"NODE_x"}"#, true),
            (r#"{"cmd":"node_x"}"#, false),
            (r#"{"cmd":"XNODE_x"}"#, false),
            (r#"{"cmd":5}"#, false),
            (r#"{"CMD":"NODE_x"}"#, false),
            (r#"{"c\u006dd":"\u004eODE\u005f\ud800"}"#, true),
            (r#"{"cmd":"NODE_x","cmd":"mine"}"#, false),
            (r#"{"cmd":"mine","cmd":"NODE_x"}"#, true),
        ];
        for (text, reserved) in cases {
            assert_eq!(scan(text.as_bytes(), MAX_DEPTH)?.is_reserved(text.as_bytes()), reserved, "{text}");
        }
        assert!(scan(br#"{"cmd":"NODE_x","cmd":"mine"}"#, MAX_DEPTH)?.ever_reserved);
        Ok(())
    }

    /// Everything that serde_json takes is taken and the rest refused, lone surrogates and duplicate keys apart.
    #[test]
    fn agrees_with_a_parser() {
        let seeds = [
            r#"{"a":[1,-2.5e+3,0,-0,1E9,true,false,null,"x\n\u00e9 \\ \" é"],"b":{},"c":[[],[[]]]}"#,
            r#"["",{"":""},123456789012345678901234567890,0.1,"\ud83d\ude00"]"#,
            "  \"text\"\t",
            "-17",
        ];
        let mut tried = 0;
        for seed in seeds {
            for at in 0..seed.len() {
                for put in [&b""[..], b"\"", b"\\", b",", b"}", b"]", b"{", b"[", b"0", b"e", b".", b"-", b":", b" ", b"\n", b"\x01", b"n", b"u12"] {
                    for cut in 0..2 {
                        let mut text = seed.as_bytes()[..at].to_vec();
                        text.extend_from_slice(put);
                        text.extend_from_slice(&seed.as_bytes()[(at + cut).min(seed.len())..]);
                        let parsed = serde_json::from_slice::<serde_json::Value>(&text);
                        let surrogate =
                            parsed.as_ref().is_err_and(|error| error.to_string().contains("surrogate") || error.to_string().contains("hex escape"));
                        let range = parsed.as_ref().is_err_and(|error| error.to_string().contains("out of range"));
                        if !surrogate && !range {
                            assert_eq!(scan(&text, MAX_DEPTH).is_ok(), parsed.is_ok(), "{} {parsed:?}", String::from_utf8_lossy(&text));
                            tried += 1;
                        }
                    }
                }
            }
        }
        assert!(tried > 4000, "{tried}");
    }

    /// D16: depth, bytes that are not UTF-8.
    #[test]
    fn limits() {
        let nest = |levels: usize| [vec![b'['; levels], vec![b']'; levels]].concat();
        assert!(scan(&nest(MAX_DEPTH), MAX_DEPTH).is_ok());
        assert_eq!(scan(&nest(MAX_DEPTH + 1), usize::MAX), Err(Fault { offset: MAX_DEPTH, why: "too many levels" }));
        assert_eq!(scan(&nest(100_000), 64), Err(Fault { offset: 64, why: "too many levels" }));
        let objects = "{\"a\":".repeat(MAX_DEPTH) + "1" + &"}".repeat(MAX_DEPTH);
        assert!(scan(objects.as_bytes(), MAX_DEPTH).is_ok());
        assert_eq!(scan(b"\"\xff\"", MAX_DEPTH), Err(Fault { offset: 1, why: "text is not UTF-8" }));
        assert!(scan(b"", MAX_DEPTH).is_err() && scan(b" ", MAX_DEPTH).is_err());
    }
}
