//! Captured, received and shared bytes as Buffers, without copying where that is cheaper.

#![allow(unsafe_code)]

use crate::blocks::Blocks;
use crate::narrow;
use crate::spare::{REUSE_FROM, keep};
use napi::bindgen_prelude::{Buffer, BufferSlice, FromNapiValue, Uint8ArraySlice};
use napi::{Env, JsValue, check_status, sys};
use procs::{Bytes, Flow};
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{BorrowedFd, RawFd};
use std::rc::Rc;

/// From this size on, a buffer around the captured bytes is cheaper than a copy in the runtime's own memory.
const WRAP_FROM: usize = 64 << 10;

/// Bytes lent out by blocking calls that may wait for the event loop to be given back.
const LENT_AT_MOST: usize = 64 << 20;

thread_local! {
    /// Bytes that [`to_buffer_without_loop`] lent out on this thread, which is one environment's.
    static LENT: Cell<usize> = const { Cell::new(0) };
}

/// As [`to_buffer`], for a blocking call: the runtime gives lent memory back from its event loop, to which a program that calls in a row never
/// returns. So large outputs become the runtime's own memory, and of others that are lent there are not too many at once.
pub(crate) fn to_buffer_without_loop(env: &Env, bytes: Bytes) -> napi::Result<Buffer> {
    let (len, lent) = (bytes.len(), LENT.get());
    if bytes.is_mapped() && has_room_for(len) {
        return to_own_buffer(env, bytes);
    }
    if lent > 0 && lent + len > LENT_AT_MOST && has_room_for(len) {
        return BufferSlice::copy_from(env, &*bytes)?.into_buffer(env);
    }
    if len < WRAP_FROM {
        return to_buffer(env, bytes);
    }
    LENT.set(lent + len);
    wrap(env, bytes, move || LENT.set(LENT.get().saturating_sub(len)))
}

/// Whether there is memory for so many bytes. The runtime ends the process when it asks for what there is not.
fn has_room_for(len: usize) -> bool {
    Vec::<u8>::new().try_reserve_exact(len).is_ok()
}

/// The bytes in a Buffer of the runtime's own, whose memory the collector frees without the event loop.
fn to_own_buffer(env: &Env, bytes: Bytes) -> napi::Result<Buffer> {
    let (mut data, mut buffer) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: the environment is that of the call that is being answered; the results go to live variables.
    check_status!(unsafe { sys::napi_create_buffer(env.raw(), bytes.len(), &raw mut data, &raw mut buffer) })?;
    // SAFETY: the memory of a buffer that was made just now and that JavaScript has not seen; nobody says that it was written.
    let memory = unsafe { std::slice::from_raw_parts_mut(data.cast::<MaybeUninit<u8>>(), bytes.len()) };
    bytes.move_to(memory);
    // SAFETY: a buffer, of this environment.
    unsafe { Buffer::from_napi_value(env.raw(), buffer) }
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

/// Puts the first bytes of a read at the beginning of a part of the blocks that no chunk has, what more is there after them, and gives the length.
pub(crate) fn read_after(first: &[u8], (blocks, room): (&Blocks, Range<usize>), fd: RawFd, flow: &mut Flow) -> usize {
    // SAFETY: the range lies in the blocks, whose bytes are initialised. No chunk has it, so that only this thread, here, knows of it.
    let room = unsafe { std::slice::from_raw_parts_mut(blocks.memory.as_ptr().wrapping_add(room.start), room.len()) };
    read_rest(first, room, fd, flow)
}

/// The same for memory of JavaScript.
pub(crate) fn read_into(first: &[u8], mut memory: Uint8ArraySlice<'_>, fd: RawFd, flow: &mut Flow) -> usize {
    // SAFETY: JavaScript does not run meanwhile, and has made the memory for this.
    read_rest(first, unsafe { memory.as_mut() }, fd, flow)
}

fn read_rest(first: &[u8], room: &mut [u8], fd: RawFd, flow: &mut Flow) -> usize {
    let (start, rest) = room.split_at_mut(first.len().min(room.len()));
    start.copy_from_slice(&first[..start.len()]);
    // SAFETY: the descriptor of a stream that has just given the first bytes, and which is closed after its reader at the earliest.
    start.len() + flow.fill(unsafe { BorrowedFd::borrow_raw(fd) }, rest)
}

/// A range of a block, which the caller has counted as used, as a Buffer of its own; gives it back when it is collected.
pub(crate) fn chunk_of(env: &Env, blocks: &Rc<Blocks>, index: usize, range: Range<usize>) -> napi::Result<Buffer> {
    let kept = blocks.clone();
    let data = blocks.memory.as_ptr().wrapping_add(range.start);
    // SAFETY: the range lies in the memory that `kept` keeps until the buffer is collected; until then nobody else writes there.
    let wrapped = unsafe { BufferSlice::from_external(env, data, range.len(), kept, move |_, kept| kept.give_back(index)) };
    wrapped?.into_buffer(env)
}

/// Received bytes as a Buffer. What lies in memory of the other side is copied, so that the sender never waits for the collector.
pub(crate) fn to_message_buffer(env: &Env, bytes: procs::Buffer) -> napi::Result<Buffer> {
    if bytes.is_shared()
        && bytes.len() >= REUSE_FROM
        && let Some(mut copy) = narrow::copy(&bytes)
    {
        let (data, len) = (copy.as_mut_ptr(), copy.len());
        // SAFETY: the memory of a vector stays where it is when the vector moves, and it is the finalizer's from here on.
        let wrapped = unsafe { BufferSlice::from_external(env, data, len, copy, |_, copy| keep(copy)) };
        return wrapped?.into_buffer(env);
    }
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

/// Memory of JavaScript for small messages, many in one piece: memory of their own costs more than everything else about them.
pub(crate) struct Slab {
    env: sys::napi_env,
    reference: sys::napi_ref,
    /// Bytes at its start that hold messages.
    used: usize,
}

impl Slab {
    /// Over all of an array, which is kept.
    pub(crate) fn new(env: &Env, array: &Uint8ArraySlice<'_>) -> napi::Result<Slab> {
        let (env, mut reference) = (env.raw(), std::ptr::null_mut());
        // SAFETY: the environment and the value are of the call that is being answered; the result goes to a live variable.
        check_status!(unsafe { sys::napi_create_reference(env, array.raw(), 1, &raw mut reference) })?;
        Ok(Slab { env, reference, used: 0 })
    }

    /// The memory as it is now: none if somebody has given it away. And how much of it holds messages.
    pub(crate) fn room(&mut self) -> (&mut [u8], &mut usize) {
        let (mut array, mut data, mut len) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
        let (mut kind, mut owner, mut offset) = (0, std::ptr::null_mut(), 0);
        // SAFETY: this is the thread of the environment, which is alive, within a handle scope; the results go to live variables.
        unsafe { sys::napi_get_reference_value(self.env, self.reference, &raw mut array) };
        // SAFETY: on the environment's thread, with a value of this handle scope; the results go to live variables.
        let status =
            unsafe { sys::napi_get_typedarray_info(self.env, array, &raw mut kind, &raw mut len, &raw mut data, &raw mut owner, &raw mut offset) };
        if status != sys::Status::napi_ok || data.is_null() {
            return (&mut [], &mut self.used);
        }
        // SAFETY: the memory of an array that the reference keeps and that only JavaScript, which does not run meanwhile, could give away: the
        // caller calls nothing of JavaScript while it has the slice.
        (unsafe { std::slice::from_raw_parts_mut(data.cast(), len) }, &mut self.used)
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        // SAFETY: dropped on the thread of the environment, with the hub at the latest, whose finalizer runs before the environment is gone.
        unsafe { sys::napi_delete_reference(self.env, self.reference) };
    }
}
