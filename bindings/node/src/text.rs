//! Texts of JavaScript as bytes, and bytes as texts, without copying where that is cheaper.

#![allow(unsafe_code)]

use crate::message_parts::room_to_send;
use crate::narrow;
use crate::poller::symbol;
use crate::spare::{Home, home};
use napi::bindgen_prelude::{FromNapiValue, FunctionCallContext, Unknown};
use napi::{Env, JsString, JsValue, sys};
use procs::Bytes;
use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// What is kept for texts that are written elsewhere first.
const DETOUR_AT_MOST: usize = 4 << 20;

/// Bytes of a text that is taken in one step.
const SHORT: usize = 512;

/// From this size on, text lies outside of the runtime's heap, where it neither causes collections nor touches fresh memory each time.
const OWN_FROM: usize = 256 << 10;

thread_local! {
    /// Memory for texts whose block is dear to write to, letter by letter.
    static DETOUR: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The bytes of a text if all of it is ASCII, with room for one more.
///
/// # Errors
/// `Exhausted`.
pub(crate) fn ascii_of(env: &Env, text: &JsString<'_>) -> procs::Result<Option<Vec<u8>>> {
    let (env, text) = (env.raw(), text.raw());
    let len = length_of(env, text);
    // With the zero that the runtime writes behind it.
    let size = len + 1;
    let mut bytes = room_to_send(size)?;
    let mut written = 0;
    // SAFETY: the vector has room for `size` bytes.
    let status = unsafe { sys::napi_get_value_string_utf8(env, text, bytes.as_mut_ptr().cast(), size, &raw mut written) };
    if status != sys::Status::napi_ok || written != len {
        return Ok(None);
    }
    // SAFETY: so many bytes were written.
    unsafe { bytes.set_len(len) };
    // As many bytes as the text has units, and each of them a character of its own: nothing is missing.
    Ok(bytes.is_ascii().then_some(bytes))
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
        detour.try_reserve_exact(size.saturating_sub(detour.len())).ok()?;
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

/// What [`narrow_of`] gave in UTF-8: the same if all of it is ASCII. `None` where there is no memory.
pub(crate) fn utf8_of(narrow: procs::Block) -> Option<procs::Buffer> {
    let bytes = narrow.as_slice().ok()?;
    if bytes.is_ascii() { Some(narrow.into()) } else { narrow::to_utf8(bytes).map(procs::Buffer::from) }
}

/// Units of a text; 0 for what is none.
fn length_of(env: sys::napi_env, text: sys::napi_value) -> usize {
    let mut len = 0;
    // SAFETY: both are of the call that is being answered; without a buffer only the length is asked for.
    unsafe { sys::napi_get_value_string_utf16(env, text, std::ptr::null_mut(), 0, &raw mut len) };
    len
}

/// A text with characters of any kind in UTF-8, with room for one more byte.
///
/// # Errors
/// `Exhausted`.
pub(crate) fn wide_of(env: &Env, text: &JsString<'_>) -> procs::Result<Vec<u8>> {
    let (env, text) = (env.raw(), text.raw());
    let (mut len, mut written) = (0, 0);
    // SAFETY: both are of the call that is being answered; without a buffer only the length is asked for.
    unsafe { sys::napi_get_value_string_utf8(env, text, std::ptr::null_mut(), 0, &raw mut len) };
    let mut bytes = room_to_send(len + 1)?;
    // SAFETY: the vector has room for the text and the zero behind it.
    let status = unsafe { sys::napi_get_value_string_utf8(env, text, bytes.as_mut_ptr().cast(), len + 1, &raw mut written) };
    if status == sys::Status::napi_ok {
        // SAFETY: so many bytes were written.
        unsafe { bytes.set_len(written) };
    }
    Ok(bytes)
}

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
///
/// # Errors
/// `Exhausted`.
pub(crate) fn bytes_of(env: &Env, text: &JsString<'_>) -> procs::Result<Vec<u8>> {
    ascii_of(env, text)?.map_or_else(|| wide_of(env, text), Ok)
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
        let found = symbol(c"node_api_create_external_string_latin1");
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
