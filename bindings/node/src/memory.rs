//! Captured bytes as Buffers without copying: the one place of this crate where a pointer is handed out.

#![allow(unsafe_code)]

use napi::Env;
use napi::bindgen_prelude::{Buffer, BufferSlice};
use procs::Bytes;

/// From this size on, a buffer around the captured bytes is cheaper than a copy in the runtime's own memory.
const WRAP_FROM: usize = 64 << 10;

/// The bytes as a Buffer. JavaScript may write to it; where the runtime forbids foreign memory it is a copy.
pub(crate) fn to_buffer(env: &Env, mut bytes: Bytes) -> napi::Result<Buffer> {
    if bytes.len() < WRAP_FROM {
        return BufferSlice::copy_from(env, &*bytes)?.into_buffer(env);
    }
    let slice = bytes.as_mut_slice();
    let (data, len) = (slice.as_mut_ptr(), slice.len());
    // SAFETY: `data` and `len` are the memory of `bytes`, whose address does not change when the value moves; the value moves into the
    // buffer's finalizer, so nobody else reads or writes the memory before the buffer is collected.
    let wrapped = unsafe { BufferSlice::from_external(env, data, len, bytes, |_, bytes| drop(bytes)) };
    wrapped?.into_buffer(env)
}
