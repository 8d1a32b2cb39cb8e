//! One child: what to run, how to start it, how to wait for it and how to end it.
//!
//! ```text
//!   Command ─ image: program, arguments, environment ─┐
//!           ─ plan: every other option ───────────────┼─ start ─ Child, ChildHandle ─ life: waiting, status
//!           ─ streams: the ends of stdio and fds ─────┘  (offload: on a spawner      └ stop, tree: the ladder
//!                                                         thread)
//! ```
//! All that can fail or allocate is done before the clone; what happens in the child is a list of system calls on plain data (`sys::child`).
//! May use: `sys`, `io`.

mod cancel;
mod child;
mod command;
mod future;
mod image;
mod known;
mod life;
pub(crate) mod offload;
mod options;
mod orphan;
mod plan;
mod rare;
mod start;
mod status;
mod stdio;
mod stop;
mod streams;
mod tree;

pub use cancel::CancelHandle;
pub use child::{Child, ChildHandle, wait_any};
pub use command::{Command, CommandArgs, CommandEnvs};
pub use future::WaitFuture;
pub use options::{DirectRead, Input, InputCallback, OutputCallback, OutputLimit, Resource, RunOptions, SignalPolicy, Sink, TreeLevel};
pub use start::{EngineInfo, engine_info, max_children, set_max_children};
pub use status::{Exit, ExitStatus, Usage, signal_name, signal_number};
pub use stdio::Stdio;
pub use stop::{Stop, StopAction, StopReport};

#[cfg(test)]
mod tests;
