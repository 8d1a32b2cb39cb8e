//! Captured bytes as Buffers without copying: the one place of this crate where a pointer is handed out.

#![allow(unsafe_code)]

use crate::blocks::Blocks;
use crate::narrow;
use crate::spare::{Home, REUSE_FROM, home, keep};
use napi::bindgen_prelude::{Buffer, BufferSlice, FromNapiValue, FunctionCallContext, Uint8ArraySlice, Unknown};
use napi::{Env, JsString, JsValue, check_status, sys};
use procs::{Bytes, Flow};
use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{BorrowedFd, RawFd};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// From this size on, a buffer around the captured bytes is cheaper than a copy in the runtime's own memory.
const WRAP_FROM: usize = 64 << 10;

/// Bytes lent out by blocking calls that may wait for the event loop to be given back.
const LENT_AT_MOST: usize = 64 << 20;

/// What is kept for texts that are written elsewhere first.
const DETOUR_AT_MOST: usize = 4 << 20;

thread_local! {
    /// Memory for texts whose block is dear to write to, letter by letter.
    static DETOUR: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
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

/// The bytes of a text if all of it is ASCII.
pub(crate) fn ascii_of(env: &Env, text: &JsString<'_>) -> Option<Vec<u8>> {
    let (env, text) = (env.raw(), text.raw());
    let len = length_of(env, text);
    // With the zero that the runtime writes behind it.
    let size = len + 1;
    let mut bytes = vec![0; size];
    let mut written = 0;
    // SAFETY: the vector has `size` bytes.
    let status = unsafe { sys::napi_get_value_string_utf8(env, text, bytes.as_mut_ptr().cast(), size, &raw mut written) };
    if status != sys::Status::napi_ok || written != len {
        return None;
    }
    // As many bytes as the text has units, and each of them a character of its own: nothing is missing.
    bytes.truncate(len);
    bytes.is_ascii().then_some(bytes)
}

/// A text whose characters all fit one byte as these bytes, in memory that is shared with the other side of the channel: no more than a copy.
pub(crate) fn narrow_of(env: &Env, text: &JsString<'_>, channel: &procs::Channel) -> Option<procs::Block> {
    let (env, text) = (env.raw(), text.raw());
    let len = length_of(env, text);
    // With the zero that the runtime writes behind it.
    let size = len + 1;
    let mut block = channel.alloc(size).ok()?;
    let far = block.is_far();
    let mut detour = if far { DETOUR.take() } else { Vec::new() };
    let begun = Instant::now();
    let target = if far {
        detour.resize(size.max(detour.len()), 0);
        detour.as_mut_ptr()
    } else {
        block.as_ptr()
    };
    let mut written = 0;
    // SAFETY: `block`, which nobody else has yet, and `detour` have `size` bytes each.
    let status = unsafe { sys::napi_get_value_string_latin1(env, text, target.cast(), size, &raw mut written) };
    let done = status == sys::Status::napi_ok && written == len;
    if !far {
        block.note_writing(len, begun.elapsed());
    } else if done {
        block.write(0, &detour[..len]).ok()?;
    }
    if detour.len() <= DETOUR_AT_MOST {
        DETOUR.set(detour);
    }
    if done { block.share(len).ok() } else { None }
}

/// What [`narrow_of`] gave in UTF-8: the same if all of it is ASCII.
pub(crate) fn utf8_of(narrow: procs::Block) -> Option<procs::Buffer> {
    let bytes = narrow.as_slice().ok()?;
    Some(if bytes.is_ascii() { narrow.into() } else { narrow::to_utf8(bytes).into() })
}

/// Units of a text; 0 for what is none.
fn length_of(env: sys::napi_env, text: sys::napi_value) -> usize {
    let mut len = 0;
    // SAFETY: both are of the call that is being answered; without a buffer only the length is asked for.
    unsafe { sys::napi_get_value_string_utf16(env, text, std::ptr::null_mut(), 0, &raw mut len) };
    len
}

/// A text with characters of any kind in UTF-8.
pub(crate) fn wide_of(env: &Env, text: &JsString<'_>) -> Option<Vec<u8>> {
    // SAFETY: a text of the call that is being answered.
    unsafe { String::from_napi_value(env.raw(), text.raw()) }.map(String::into_bytes).ok()
}

/// Bytes of a text that is taken in one step.
const SHORT: usize = 512;

/// An argument that is a short text; `None` where it is a long one, or none.
pub(crate) fn short_text_at(call: &FunctionCallContext<'_>, index: usize) -> Option<String> {
    let value = call.get::<Unknown<'_>>(index).ok()?;
    let mut bytes = [0u8; SHORT];
    let mut written = 0;
    // SAFETY: a value of the call that is being answered; there is as much room as is said.
    let status = unsafe { sys::napi_get_value_string_utf8(call.env.raw(), value.raw(), bytes.as_mut_ptr().cast(), SHORT, &raw mut written) };
    // A character that has no room is left out: four bytes at most, and the zero at the end.
    if status != sys::Status::napi_ok || written + 5 > SHORT {
        return None;
    }
    std::str::from_utf8(&bytes[..written]).ok().map(str::to_owned)
}

/// The bytes of a text in UTF-8, with room for one more.
pub(crate) fn bytes_of(env: &Env, text: &JsString<'_>) -> Vec<u8> {
    let (raw, value) = (env.raw(), text.raw());
    let len = length_of(raw, value);
    let mut bytes = Vec::<u8>::with_capacity(len + 2);
    let mut written = 0;
    // SAFETY: the vector has this much room, the zero behind the text included.
    let status = unsafe { sys::napi_get_value_string_utf8(raw, value, bytes.as_mut_ptr().cast(), len + 2, &raw mut written) };
    if status == sys::Status::napi_ok && written == len {
        // SAFETY: so many bytes were written.
        unsafe { bytes.set_len(len) };
        // As many bytes as the text has units, and each of them a character of its own: nothing was cut off.
        if bytes.is_ascii() {
            return bytes;
        }
    }
    wide_of(env, text).unwrap_or_default()
}

/// Text for JavaScript. Most of it has nothing to decode.
pub(crate) fn text_of<'env>(env: &'env Env, bytes: &[u8]) -> napi::Result<JsString<'env>> {
    if bytes.len() > OWN_FROM
        && let Some(narrow) = narrow::from_utf8(bytes)
    {
        return own_text(env, Narrow::Message(narrow));
    }
    short_text(env, bytes)
}

/// Text for JavaScript of bytes that are a character each.
pub(crate) fn narrow_text<'env>(env: &'env Env, bytes: &[u8]) -> napi::Result<JsString<'env>> {
    if bytes.len() > OWN_FROM
        && let Some(narrow) = narrow::copy(bytes)
    {
        return own_text(env, Narrow::Message(narrow));
    }
    env.create_string_latin1(bytes)
}

/// As [`text_of`], for bytes that nobody else needs: large ones are not copied if they are ASCII.
pub(crate) fn text_of_output(env: &Env, bytes: Bytes) -> napi::Result<JsString<'_>> {
    if bytes.is_ascii() && bytes.len() > OWN_FROM { own_text(env, Narrow::Output(bytes)) } else { short_text(env, &bytes) }
}

/// A text in the runtime's heap.
fn short_text<'env>(env: &'env Env, bytes: &[u8]) -> napi::Result<JsString<'env>> {
    if bytes.is_ascii() {
        return env.create_string_latin1(bytes);
    }
    // Valid text is passed on as it is, and not copied for that.
    env.create_string(&*String::from_utf8_lossy(bytes))
}

/// From this size on, text lies outside of the runtime's heap, where it neither causes collections nor touches fresh memory each time.
const OWN_FROM: usize = 256 << 10;

/// `node_api_create_external_string_latin1` of js_native_api.h. Looked up when it is needed: it is not in every version.
type CreateExternal =
    unsafe extern "C" fn(sys::napi_env, *mut c_char, usize, sys::napi_finalize, *mut c_void, *mut sys::napi_value, *mut bool) -> sys::napi_status;

/// The bytes of a text, one for each character.
enum Narrow {
    Output(Bytes),
    /// Memory that is used again.
    Message(Vec<u8>),
}

impl Narrow {
    fn as_mut_slice(&mut self) -> &mut [u8] {
        match self {
            Narrow::Output(bytes) => bytes.as_mut_slice(),
            Narrow::Message(bytes) => bytes,
        }
    }
}

/// A text over the bytes; in the runtime's heap where it cannot have others.
fn own_text(env: &Env, mut bytes: Narrow) -> napi::Result<JsString<'_>> {
    static CREATE: OnceLock<Option<CreateExternal>> = OnceLock::new();
    let create = CREATE.get_or_init(|| {
        let found = crate::poller::symbol(c"node_api_create_external_string_latin1");
        // SAFETY: the runtime declares the function of this name with this type.
        found.map(|found| unsafe { std::mem::transmute::<*mut c_void, CreateExternal>(found) })
    });
    let Some(create) = *create else { return env.create_string_latin1(bytes.as_mut_slice()) };
    let len = bytes.as_mut_slice().len();
    let home = home();
    let gone = home.told();
    let own = Box::into_raw(Box::new((bytes, home)));
    // SAFETY: `own` has just been made and nobody else has it.
    let data = unsafe { (*own).0.as_mut_slice() }.as_mut_ptr();
    let (mut text, mut copied) = (std::ptr::null_mut(), false);
    // Undone by `free`, also where the runtime prefers a copy and calls it at once.
    account(env.raw(), len as i64 - gone as i64);
    // SAFETY: the bytes stay where they are until `free` is called with `own`, once; the results go to live variables.
    let status = unsafe { create(env.raw(), data.cast(), len, Some(free), own.cast(), &raw mut text, &raw mut copied) };
    if status != sys::Status::napi_ok {
        account(env.raw(), -(len as i64));
        // SAFETY: nothing was made of it, so it is still ours alone.
        return env.create_string_latin1(unsafe { Box::from_raw(own) }.0.as_mut_slice());
    }
    // SAFETY: the value is a string that this call has just got.
    unsafe { JsString::from_napi_value(env.raw(), text) }
}

/// Tells the collector what depends on it.
fn account(env: sys::napi_env, change: i64) {
    let mut now = 0;
    if !env.is_null() {
        // SAFETY: this is the thread of the environment, which is alive; the result goes to a live variable.
        unsafe { sys::napi_adjust_external_memory(env, change, &raw mut now) };
    }
}

/// The text is gone. Newer runtimes say so on a thread of their collector, where nothing of the environment may be called.
unsafe extern "C" fn free(env: sys::napi_env, _data: *mut c_void, own: *mut c_void) {
    // SAFETY: the hint of `own_text`, given back once.
    let (mut bytes, home) = *unsafe { Box::from_raw(own.cast::<Ended>()) };
    let len = bytes.as_mut_slice().len();
    if home.is_here() {
        account(env, -(len as i64));
    } else {
        home.note(len);
    }
    if let Narrow::Message(bytes) = bytes {
        home.keep(bytes);
    }
}

/// What a text leaves, which goes to another thread.
type Ended = (Narrow, Arc<Home>);
const _: () = goes_anywhere::<Ended>();

const fn goes_anywhere<T: Send>() {}

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
