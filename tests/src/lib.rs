//! What every test of libprocs stands on: the helper child, fresh folders, isolation, watchdogs, leak checks and fault injection.
//!
//! Nothing here uses the `procs` crate: what judges the library must not break with it.
//!
//! | Word | Here |
//! |---|---|
//! | LEAK0 | the end of [`run`] and [`isolated`]; [`Snapshot`] |
//! | WD n | [`Isolation::watchdog`]; 60 s unless said, times `PROCS_TEST_SLOW` |
//! | INJ | [`Test::inject`] (from now on, exact counters) and [`Isolation::inject`] (the whole process) |
//! | FDWALK | [`fd_walk`] |
//! | NOBODY | [`Isolation::nobody`] |
//! | SETTID | [`Test::stranger`] |
//! | KILLLOOP | [`kill_loop`] |

#![deny(unsafe_code)]

pub mod evil;
mod facts;
mod harness;
pub mod host;
pub mod rawmem;
mod source;
mod workspace;

pub use facts::{Facts, Sha, json_text};
pub use harness::{
    FdWalk, Finished, Isolation, Random, Snapshot, Stalls, Stranger, Test, block_on, cookie_holders, dump_stacks, fd_walk, isolated, isolated_in,
    kill_loop, limit, notice_limit, poll_until, rss_bytes, run, run_program, slow_factor, unparker,
};
pub use source::{Source, has_word, read_source, sources};
pub use workspace::{build_dir, count, helper, library_dir, node, python, root, tool};

/// The path of the helper child in an integration test; `PROCS_TEST_CHILD` overrides it.
#[macro_export]
macro_rules! helper {
    () => {
        match std::env::var_os("PROCS_TEST_CHILD") {
            Some(path) => std::path::PathBuf::from(path),
            None => std::path::PathBuf::from(env!("CARGO_BIN_EXE_procs-child")),
        }
    };
}
