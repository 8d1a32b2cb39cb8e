//! The native part of the Python package `procs`: thin classes over the Rust crate, without any policy of their own.
//!
//! Names, defaults and exceptions that users see are in the Python files beside it; the types of this module are described in
//! `procs/_native.pyi`. Every blocking call releases the GIL and lets Python's signal handlers run.

#![deny(unsafe_code)]

mod aio;
mod arguments;
mod aside;
mod calls;
mod calls_async;
mod cancel;
mod capture;
mod channel;
mod child;
mod codec;
mod convert;
mod drain;
mod ends;
mod error;
mod gather;
mod interrupt;
mod job;
mod json;
mod lines;
mod many;
mod memory;
mod options;
mod outcome;
mod pipeline;
mod run;
mod shared;
mod sink;
mod stream_record;
mod timeout;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// How the engine starts children on this machine: a dict of its levels.
#[pyfunction]
fn engine_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    error::guard(py, || {
        let info = procs::engine_info();
        let dict = PyDict::new(py);
        dict.set_item("clone_level", info.clone_level)?;
        dict.set_item("pidfd", info.pidfd)?;
        dict.set_item("close_range", info.close_range)?;
        dict.set_item("cgroup", info.cgroup)?;
        dict.set_item("pidfd_info", info.pidfd_info)?;
        Ok(dict)
    })
}

/// Objects of one interpreter must not reach another through our statics, so that only the main one may import this.
fn refuse_sub_interpreters(py: Python<'_>) -> PyResult<()> {
    let found = py.import("_interpreters").or_else(|_| py.import("_xxsubinterpreters"));
    let Ok(interpreters) = found else { return Ok(()) };
    if interpreters.call_method0("get_current")?.eq(interpreters.call_method0("get_main")?)? {
        return Ok(());
    }
    Err(PyImportError::new_err("procs cannot be used in sub-interpreters"))
}

#[pymodule(gil_used = false)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    refuse_sub_interpreters(module.py())?;
    // subprocess knows no limit of its own, so Python code meets the system's only.
    procs::set_max_children(usize::MAX);
    module.add_class::<aio::AsyncRun>()?;
    module.add_class::<aio::Hub>()?;
    module.add_class::<cancel::CancelHandle>()?;
    module.add_class::<capture::Capture>()?;
    module.add_class::<calls::AsyncCall>()?;
    module.add_class::<calls_async::AsyncReplies>()?;
    module.add_class::<calls_async::AsyncRequest>()?;
    module.add_class::<channel::Channel>()?;
    module.add_class::<channel::Unsent>()?;
    module.add_class::<calls::Replies>()?;
    module.add_class::<child::Child>()?;
    module.add_class::<drain::Drain>()?;
    module.add_class::<ends::End>()?;
    module.add_class::<ends::Ends>()?;
    module.add_class::<outcome::Outcome>()?;
    module.add_class::<shared::Arena>()?;
    module.add_class::<shared::AsyncWait>()?;
    module.add_class::<shared::Barrier>()?;
    module.add_class::<shared::Block>()?;
    module.add_class::<shared::Buffer>()?;
    module.add_class::<shared::Cell>()?;
    module.add_class::<shared::Counter>()?;
    module.add_class::<shared::Counters>()?;
    module.add_class::<shared::Event>()?;
    module.add_class::<shared::Histogram>()?;
    module.add_class::<shared::Mutex>()?;
    module.add_class::<shared::Once>()?;
    module.add_class::<shared::RwLock>()?;
    module.add_class::<shared::RwLockSide>()?;
    module.add_class::<shared::Semaphore>()?;
    module.add_class::<shared::SharedMemory>()?;
    module.add_class::<stream_record::StreamRecord>()?;
    module.add_function(wrap_pyfunction!(channel::parent_channel, module)?)?;
    module.add_function(wrap_pyfunction!(channel::spawn_with_channel, module)?)?;
    module.add_function(wrap_pyfunction!(channel::wait_any_channel, module)?)?;
    module.add_function(wrap_pyfunction!(child::spawn, module)?)?;
    module.add_function(wrap_pyfunction!(child::spawn_from_loop, module)?)?;
    module.add_class::<job::AsyncJob>()?;
    module.add_function(wrap_pyfunction!(child::stop_many, module)?)?;
    module.add_function(wrap_pyfunction!(job::stop_async, module)?)?;
    module.add_function(wrap_pyfunction!(job::run_pipeline_async, module)?)?;
    module.add_function(wrap_pyfunction!(child::wait_any, module)?)?;
    module.add_function(wrap_pyfunction!(timeout::check_limit, module)?)?;
    module.add_function(wrap_pyfunction!(engine_info, module)?)?;
    module.add_function(wrap_pyfunction!(error::error_kinds, module)?)?;
    module.add_function(wrap_pyfunction!(error::stages, module)?)?;
    module.add_function(wrap_pyfunction!(lines::split_lines, module)?)?;
    module.add_function(wrap_pyfunction!(many::run_many, module)?)?;
    module.add_function(wrap_pyfunction!(pipeline::run_pipeline, module)?)?;
    module.add_function(wrap_pyfunction!(aio::run_async, module)?)?;
    module.add_function(wrap_pyfunction!(run::run, module)?)?;
    module.add_function(wrap_pyfunction!(shared::memory_layout, module)?)?;
    module.add_function(wrap_pyfunction!(shared::unpack_memory, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
