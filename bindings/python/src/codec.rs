//! Python objects as bodies of messages and back.

use crate::channel::Channel;
use crate::json;
use crate::memory::to_bytes;
use crate::shared::{Buffer, travel};
use procs::{Codec, Message};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

/// What Python needs for each codec, looked up once.
struct Tools {
    json_encode: Py<PyAny>,
    json_encode_ascii: Py<PyAny>,
    json_decode: Py<PyAny>,
    pickle_dumps: Py<PyAny>,
    pickle_loads: Py<PyAny>,
    pickle_loads_beside: Py<PyAny>,
}

static TOOLS: PyOnceLock<Tools> = PyOnceLock::new();

fn tools(py: Python<'_>) -> PyResult<&Tools> {
    TOOLS.get_or_try_init(py, || {
        let module = py.import("procs._codecs")?;
        let get = |name: &str| module.getattr(name).map(Bound::unbind);
        Ok(Tools {
            json_encode: get("json_encode")?,
            json_encode_ascii: get("json_encode_ascii")?,
            json_decode: get("json_decode")?,
            pickle_dumps: get("pickle_dumps")?,
            pickle_loads: get("pickle_loads")?,
            pickle_loads_beside: get("pickle_loads_beside")?,
        })
    })
}

/// The message that carries an object on this channel.
pub(crate) fn encode(channel: &Channel, codec: Codec, value: &Bound<'_, PyAny>) -> PyResult<Message> {
    let py = value.py();
    match codec {
        Codec::Json => {
            if let Some(text) = json::write(value) {
                return Ok(Message::encoded(Codec::Json, text));
            }
            let text = tools(py)?.json_encode.bind(py).call1((value,))?;
            if let Ok(text) = text.cast::<PyString>()?.to_str() {
                return Ok(Message::encoded(Codec::Json, channel.copy(text.as_bytes())?));
            }
            // Half of a pair of surrogates has no UTF-8; as an escape it travels, as JavaScript sends it.
            let text = tools(py)?.json_encode_ascii.bind(py).call1((value,))?;
            Ok(Message::encoded(Codec::Json, channel.copy(text.cast::<PyString>()?.to_str()?.as_bytes())?))
        }
        Codec::Pickle => {
            let (pair, fds) = travel::packing(|| tools(py)?.pickle_dumps.bind(py).call1((value,)))?;
            let pair = pair.cast::<PyTuple>()?;
            let mut message = Message::encoded(Codec::Pickle, channel.copy(pair.get_item(0)?.cast::<PyBytes>()?.as_bytes())?);
            for buffer in pair.get_item(1)?.cast::<PyList>()? {
                message = message.with_buffer(channel.carry("obj", &buffer)?);
            }
            message.fds = fds;
            Ok(message)
        }
        codec => Ok(Message::encoded(codec, channel.carry("obj", value)?)),
    }
}

/// The object that a body alone carries.
pub(crate) fn decode_body<'py>(py: Python<'py>, codec: Codec, body: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    match codec {
        Codec::Json => match std::str::from_utf8(body) {
            Ok(text) => match json::read(py, text) {
                Some(value) => Ok(value),
                None => tools(py)?.json_decode.bind(py).call1((PyString::from_bytes(py, text.as_bytes())?,)),
            },
            Err(_) => tools(py)?.json_decode.bind(py).call1((to_bytes(py, body)?,)),
        },
        Codec::Pickle => tools(py)?.pickle_loads.bind(py).call1((to_bytes(py, body)?,)),
        _ => to_bytes(py, body).map(Bound::into_any),
    }
}

/// The object that a message carries.
pub(crate) fn decode(py: Python<'_>, message: Message) -> PyResult<Bound<'_, PyAny>> {
    if message.codec != Codec::Pickle || message.buffers.is_empty() && message.fds.is_empty() && !message.body.is_shared() {
        return decode_body(py, message.codec, &message.body);
    }
    let buffers = PyList::empty(py);
    for buffer in message.buffers {
        buffers.append(Bound::new(py, Buffer::new(buffer))?)?;
    }
    let body = Bound::new(py, Buffer::new(message.body))?;
    travel::unpacking(message.fds, || tools(py)?.pickle_loads_beside.bind(py).call1((body, buffers)))
}
