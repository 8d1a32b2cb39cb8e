//! Codecs: how a body is encoded, which of them a receiver takes, and JSON within limits.

use crate::error::{Error, ErrorKind, Result};
use serde_core::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::Cell;
use std::fmt;

/// How the body of a message is encoded. The number travels in each frame; the receiver decides which it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// Bytes as they are.
    #[default]
    Raw = 0,
    /// JSON text in UTF-8.
    Json = 1,
    /// Python's pickle: runs code of the sender when decoded, so only for children of one's own.
    Pickle = 2,
    /// The structured clone of V8 (Node).
    V8 = 3,
}

impl Codec {
    /// Every codec, in the order of the numbers on the wire.
    pub const ALL: &'static [Codec] = &[Codec::Raw, Codec::Json, Codec::Pickle, Codec::V8];

    /// The stable name, such as `"json"`.
    pub const fn name(self) -> &'static str {
        match self {
            Codec::Raw => "raw",
            Codec::Json => "json",
            Codec::Pickle => "pickle",
            Codec::V8 => "v8",
        }
    }

    /// The codec with this number on the wire.
    #[inline]
    pub fn from_number(number: u8) -> Option<Codec> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// A set of codecs: those that a receiver takes.
///
/// ```
/// use procs::{Codec, CodecSet};
/// let mine = CodecSet::default().with(Codec::Pickle);
/// assert!(mine.contains(Codec::Json) && mine.contains(Codec::Pickle) && !mine.contains(Codec::V8));
/// assert_eq!(mine.to_string(), "raw, json, pickle");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CodecSet(u32);

impl Default for CodecSet {
    /// Raw and JSON, which are safe to decode whoever wrote them.
    fn default() -> CodecSet {
        CodecSet(0).with(Codec::Raw).with(Codec::Json)
    }
}

impl CodecSet {
    /// Only this codec.
    pub const fn only(codec: Codec) -> CodecSet {
        CodecSet(1 << codec as u32)
    }

    /// The set with this codec too.
    #[must_use]
    pub const fn with(self, codec: Codec) -> CodecSet {
        CodecSet(self.0 | 1 << codec as u32)
    }

    /// Whether the codec is in the set.
    pub const fn contains(self, codec: Codec) -> bool {
        self.0 & 1 << codec as u32 != 0
    }

    /// Bit n stands for the codec with number n; bits of codecs of later versions are kept.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The set of these bits.
    pub const fn from_bits(bits: u32) -> CodecSet {
        CodecSet(bits)
    }
}

impl fmt::Display for CodecSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Codec::ALL.iter().filter(|codec| self.contains(**codec)).map(|codec| codec.name()).collect();
        f.write_str(&names.join(", "))
    }
}

impl fmt::Debug for CodecSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CodecSet({self})")
    }
}

/// Limits for JSON from a peer. A value takes up to 32 times its text in memory, so `values` bounds the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonLimits {
    /// Levels of arrays and objects; never more than 127.
    pub depth: usize,
    /// Bytes of text.
    pub bytes: usize,
    /// Values, keys not counted.
    pub values: usize,
}

impl Default for JsonLimits {
    /// For one's own processes: 127 levels, 1 GiB, 64 Mi values.
    fn default() -> JsonLimits {
        JsonLimits { depth: 127, bytes: 1 << 30, values: 64 << 20 }
    }
}

impl JsonLimits {
    /// For programs that are not trusted: 64 levels, 16 MiB, 65,536 values.
    pub const FOREIGN: JsonLimits = JsonLimits { depth: 64, bytes: 16 << 20, values: 65_536 };
}

/// Parses JSON, refusing what differs between parsers: a key twice in an object, text after the value.
pub(crate) fn parse_json(text: &[u8], limits: &JsonLimits) -> Result<Value> {
    let too_large = |what: &str, limit: usize| {
        Error::new(ErrorKind::TooLarge, "message.json", format!("the body has too many {what} (limit = {limit}, size = {} bytes)", text.len()))
    };
    if text.len() > limits.bytes {
        return Err(too_large("bytes", limits.bytes));
    }
    let budget = Budget { left: Cell::new(limits.values), depth: Cell::new(limits.depth), exceeded: Cell::new(None) };
    let mut parser = serde_json::Deserializer::from_slice(text);
    let parsed = One(&budget).deserialize(&mut parser).and_then(|value| parser.end().map(|()| value));
    parsed.map_err(|error| match budget.exceeded.get() {
        Some(Limit::Values) => too_large("values", limits.values),
        Some(Limit::Depth) => too_large("levels", limits.depth),
        None => Error::new(ErrorKind::Protocol, "message.json", format!("the body is not JSON: {error}")),
    })
}

#[derive(Clone, Copy)]
enum Limit {
    Values,
    Depth,
}

struct Budget {
    left: Cell<usize>,
    depth: Cell<usize>,
    exceeded: Cell<Option<Limit>>,
}

impl Budget {
    fn exceed<E: serde_core::de::Error>(&self, limit: Limit) -> E {
        self.exceeded.set(Some(limit));
        E::custom("limit exceeded")
    }

    fn enter<E: serde_core::de::Error>(&self) -> std::result::Result<(), E> {
        let left = self.depth.get().checked_sub(1).ok_or_else(|| self.exceed(Limit::Depth))?;
        self.depth.set(left);
        Ok(())
    }

    fn leave(&self) {
        self.depth.set(self.depth.get() + 1);
    }
}

/// Builds one value within the budget.
struct One<'a>(&'a Budget);

impl<'de> DeserializeSeed<'de> for One<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Value, D::Error> {
        let left = self.0.left.get().checked_sub(1).ok_or_else(|| self.0.exceed(Limit::Values))?;
        self.0.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for One<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde_core::de::Error>(self, value: f64) -> std::result::Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number is not finite"))
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> std::result::Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Value, A::Error> {
        self.0.enter()?;
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(One(self.0))? {
            values.push(value);
        }
        self.0.leave();
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<Value, A::Error> {
        self.0.enter()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<Key>()? {
            let value = entries.next_value_seed(One(self.0))?;
            if map.insert(key.0, value).is_some() {
                return Err(A::Error::custom("a key twice in one object"));
            }
        }
        self.0.leave();
        Ok(Value::Object(map))
    }
}

struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Key, D::Error> {
        String::deserialize(deserializer).map(Key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &[u8], limits: &JsonLimits) -> std::result::Result<Value, ErrorKind> {
        parse_json(text, limits).map_err(|error| error.kind())
    }

    #[test]
    fn same_values_as_serde_json() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let texts: [&[u8]; 8] = [
            b"null",
            b" [1, -2, 3.5, 1e300, true, false] ",
            br#"{"a": {"b": ["\u00e9\n", ""]}, "": 0}"#,
            b"18446744073709551615",
            b"-9223372036854775808",
            b"123456789012345678901234567890",
            b"[]",
            b"\"x\"",
        ];
        for text in texts {
            assert_eq!(parse_json(text, &JsonLimits::FOREIGN)?, serde_json::from_slice::<Value>(text)?);
        }
        Ok(())
    }

    /// D16: what an evil peer may send as JSON.
    #[test]
    fn refused_without_building_it() {
        let foreign = JsonLimits::FOREIGN;
        let deep = [b'['; 100_000];
        assert_eq!(kind(&deep, &foreign), Err(ErrorKind::TooLarge));
        assert_eq!(kind(&deep, &JsonLimits { depth: 1 << 20, ..foreign }), Err(ErrorKind::Protocol), "the parser has a bound of its own");
        assert_eq!(kind(&[&[b'['; 64][..], &[b']'; 64]].concat(), &foreign).map(|_| ()), Ok(()));
        assert_eq!(kind(&[&[b'['; 65][..], &[b']'; 65]].concat(), &foreign), Err(ErrorKind::TooLarge));
        let wide = [b"[".as_slice(), &b"0,".repeat(65_534), b"0]"].concat();
        assert_eq!(kind(&wide, &foreign).map(|_| ()), Ok(()));
        let wider = [b"[".as_slice(), &b"0,".repeat(65_535), b"0]"].concat();
        assert_eq!(kind(&wider, &foreign), Err(ErrorKind::TooLarge));
        assert_eq!(kind(&vec![b' '; (16 << 20) + 1], &foreign), Err(ErrorKind::TooLarge));
        let no_json: [&[u8]; 12] =
            [b"", b" ", b"NaN", b"Infinity", b"-", b"[1,]", b"{1:2}", b"1 2", b"{\"a\":1,\"a\":2}", b"{\"\xff\":1}", b"\"\xc3\"", b"1e999"];
        for text in no_json {
            assert_eq!(kind(text, &foreign), Err(ErrorKind::Protocol), "{}", String::from_utf8_lossy(text));
        }
    }
}
