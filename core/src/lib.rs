//! Starts, feeds, watches and multiplies processes on Linux: one engine, four languages.
//!
//! ```
//! use procs::Command;
//! let output = Command::new("echo").arg("hello").output()?;
//! assert_eq!(&*output.stdout, b"hello\n");
//! # Ok::<(), procs::Error>(())
//! ```
//!
//! # Where to begin
//!
//! | You want to | Use |
//! |---|---|
//! | run a command and have its output | [`Command::output`], [`Output`] |
//! | start one and go on | [`Command::spawn`], [`Child`]; without blocking [`Child::wait_async`] |
//! | bound it | [`Command::timeout`], [`Command::kill_tree`], [`Command::max_output`] |
//! | read while it runs | [`Child::lines`], [`Sink`] |
//! | end it | [`Child::stop`], [`Stop`], [`CancelHandle`] |
//! | run several | [`Pipeline`], [`run_many`], [`wait_any`] |
//! | talk with it | [`Command::fork`], [`Channel`], [`Channel::from_env`], [`Channel::call`] |
//! | share memory | [`SharedMemory`], [`SharedMutex`] and its relatives, [`Arena`] |
//!
//! [`Command`], [`Child`], [`Output`], [`ExitStatus`] and [`Stdio`] have the methods of the types of these names in [`std::process`]; what is
//! different there is said in `docs/from-std-process.md`.
//!
//! Functions that can fail give an [`Error`], whose [`kind`](Error::kind) is what callers branch on. Times are [`Duration`](std::time::Duration),
//! sizes are bytes. Futures need no runtime. No signal handler is installed, and no global state of the host is changed.

#![deny(unsafe_code)]

mod capture;
mod channel;
mod deadline;
mod error;
mod fork;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod io;
mod shm;
mod spawn;
mod sys;

pub use capture::{
    Bytes, Capture, ChunkStream, Chunks, Collector, LineStream, Lines, Output, OutputFuture, Pipeline, PipelineChild, PipelineOutput, StageResult,
    StreamReport, run_many, stop_all,
};
pub use channel::{
    BeginCallFuture, Buffer, CallFuture, CallStream, Channel, ChannelOptions, ChannelStats, Codec, CodecSet, HandleKind, JsonLimits, LargeRoom,
    LinkFrames, Message, NodeLink, Received, ReceivedSlice, RecvFuture, RemoteFailure, Request, SendError, SendFuture, Wire,
};
pub use deadline::{Deadline, interruptible};
pub use error::{Error, ErrorKind, Result, Stage};
pub use fork::Event;
#[doc(hidden)]
pub use io::Flow;
pub use io::{PipeReader, PipeWriter, ReadySet, close_fd, duplicate_fd};
pub use shm::{
    Arena, ArenaOptions, AtomicCell, Block, BlockPlace, Counter, Counters, Field, Histogram, HistogramSnapshot, LockFuture, Number, OnceEnd,
    OnceTurn, Seat, SemaphorePermit, SharedBarrier, SharedEvent, SharedMemory, SharedMemoryOptions, SharedMutex, SharedMutexGuard, SharedOnce,
    SharedReadGuard, SharedRwLock, SharedSemaphore, SharedWriteGuard, Spin, memory_layout,
};

/// The host's end of a child's standard input, by the name that the standard library has for it.
pub type ChildStdin = PipeWriter;
/// The host's end of a child's standard output, by the name that the standard library has for it.
pub type ChildStdout = PipeReader;
/// The host's end of a child's standard error, by the name that the standard library has for it.
pub type ChildStderr = PipeReader;

/// What else programs import from where they import `Command`, unchanged.
pub use std::process::{ExitCode, Termination, abort, exit, id};

#[doc(hidden)] // for the bindings of this repository: they make no system call themselves
pub use spawn::DirectRead;
pub use spawn::{
    CancelHandle, Child, ChildHandle, Command, CommandArgs, CommandEnvs, EngineInfo, Exit, ExitStatus, Input, InputCallback, OutputCallback,
    OutputLimit, Resource, RunOptions, SignalPolicy, Sink, Stdio, Stop, StopAction, StopReport, TreeLevel, Usage, WaitFuture, engine_info,
    max_children, set_max_children, signal_name, signal_number, wait_any,
};
#[doc(hidden)]
pub use sys::blocks::ReadMemory;
#[doc(hidden)]
pub use sys::cpu::fence_after_unlock;
#[doc(hidden)]
pub use sys::fork::PerProcess;
#[doc(hidden)]
pub use sys::hints::{advise_huge_pages, bring_near, exported_symbol, read_uninit};
