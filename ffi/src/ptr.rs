//! The one place that looks behind a pointer from C.
//!
//! The functions here are called by exported functions only, and those are `unsafe extern "C"`: by the rules at the top of `procs.h` every
//! pointer is NULL or points to what the declaration says, for the length given with it, during the call (handles excepted: they are never
//! dereferenced, see `slab`). "The rules" below means these. NULL, misaligned pointers and impossible lengths are refused before any access.

use crate::status::invalid;
use procs::{Error, ErrorKind, Result};
use std::any::{Any, TypeId};
use std::ffi::{CStr, OsStr, OsString, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// A struct whose first field is `size: usize`.
///
/// # Safety
/// `repr(C)`, aligned to 8, that field first, no padding anywhere (a later version would put a field there), and every bit pattern of the other
/// fields is a value: integers, raw pointers and `Option` of function pointers only.
pub(crate) unsafe trait Sized8: Copy {
    /// The name in C, for messages.
    const NAME: &'static str;
}

/// Larger than any struct will ever be: a size beyond it is garbage, not a newer version.
const LARGEST: usize = 4096;

/// The operation on whose behalf an argument is read; gives the error messages their start.
pub(crate) type Operation = &'static str;

#[inline]
fn check<T>(operation: Operation, name: &str, pointer: *const T) -> Result<()> {
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(no_pointer(operation, name, pointer.addr(), align_of::<T>()));
    }
    Ok(())
}

#[cold]
fn no_pointer(operation: Operation, name: &str, address: usize, align: usize) -> Error {
    if address == 0 {
        return invalid(operation, format!("a pointer is missing ({name} = NULL)"));
    }
    invalid(operation, format!("a pointer is not aligned ({name} = {address:#x}, expected a multiple of {align})"))
}

/// A NUL-terminated text.
pub(crate) fn text<'a>(operation: Operation, name: &str, pointer: *const c_char) -> Result<&'a OsStr> {
    check(operation, name, pointer)?;
    // SAFETY: not NULL; NUL-terminated and alive during the call by the rules. `'a` does not outlast the call because results are copied.
    Ok(OsStr::from_bytes(unsafe { CStr::from_ptr(pointer) }.to_bytes()))
}

/// A NUL-terminated text that may be absent.
pub(crate) fn optional_text<'a>(operation: Operation, name: &str, pointer: *const c_char) -> Result<Option<&'a OsStr>> {
    if pointer.is_null() { Ok(None) } else { text(operation, name, pointer).map(Some) }
}

/// A NULL-terminated list of texts, copied.
pub(crate) fn text_list(operation: Operation, name: &str, list: *const *const c_char) -> Result<Vec<OsString>> {
    check(operation, name, list)?;
    let mut texts = Vec::new();
    loop {
        // SAFETY: the list ends with NULL by the rules, and the loop ends there, so this entry exists.
        let place = unsafe { list.add(texts.len()) };
        // SAFETY: an entry of the list, at most its NULL; aligned because the list is.
        let entry = unsafe { place.read() };
        if entry.is_null() {
            return Ok(texts);
        }
        texts.push(text(operation, name, entry)?.to_owned());
    }
}

/// An array given by pointer and length. NULL is an empty array if its length is 0.
pub(crate) fn array<'a, T: Copy>(operation: Operation, name: &str, pointer: *const T, len: usize) -> Result<&'a [T]> {
    if len == 0 {
        return Ok(&[]);
    }
    check(operation, name, pointer)?;
    fits::<T>(operation, name, len)?;
    // SAFETY: not NULL, aligned, not longer than any object can be; `len` initialised elements by the rules.
    Ok(unsafe { std::slice::from_raw_parts(pointer, len) })
}

/// A buffer to write into.
pub(crate) fn array_mut<'a, T: Copy>(operation: Operation, name: &str, pointer: *mut T, len: usize) -> Result<&'a mut [T]> {
    check(operation, name, pointer.cast_const())?;
    fits::<T>(operation, name, len)?;
    // SAFETY: not NULL, aligned, not longer than any object can be; writable for `len` elements and used by nobody else during the call, by
    // the rules.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, len) })
}

fn fits<T>(operation: Operation, name: &str, len: usize) -> Result<()> {
    match len.checked_mul(size_of::<T>()) {
        Some(bytes) if isize::try_from(bytes).is_ok() => Ok(()),
        _ => Err(invalid(operation, format!("a length is impossible ({name}, length = {len})"))),
    }
}

/// A checked out-parameter: made before the work begins, written after it went well.
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// An out-parameter that must be there.
    #[inline]
    pub(crate) fn new(operation: Operation, name: &str, pointer: *mut T) -> Result<Out<T>> {
        check(operation, name, pointer.cast_const())?;
        Ok(Out(pointer))
    }

    /// Writes the result.
    pub(crate) fn set(self, value: T) {
        // SAFETY: `new` checked for NULL and alignment; writable by the rules. What was there is not read or dropped.
        unsafe { self.0.write(value) }
    }
}

/// Writes to an out-parameter that may be NULL when the caller does not want it.
pub(crate) fn set_optional<T>(operation: Operation, name: &str, pointer: *mut T, value: T) -> Result<()> {
    if !pointer.is_null() {
        Out::new(operation, name, pointer)?.set(value);
    }
    Ok(())
}

/// The size that a caller of this version or another put into a struct.
fn size_of_caller<T: Sized8>(operation: Operation, pointer: *const T) -> Result<usize> {
    check(operation, T::NAME, pointer)?;
    // SAFETY: not NULL and aligned; at least the size field is readable by the rules.
    let size = unsafe { pointer.cast::<usize>().read() };
    check_size::<T>(operation, size)?;
    Ok(size)
}

#[inline]
fn check_size<T: Sized8>(operation: Operation, size: usize) -> Result<()> {
    if (size_of::<usize>()..=LARGEST).contains(&size) && size.is_multiple_of(size_of::<usize>()) {
        return Ok(());
    }
    Err(no_size(operation, T::NAME, size))
}

#[cold]
fn no_size(operation: Operation, name: &str, size: usize) -> Error {
    if size > LARGEST {
        let detail = format!("a struct is too large ({name}.size = {size}, expected at most {LARGEST})");
        return Error::new(ErrorKind::TooLarge, operation, detail);
    }
    invalid(operation, format!("a struct has an impossible size ({name}.size = {size}, expected sizeof({name}))"))
}

/// Reads an options struct: fields beyond the caller's size keep their defaults; bytes beyond ours must be zero, because they ask for something
/// that this version does not know.
pub(crate) fn read_options<T: Sized8>(operation: Operation, pointer: *const T, defaults: &T) -> Result<T> {
    let size = size_of_caller(operation, pointer)?;
    if size == size_of::<T>() {
        // SAFETY: not NULL and aligned; the caller's struct has `size` readable bytes by the rules, and by `Sized8` any bytes are values.
        return Ok(unsafe { pointer.read() });
    }
    let known = size.min(size_of::<T>());
    let mut options = MaybeUninit::<T>::uninit();
    let to = options.as_mut_ptr().cast::<u8>();
    let rest = std::ptr::from_ref(defaults).cast::<u8>().wrapping_add(known);
    // SAFETY: the caller's struct has `size` readable bytes by the rules; `known` fits both.
    unsafe { std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), to, known) };
    // SAFETY: what is left of both structs, which are different objects.
    unsafe { std::ptr::copy_nonoverlapping(rest, to.wrapping_add(known), size_of::<T>() - known) };
    // SAFETY: the caller's struct has `size` readable bytes by the rules.
    let bytes = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), size) };
    if size > known && bytes[known..].iter().any(|&byte| byte != 0) {
        let detail = format!("a struct of a newer version uses fields unknown here ({}.size = {size}, known = {})", T::NAME, size_of::<T>());
        return Err(Error::new(ErrorKind::TooLarge, operation, detail));
    }
    // SAFETY: all bytes were written above; by `Sized8` any bytes are values.
    Ok(unsafe { options.assume_init() })
}

/// As [`read_options`], without a copy of what is as large as here: a start is made with cold caches, where each line copied takes its time.
pub(crate) fn look_at_options<'a, T: Sized8>(operation: Operation, pointer: *const T, defaults: &T, room: &'a mut Option<T>) -> Result<&'a T> {
    if size_of_caller(operation, pointer)? == size_of::<T>() {
        // SAFETY: not NULL and aligned; the caller's struct stays as it is during the call by the rules, which the room outlives; by `Sized8` any bytes
        // are values.
        return Ok(unsafe { &*pointer });
    }
    Ok(room.insert(read_options(operation, pointer, defaults)?))
}

/// Whether two structs are the same from byte `from` up to byte `to`.
pub(crate) fn same_part<T: Sized8>(one: &T, other: &T, from: usize, to: usize) -> bool {
    let part = |value: &T| {
        // SAFETY: the bytes of a struct that is borrowed meanwhile; by `Sized8` none of them is padding.
        let bytes = unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast::<u8>(), size_of::<T>()) };
        &bytes[from..to]
    };
    part(one) == part(other)
}

/// Writes the defaults for as many bytes as the caller has, and zeros beyond what this version knows.
pub(crate) fn init_options<T: Sized8>(operation: Operation, pointer: *mut T, size: usize, defaults: &T) -> Result<()> {
    check(operation, T::NAME, pointer.cast_const())?;
    check_size::<T>(operation, size)?;
    let known = size.min(size_of::<T>());
    // SAFETY: the caller's struct has `size` writable bytes by the rules, of which `known` are written below.
    unsafe { std::ptr::write_bytes(pointer.cast::<u8>().wrapping_add(known), 0, size - known) };
    // SAFETY: `known` bytes fit both structs.
    unsafe { std::ptr::copy_nonoverlapping(std::ptr::from_ref(defaults).cast::<u8>(), pointer.cast::<u8>(), known) };
    // SAFETY: `size` is at least that of the field, which comes first by `Sized8`.
    unsafe { pointer.cast::<usize>().write(size) };
    Ok(())
}

/// A result struct of the caller, checked before the work begins; its size field says how much of it there is.
pub(crate) struct OutStruct<T: Sized8> {
    pointer: *mut T,
    size: usize,
}

impl<T: Sized8> OutStruct<T> {
    /// A result struct that must be there.
    #[inline]
    pub(crate) fn new(operation: Operation, pointer: *mut T) -> Result<OutStruct<T>> {
        let size = size_of_caller(operation, pointer.cast_const())?;
        Ok(OutStruct { pointer, size })
    }

    /// A result struct that may be NULL when the caller does not want it.
    pub(crate) fn optional(operation: Operation, pointer: *mut T) -> Result<Option<OutStruct<T>>> {
        if pointer.is_null() { Ok(None) } else { OutStruct::new(operation, pointer).map(Some) }
    }

    /// Writes as much of the result as the caller has room for; its size field stays.
    pub(crate) fn set(self, value: T) {
        let skip = size_of::<usize>();
        let known = self.size.min(size_of::<T>());
        let from = (&raw const value).cast::<u8>().wrapping_add(skip);
        let to = self.pointer.cast::<u8>().wrapping_add(skip);
        // SAFETY: both structs have `known` bytes, `known` is at least `skip`, and they are different objects.
        unsafe { std::ptr::copy_nonoverlapping(from, to, known - skip) };
    }
}

/// Frees nothing and keeps nothing: a descriptor of the host, duplicated (close-on-exec) so that the library owns its copy.
pub(crate) fn duplicate_fd(operation: Operation, fd: c_int) -> Result<OwnedFd> {
    if fd < 0 {
        return Err(Error::from_os(operation, libc::EBADF, format!("not a descriptor (fd = {fd})")));
    }
    // SAFETY: not negative; the caller keeps it open during the call by the rules, and a closed one only makes the call fail with EBADF.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    borrowed.try_clone_to_owned().map_err(|error| Error::from_io(operation, &error, format!("cannot duplicate a descriptor (fd = {fd})")))
}

/// A value of any type that notes which: `dyn Any` asks a function for it, which costs more than all the rest of finding a handle's object.
pub(crate) struct Noted {
    kind: TypeId,
    value: Box<dyn Any + Send + Sync>,
}

impl Noted {
    pub(crate) fn new<T: Any + Send + Sync>(value: T) -> Noted {
        Noted { kind: TypeId::of::<T>(), value: Box::new(value) }
    }

    /// The value, if this is its type.
    #[inline]
    pub(crate) fn get<T: Any>(&self) -> Option<&T> {
        if self.kind != TypeId::of::<T>() {
            return None;
        }
        // SAFETY: the value in the box is of the type that `new` noted, which is this one.
        Some(unsafe { &*(&raw const *self.value).cast::<T>() })
    }
}

/// The caller's `user_data`, carried to the thread that calls back.
#[derive(Clone, Copy)]
pub(crate) struct UserData(pub(crate) *mut c_void);

// SAFETY: the library only hands the pointer back; the header tells the caller on which thread, so that what it points to is up to it.
unsafe impl Send for UserData {}

/// `void output(const char *data, size_t len, void *user_data)`.
pub(crate) type OutputFn = unsafe extern "C" fn(*const c_char, usize, *mut c_void);
/// `int64_t input(char *buffer, size_t capacity, void *user_data)`.
pub(crate) type InputFn = unsafe extern "C" fn(*mut c_char, usize, *mut c_void) -> i64;
/// `void progress(size_t index, int status, const char *message, void *user_data)`.
pub(crate) type ProgressFn = unsafe extern "C" fn(usize, c_int, *const c_char, *mut c_void);

/// Gives a chunk to the caller's output function.
pub(crate) fn call_output(function: OutputFn, data: &[u8], user: UserData) {
    // SAFETY: the function is the caller's and matches its type by the rules; `data` is alive during the call.
    unsafe { function(data.as_ptr().cast(), data.len(), user.0) }
}

/// Asks the caller's input function to fill the buffer.
pub(crate) fn call_input(function: InputFn, buffer: &mut [u8], user: UserData) -> i64 {
    // SAFETY: the function is the caller's and matches its type by the rules; it writes at most `len` bytes to the buffer, which is alive during the call.
    unsafe { function(buffer.as_mut_ptr().cast(), buffer.len(), user.0) }
}

/// Tells the caller's progress function about one finished command.
pub(crate) fn call_progress(function: ProgressFn, index: usize, status: c_int, message: &CStr, user: UserData) {
    // SAFETY: the function is the caller's and matches its type by the rules; `message` is alive during the call.
    unsafe { function(index, status, message.as_ptr(), user.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Two {
        size: usize,
        first: u64,
        second: u64,
    }
    // SAFETY: three 8-byte integers.
    unsafe impl Sized8 for Two {
        const NAME: &'static str = "two";
    }
    const DEFAULTS: Two = Two { size: 24, first: 11, second: 12 };

    #[test]
    fn smaller_struct_takes_defaults() {
        let old = Two { size: 16, first: 1, second: 2 };
        assert_eq!(read_options("test", &old, &DEFAULTS).unwrap(), Two { size: 16, first: 1, second: 12 });
        let mut room = None;
        let looked = look_at_options("test", &old, &DEFAULTS, &mut room).unwrap();
        assert_eq!((looked.second, std::ptr::eq(looked, &old)), (12, false));
        let whole = Two { size: size_of::<Two>(), first: 3, second: 4 };
        assert!(std::ptr::eq(look_at_options("test", &whole, &DEFAULTS, &mut None).unwrap(), &whole));
    }

    #[test]
    fn larger_struct_is_fine_only_with_a_zero_tail() {
        let mut new = [32usize, 1, 2, 0];
        assert_eq!(read_options::<Two>("test", new.as_ptr().cast(), &DEFAULTS).unwrap().second, 2);
        new[3] = 1 << 63;
        assert_eq!(read_options::<Two>("test", new.as_ptr().cast(), &DEFAULTS).err().unwrap().kind(), ErrorKind::TooLarge);
    }

    #[test]
    fn impossible_sizes_are_refused() {
        for (size, kind) in
            [(0, ErrorKind::InvalidArgument), (4, ErrorKind::InvalidArgument), (23, ErrorKind::InvalidArgument), (1 << 32, ErrorKind::TooLarge)]
        {
            let odd = Two { size, first: 0, second: 0 };
            assert_eq!(read_options("test", &odd, &DEFAULTS).err().unwrap().kind(), kind, "size {size}");
        }
    }

    #[test]
    fn lengths_that_no_object_has_are_refused() {
        let byte = 0u8;
        assert!(array("test", "data", &raw const byte, usize::MAX).is_err());
        assert!(array::<u64>("test", "data", std::ptr::without_provenance(8), usize::MAX / 4).is_err());
        assert!(array::<u64>("test", "data", std::ptr::without_provenance(4), 1).is_err());
        assert!(array::<u64>("test", "data", std::ptr::null(), 1).is_err());
        assert!(array::<u64>("test", "data", std::ptr::null(), 0).unwrap().is_empty());
    }
}
