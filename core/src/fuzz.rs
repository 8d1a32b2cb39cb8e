//! What a hostile peer writes, given to the code that reads it. In builds with `--cfg fuzzing` (`make fuzz`) and in unit tests only.
//!
//! Each function takes anything and must neither panic nor allocate for what is merely announced. Where two ways of reading must agree, it
//! compares them.

use crate::channel::fuzz as channel;
use crate::error::ErrorKind;
use crate::shm::fuzz as shm;

/// What is called with the bytes of one case.
pub type Target = fn(&[u8]);

/// A function per target of `tests/fuzz`, by its name.
pub const TARGETS: [(&str, Target); 4] = [("frames", frames), ("json", json), ("layout", layout), ("node_lines", node_lines)];

/// A stream of frames: at once and in pieces, then the states of the calls it makes.
pub fn frames(data: &[u8]) {
    channel::frames(data);
}

/// The body of a message as JSON, with the limits for strangers.
pub fn json(data: &[u8]) {
    let message = crate::Message::encoded(crate::Codec::Json, data);
    if let Err(error) = message.to_json_within(&crate::JsonLimits::FOREIGN) {
        assert!(matches!(error.kind(), ErrorKind::Protocol | ErrorKind::TooLarge), "{error}");
    }
}

/// A stream on Node's wire: at once and in pieces, its reserved messages told apart as a parser would.
pub fn node_lines(data: &[u8]) {
    channel::node_lines(data);
}

/// Sealed memory as memory, arena and block.
pub fn layout(data: &[u8]) {
    shm::layout(data);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};

    type AnyError = Box<dyn std::error::Error>;

    fn corpus(target: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(target)
    }

    fn inputs(target: &str) -> Result<Vec<Vec<u8>>, AnyError> {
        let mut paths = std::fs::read_dir(corpus(target))?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
        paths.sort();
        Ok(paths.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>()?)
    }

    /// Every input that ever told something, and random changes of them.
    #[test]
    fn corpus_and_its_mutations() -> Result<(), AnyError> {
        let rounds = if std::env::var_os("PROCS_TEST_FULL").is_some() { 400_000 } else { 20_000 };
        for (name, target) in TARGETS {
            let seeds = inputs(name)?;
            assert!(seeds.len() >= 8, "corpus of {name} has {} inputs", seeds.len());
            seeds.iter().for_each(|seed| target(seed));
            let mut state = 0x9E37_79B9_7F4A_7C15_u64;
            let mut below = |bound: usize| {
                state ^= state >> 12;
                state ^= state << 25;
                state ^= state >> 27;
                usize::try_from(state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap_or(0) % bound.max(1)
            };
            for _ in 0..rounds {
                let mut input = seeds[below(seeds.len())].clone();
                for _ in 0..1 + below(4) {
                    let at = below(input.len());
                    match below(6) {
                        0 if !input.is_empty() => input[at] = below(256) as u8,
                        1 if !input.is_empty() => input[at] ^= 1 << below(8),
                        2 => input.truncate(at),
                        3 => drop(input.splice(at..at, [[0, 0xff, 0x7f, 0x80][below(4)]; 8])),
                        4 => {
                            let other = &seeds[below(seeds.len())];
                            input.extend_from_slice(&other[below(other.len()).min(other.len())..]);
                        }
                        _ => {
                            let end = (at + below(40)).min(input.len());
                            drop(input.drain(at.min(end)..end));
                        }
                    }
                }
                target(&input);
            }
        }
        Ok(())
    }
}
