//! The native module of procs-native: what JavaScript cannot do itself, on the public API of `procs`.
//!
//! All state belongs to a [`hub::Hub`], of which every environment (main thread, worker) opens its own; there is no global state. Threads of
//! the core reach JavaScript through the hub's weak thread-safe function only, so nothing here keeps an event loop alive: `lib/hub.js`
//! decides that. `memory` alone may use `unsafe`, to hand out captured bytes without a copy.

#![deny(unsafe_code)]

pub mod child;
mod collect;
pub mod engine;
pub mod error;
pub mod event;
pub mod executor;
pub mod hub;
mod memory;
pub mod options;
pub mod pipeline;
pub mod run;
pub mod sync;
