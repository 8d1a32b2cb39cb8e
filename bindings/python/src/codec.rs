//! Python objects as bodies of messages and back.

use crate::convert;
use crate::error::raise;
use crate::shared::Buffer;
use procs::{Codec, Error, ErrorKind, Message};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

/// What Python needs for each codec, looked up once.
struct Tools {
    json_encode: Py<PyAny>,
    json_decode: Py<PyAny>,
    pickle_dumps: Py<PyAny>,
    pickle_loads: Py<PyAny>,
}

static TOOLS: PyOnceLock<Tools> = PyOnceLock::new();

fn tools(py: Python<'_>) -> PyResult<&Tools> {
    TOOLS.get_or_try_init(py, || {
        let module = py.import("procs._codecs")?;
        let get = |name: &str| module.getattr(name).map(Bound::unbind);
        Ok(Tools {
            json_encode: get("json_encode")?,
            json_decode: get("json_decode")?,
            pickle_dumps: get("pickle_dumps")?,
            pickle_loads: get("pickle_loads")?,
        })
    })
}

/// The codec of that name.
pub(crate) fn named(py: Python<'_>, name: &str) -> PyResult<Codec> {
    Codec::ALL.iter().copied().find(|codec| codec.name() == name).ok_or_else(|| {
        let detail = format!("no such codec (codec = {name:?}, expected \"json\", \"raw\", \"pickle\" or \"v8\")");
        raise(py, &Error::new(ErrorKind::InvalidArgument, "channel", detail))
    })
}

/// The message that carries an object.
pub(crate) fn encode(codec: Codec, value: &Bound<'_, PyAny>) -> PyResult<Message> {
    let py = value.py();
    match codec {
        Codec::Json => {
            let text = tools(py)?.json_encode.bind(py).call1((value,))?;
            Ok(Message::encoded(Codec::Json, text.cast::<PyString>()?.to_str()?.as_bytes().to_vec()))
        }
        Codec::Pickle => {
            let pair = tools(py)?.pickle_dumps.bind(py).call1((value,))?;
            let pair = pair.cast::<PyTuple>()?;
            let mut message = Message::encoded(Codec::Pickle, convert::bytes_like(&pair.get_item(0)?)?);
            for buffer in pair.get_item(1)?.try_iter()? {
                message = message.with_buffer(convert::bytes_like(&buffer?)?);
            }
            Ok(message)
        }
        codec => Ok(Message::encoded(codec, convert::bytes_like(value)?)),
    }
}

/// The object that a message carries.
pub(crate) fn decode<'py>(py: Python<'py>, message: Message) -> PyResult<Bound<'py, PyAny>> {
    match message.codec {
        Codec::Json => tools(py)?.json_decode.bind(py).call1((PyBytes::new(py, &message.body),)),
        Codec::Pickle => {
            let buffers = PyList::empty(py);
            for buffer in message.buffers {
                buffers.append(Bound::new(py, Buffer::new(buffer))?)?;
            }
            tools(py)?.pickle_loads.bind(py).call1((PyBytes::new(py, &message.body), buffers))
        }
        _ => Ok(PyBytes::new(py, &message.body).into_any()),
    }
}
