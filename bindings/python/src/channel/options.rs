//! The options of a channel from keyword arguments.

use crate::arguments::named;
use crate::error::raise;
use crate::timeout::Limit;
use procs::{ChannelOptions, Codec, CodecSet, Error, ErrorKind, Spin, Wire};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The names that options may have; `codec` and, for children, `wire` are two more.
const NAMES: &str = "max_message, max_queued_bytes, high_water, ring_bytes, max_fds, frame_timeout, spin";

fn invalid(py: Python<'_>, detail: String) -> PyErr {
    raise(py, &Error::new(ErrorKind::InvalidArgument, "channel", detail))
}

/// The codec of that name.
pub(crate) fn codec_named(py: Python<'_>, name: &str) -> PyResult<Codec> {
    Codec::ALL
        .iter()
        .copied()
        .find(|codec| codec.name() == name)
        .ok_or_else(|| invalid(py, format!("no such codec (codec = {name:?}, expected \"json\", \"raw\", \"pickle\" or \"v8\")")))
}

fn wire_named(py: Python<'_>, name: &str) -> PyResult<Wire> {
    match name {
        "auto" => Ok(Wire::Auto),
        "native" => Ok(Wire::Native),
        "node" => Ok(Wire::Node),
        _ => Err(invalid(py, format!("no such wire (wire = {name:?}, expected \"auto\", \"native\" or \"node\")"))),
    }
}

/// `None` is adaptive, 0 never, a number of seconds up to that long.
fn spin(value: &Bound<'_, PyAny>) -> PyResult<Spin> {
    match time("spin", value, "for what has paid so far")? {
        None => Ok(Spin::Adaptive),
        Some(Limit::NOW) => Ok(Spin::Off),
        Some(cap) => Ok(Spin::Always(cap.duration())),
    }
}

/// Seconds or `None`, of which the last argument says what it means.
fn time(key: &str, value: &Bound<'_, PyAny>, none: &str) -> PyResult<Option<Limit>> {
    if value.is_none() { Ok(None) } else { Limit::named(key, value, none).map(Some) }
}

/// A value of the wrong type, by the name of its option.
fn of<'py, T: FromPyObject<'py, 'py>>(key: &str, value: &'py Bound<'py, PyAny>, expected: &str) -> PyResult<T> {
    named(key, value, expected)
}

/// For an end in this process; `codec` is the one that `send` uses, and raw is always understood.
pub(crate) fn of_end(py: Python<'_>, codec: &str, given: Option<&Bound<'_, PyDict>>) -> PyResult<(Codec, ChannelOptions)> {
    let codec = codec_named(py, codec)?;
    let mut options = ChannelOptions { codecs: CodecSet::default().with(codec), ..ChannelOptions::default() };
    for (key, value) in given.into_iter().flat_map(|given| given.iter()) {
        let key: String = key.extract()?;
        set(&mut options, &key, &value)?;
    }
    Ok((codec, options))
}

/// For the channel of a child, which has a wire as well.
pub(crate) fn of_child(py: Python<'_>, codec: &str, given: Option<&Bound<'_, PyDict>>) -> PyResult<(Codec, ChannelOptions)> {
    let Some(given) = given else { return of_end(py, codec, None) };
    let rest = given.copy()?;
    let wire = match rest.get_item("wire")? {
        None => Wire::Auto,
        Some(name) => wire_named(py, of("wire", &name, "a name")?)?,
    };
    rest.call_method1("pop", ("wire", py.None()))?;
    let (codec, options) = of_end(py, codec, Some(&rest))?;
    Ok((codec, ChannelOptions { wire, ..options }))
}

fn set(options: &mut ChannelOptions, key: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    match key {
        "max_message" => options.max_message = of(key, value, "a number of bytes")?,
        "max_queued_bytes" => options.max_queued_bytes = of(key, value, "a number of bytes")?,
        "high_water" => options.high_water = of(key, value, "a number of bytes")?,
        "ring_bytes" => options.ring_bytes = of(key, value, "a number of bytes")?,
        "max_fds" => options.max_fds = of(key, value, "a number up to 253")?,
        "frame_timeout" => options.frame_timeout = time(key, value, "for ever")?.map(Limit::duration),
        "spin" => options.spin = spin(value)?,
        _ => return Err(PyTypeError::new_err(format!("channel: no such option ({key}, expected one of {NAMES})"))),
    }
    Ok(())
}
