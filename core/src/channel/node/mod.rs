//! Node's own channel, so that an unmodified Node program can be child or parent: `docs/wire.md`, section "Node's wire".
//!
//! `line` cuts bytes into messages, `json` looks them over, `handle` knows Node's reserved messages, `endpoint` does the I/O.
//! Arrows: endpoint → handle → json, endpoint → line.

pub(crate) mod json;
pub(crate) mod line;
