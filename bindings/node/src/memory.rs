//! Captured bytes as Buffers without copying: the one place of this crate where a pointer is handed out.

#![allow(unsafe_code)]

use napi::Env;
use napi::bindgen_prelude::{Buffer, BufferSlice};
use procs::Bytes;
use std::cell::Cell;

/// From this size on, a buffer around the captured bytes is cheaper than a copy in the runtime's own memory.
const WRAP_FROM: usize = 64 << 10;

/// Bytes lent out by blocking calls that may wait for the event loop to be given back.
const LENT_AT_MOST: usize = 64 << 20;

thread_local! {
    /// Bytes that [`to_buffer_without_loop`] lent out on this thread, which is one environment's.
    static LENT: Cell<usize> = const { Cell::new(0) };
}

/// As [`to_buffer`], for a blocking call: the runtime gives lent memory back from its event loop, so a program that calls in a row without
/// ever returning to the loop gets copies, which the collector alone can free.
pub(crate) fn to_buffer_without_loop(env: &Env, bytes: Bytes) -> napi::Result<Buffer> {
    let (len, lent) = (bytes.len(), LENT.get());
    if lent > 0 && lent + len > LENT_AT_MOST {
        return BufferSlice::copy_from(env, &*bytes)?.into_buffer(env);
    }
    if len < WRAP_FROM {
        return to_buffer(env, bytes);
    }
    LENT.set(lent + len);
    wrap(env, bytes, move || LENT.set(LENT.get().saturating_sub(len)))
}

/// The bytes as a Buffer. JavaScript may write to it; where the runtime forbids foreign memory it is a copy.
pub(crate) fn to_buffer(env: &Env, bytes: Bytes) -> napi::Result<Buffer> {
    if bytes.len() < WRAP_FROM {
        return BufferSlice::copy_from(env, &*bytes)?.into_buffer(env);
    }
    wrap(env, bytes, || ())
}

/// A Buffer around the bytes; `given_back` runs once they are freed.
fn wrap(env: &Env, mut bytes: Bytes, given_back: impl FnOnce() + 'static) -> napi::Result<Buffer> {
    let slice = bytes.as_mut_slice();
    let (data, len) = (slice.as_mut_ptr(), slice.len());
    // SAFETY: `data` and `len` are the memory of `bytes`, whose address does not change when the value moves; the value moves into the
    // buffer's finalizer, so nobody else reads or writes the memory before the buffer is collected.
    let wrapped = unsafe {
        BufferSlice::from_external(env, data, len, (bytes, given_back), |_, (bytes, given_back)| {
            drop(bytes);
            given_back();
        })
    };
    wrapped?.into_buffer(env)
}

/// Received bytes as a Buffer. What lies in memory of the other side is copied, so that the sender never waits for the collector; a copy in the
/// runtime's own memory was measured to be faster than foreign memory, too.
pub(crate) fn to_message_buffer(env: &Env, bytes: procs::Buffer) -> napi::Result<Buffer> {
    if bytes.len() < WRAP_FROM || bytes.is_shared() {
        return BufferSlice::copy_from(env, &*bytes)?.into_buffer(env);
    }
    BufferSlice::from_data(env, bytes.into_vec())?.into_buffer(env)
}

/// Shared memory as a Buffer.
pub(crate) type WholeMemory = Buffer;

/// The whole of shared memory as a Buffer over the mapping itself, which it keeps. A copy where this process cannot write to the memory (a
/// write would be a fault) and where the runtime forbids foreign memory.
pub(crate) fn to_shared_buffer(env: &Env, memory: &procs::SharedMemory) -> napi::Result<WholeMemory> {
    if !memory.is_writable() {
        let bytes = memory.read(0, memory.len()).map_err(|error| napi::Error::from_reason(error.to_string()))?;
        return BufferSlice::copy_from(env, bytes)?.into_buffer(env);
    }
    let kept = memory.clone();
    // SAFETY: address and length are those of a mapping that `kept` keeps until the buffer is collected. JavaScript reads and writes plain
    // bytes, for which it is no matter that other processes do so at the same time. Each mapping is wrapped once: `lib/shared-memory.js`
    // keeps the one buffer of its memory.
    let wrapped = unsafe { BufferSlice::from_external(env, memory.as_ptr(), memory.len(), kept, |_, kept| drop(kept)) };
    wrapped?.into_buffer(env)
}

/// The segment of an arena that a block lies in as a Buffer over the mapping itself, which it keeps; `None` where the runtime forbids foreign
/// memory. To be asked for once for each segment: a pointer must not be wrapped twice.
pub(crate) fn to_segment_buffer(env: &Env, arena: &procs::Arena, block: &procs::Block) -> napi::Result<Option<Buffer>> {
    let Some(len) = arena.segment_size(block.place().segment as usize) else { return Ok(None) };
    let base = block.as_ptr().wrapping_sub(block.offset());
    let kept = arena.clone();
    // SAFETY: `base` and `len` are those of the mapping of the segment, which `kept` keeps until the buffer is collected; every process maps
    // arenas for reading and writing. JavaScript reads and writes plain bytes, whatever other processes do with them at the same time.
    let wrapped = unsafe { BufferSlice::from_external(env, base, len as usize, kept, |_, kept| drop(kept)) }?;
    // Where it was copied instead, it is no view of the blocks.
    if std::ptr::eq(wrapped.as_ptr(), base) { wrapped.into_buffer(env).map(Some) } else { Ok(None) }
}

/// Copies bytes to the start of `room`; false when they do not fit.
pub(crate) fn into_room(mut room: napi::bindgen_prelude::Uint8Array, bytes: &[u8]) -> bool {
    // SAFETY: JavaScript's thread is in this call, so nobody else uses the memory of the array, unless the program itself has given it to another
    // thread: bytes are plain either way.
    let Some(place) = unsafe { room.as_mut() }.get_mut(..bytes.len()) else { return false };
    place.copy_from_slice(bytes);
    true
}
