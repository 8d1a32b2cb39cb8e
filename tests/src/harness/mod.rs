//! The harness, one idea a file.

mod executor;
mod fdwalk;
mod inject;
mod isolate;
mod killloop;
mod leak;
mod program;
mod stalls;
mod stranger;
mod test;
mod watchdog;

pub use executor::{block_on, unparker};
pub use fdwalk::{FdWalk, fd_walk};
pub use isolate::{Isolation, isolated, isolated_in};
pub use killloop::{Random, kill_loop};
pub use leak::{Snapshot, cookie_holders, rss_bytes};
pub use program::{Finished, run_program};
pub use stalls::Stalls;
pub use stranger::Stranger;
pub use test::{Test, poll_until, run};
pub use watchdog::{dump_stacks, limit, notice_limit, slow_factor};
