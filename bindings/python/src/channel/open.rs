//! How a program comes to an end of a channel.

use super::{Channel, options};
use crate::arguments;
use crate::child::Child;
use crate::error::{IntoPy, guard};
use procs::Channel as Core;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The channel to the parent, once in a process.
#[pyfunction]
#[pyo3(signature = (*, codec = "json", **settings))]
pub(crate) fn parent_channel(
    py: Python<'_>,
    #[pyo3(from_py_with = arguments::codec)] codec: &str,
    settings: Option<&Bound<'_, PyDict>>,
) -> PyResult<Channel> {
    guard(py, || {
        let (codec, options) = options::of_end(py, codec, settings)?;
        let channel = Channel::new(Core::from_env_with(&options).or_raise(py)?, codec);
        forget_announcement(py)?;
        Ok(channel)
    })
}

/// Removes from `os.environ` what Node removes, too: a `node` that somebody starts with `subprocess` would take the number for its own channel
/// and abort, for the descriptor is not there.
fn forget_announcement(py: Python<'_>) -> PyResult<()> {
    let environ = py.import("os")?.getattr("environ")?;
    for name in ["NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE"] {
        environ.call_method1("pop", (name, py.None()))?;
    }
    Ok(())
}

/// Starts a child with a channel to it; `options` are those of `procs._options`.
#[pyfunction]
#[pyo3(signature = (argv, options, codec, settings = None))]
pub(crate) fn spawn_with_channel(
    py: Python<'_>,
    argv: &Bound<'_, PyAny>,
    options: Option<&Bound<'_, PyDict>>,
    #[pyo3(from_py_with = arguments::codec)] codec: &str,
    settings: Option<&Bound<'_, PyDict>>,
) -> PyResult<(Child, Channel)> {
    guard(py, || {
        let (codec, settings) = options::of_child(py, codec, settings)?;
        let mut request = crate::options::Request::new(argv, options)?;
        let (child, channel) = py.detach(|| request.command.fork_with(&settings)).or_raise(py)?;
        Ok((Child::new(child), Channel::new(channel, codec)))
    })
}
