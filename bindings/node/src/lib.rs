//! The native module of procs-native: what JavaScript cannot do itself, on the public API of `procs`.
//!
//! All state belongs to a [`hub::Hub`], of which every environment (main thread, worker) opens its own; there is no global state. Children
//! and their pipes are watched by the environment's own event loop (`poller`), or by a thread where the runtime hides that (`waiter`). Threads of
//! the core reach JavaScript through the hub's weak thread-safe function only. Nothing here keeps an event loop alive: `lib/hub.js` decides that.
//! `unsafe` is in four places: `memory` and `text` hand out bytes and texts without a copy, `poller` speaks to the event loop, `receiver` calls
//! from it.

#![deny(unsafe_code)]

mod blocks;
pub mod child;
mod child_stream;
mod children;
mod collect;
pub mod engine;
pub mod error;
pub mod event;
pub mod executor;
pub mod hub;
mod incoming;
mod keeper;
pub mod link;
mod memory;
pub mod message_calls;
pub mod message_channel;
mod message_parts;
pub mod message_waits;
mod narrow;
pub mod options;
mod outgoing;
pub mod pipeline;
pub mod poller;
pub mod receiver;
pub mod run;
pub mod shared;
mod spare;
mod start;
pub mod sync;
mod text;
mod waiter;
