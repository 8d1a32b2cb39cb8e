//! Shared memory: making, opening, copying, and numbers in it.

use crate::choices::timeout;
use crate::guard::{guard, guard_value};
use crate::ptr::{Operation, Out, OutStruct, Sized8, array, array_mut, duplicate_fd, set_optional};
use crate::slab::{self, Object, Ref};
use crate::status::{c_string, invalid, procs_status};
use procs::{Error, ErrorKind, Result, SharedMemory, memory_layout};
use std::ffi::{CString, c_char, c_int, c_void};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::OnceLock;
use std::time::Duration;

/// Memory that several processes map. It has no name: hand its descriptor over, and it lives as long as somebody has it.
pub struct procs_shm {
    _opaque: [u8; 0],
}

/// Only this process can write it; the kernel refuses everybody else: a flag of `procs_shm_new`.
pub const PROCS_SHM_READ_ONLY: u64 = 1;

/// Fill the page tables now, so that no later access faults: a flag of `procs_shm_new`.
pub const PROCS_SHM_PREFAULT: u64 = 2;

/// Ask for huge pages; ordinary ones serve where there are none: a flag of `procs_shm_new`.
pub const PROCS_SHM_HUGE_PAGES: u64 = 4;

/// Open what is at the offset, or make it where the bytes are still zero: the `how` of everything that lives in shared memory.
pub const PROCS_SHM_OPEN_OR_CREATE: c_int = 0;

/// Make it anew, whatever is there; nobody may be using it.
pub const PROCS_SHM_CREATE: c_int = 1;

/// Open what another process made.
pub const PROCS_SHM_OPEN: c_int = 2;

pub(crate) struct ShmObject(pub(crate) SharedMemory);

impl Object for ShmObject {
    type Handle = procs_shm;
    const TAG: usize = 20;
    const NOUN: &'static str = "shm";
}

pub(crate) fn shm(operation: Operation, handle: *const procs_shm) -> Result<Ref<ShmObject>> {
    slab::get::<ShmObject>(operation, handle)
}

/// Which of the three a `how` means.
pub(crate) fn choose<T>(
    operation: Operation,
    how: c_int,
    (either, create, open): (impl FnOnce() -> Result<T>, impl FnOnce() -> Result<T>, impl FnOnce() -> Result<T>),
) -> Result<T> {
    match how {
        PROCS_SHM_OPEN_OR_CREATE => either(),
        PROCS_SHM_CREATE => create(),
        PROCS_SHM_OPEN => open(),
        _ => Err(invalid(operation, format!("an unknown choice (how = {how}, expected PROCS_SHM_OPEN_OR_CREATE, _CREATE or _OPEN)"))),
    }
}

/// Makes memory of `len` bytes, at least 1, all zero and all there. `flags`: 0, or PROCS_SHM_ joined by |. Owned: free it with `procs_shm_free`.
///
/// Give it to a child as a descriptor (`procs_spawn_options.extra_fds`), which opens it with `procs_shm_from_fd`. Other processes may write at any time:
/// copy bytes in and out, and put what several use at once into cells or under a lock.
///
/// Errors: PROCS_E_EXHAUSTED when the machine has not that much left, PROCS_E_TOO_LARGE when no file can be that large.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_new(len: usize, flags: u64, shm: *mut *mut procs_shm) -> procs_status {
    let operation = "procs_shm_new";
    guard(operation, || {
        let out = Out::new(operation, "shm", shm)?;
        if flags & !(PROCS_SHM_READ_ONLY | PROCS_SHM_PREFAULT | PROCS_SHM_HUGE_PAGES) != 0 {
            return Err(invalid(operation, format!("an unknown flag (flags = {flags:#x})")));
        }
        let options = SharedMemory::options().read_only(flags & PROCS_SHM_READ_ONLY != 0).prefault(flags & PROCS_SHM_PREFAULT != 0);
        let memory = options.huge_pages(flags & PROCS_SHM_HUGE_PAGES != 0).create(len)?;
        out.set(slab::insert(ShmObject(memory))?);
        Ok(())
    })
}

/// Opens memory by a descriptor, which is duplicated: yours stays yours. Owned: free it with `procs_shm_free`.
///
/// Errors: PROCS_E_PERMISSION_DENIED when it is not sealed memory (its owner could shorten it under you), PROCS_E_PROTOCOL when libprocs did not
/// make it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_from_fd(fd: c_int, shm: *mut *mut procs_shm) -> procs_status {
    let operation = "procs_shm_from_fd";
    guard(operation, || {
        let out = Out::new(operation, "shm", shm)?;
        out.set(slab::insert(ShmObject(SharedMemory::from_fd(duplicate_fd(operation, fd)?)?))?);
        Ok(())
    })
}

/// Usable bytes; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_len(shm: *const procs_shm) -> usize {
    guard_value("procs_shm_len", 0, || Ok(self::shm("procs_shm_len", shm)?.0.len()))
}

/// 1 when this process can only read it, else 0; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_is_read_only(shm: *const procs_shm) -> c_int {
    guard_value("procs_shm_is_read_only", 0, || Ok((!self::shm("procs_shm_is_read_only", shm)?.0.is_writable()).into()))
}

/// Its descriptor, to hand over; -1 for NULL. Borrowed: valid until the handle is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_fd(shm: *const procs_shm) -> c_int {
    guard_value("procs_shm_fd", -1, || Ok(self::shm("procs_shm_fd", shm)?.0.as_fd().as_raw_fd()))
}

/// The address of offset 0, aligned to 64 bytes; NULL for NULL. Borrowed: valid until the handle is freed. What you read through it, another
/// process may be writing; a write is a fault where `procs_shm_is_read_only`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_data(shm: *const procs_shm) -> *mut c_void {
    guard_value("procs_shm_data", std::ptr::null_mut(), || Ok(self::shm("procs_shm_data", shm)?.0.as_ptr().cast()))
}

/// Copies `len` bytes from `offset` into `buffer`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_read(shm: *const procs_shm, offset: usize, buffer: *mut c_void, len: usize) -> procs_status {
    let operation = "procs_shm_read";
    guard(operation, || {
        let memory = self::shm(operation, shm)?;
        memory.0.read_into(offset, array_mut(operation, "buffer", buffer.cast::<u8>(), len)?)
    })
}

/// Copies `len` bytes from `data` to `offset`.
///
/// Errors: PROCS_E_PERMISSION_DENIED when this process can only read it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_write(shm: *const procs_shm, offset: usize, data: *const c_void, len: usize) -> procs_status {
    let operation = "procs_shm_write";
    guard(operation, || self::shm(operation, shm)?.0.write(offset, array(operation, "data", data.cast::<u8>(), len)?))
}

/// Frees the handle; the memory lives as long as somebody has it. What was opened in it (locks, counters) stays usable. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_free(shm: *mut procs_shm) -> procs_status {
    guard("procs_shm_free", || slab::remove::<ShmObject>("procs_shm_free", shm).map(drop))
}

/// Reads the 4 bytes at `offset`, a multiple of 4, at once; works on memory that can only be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_load32(shm: *const procs_shm, offset: usize, value: *mut u32) -> procs_status {
    let operation = "procs_shm_load32";
    guard(operation, || {
        let memory = self::shm(operation, shm)?;
        let out = Out::new(operation, "value", value)?;
        out.set(memory.0.load::<u32>(offset)?);
        Ok(())
    })
}

/// Sets the 4 bytes at `offset` at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_store32(shm: *const procs_shm, offset: usize, value: u32) -> procs_status {
    guard("procs_shm_store32", || {
        self::shm("procs_shm_store32", shm)?.0.cell_u32(offset)?.store(value);
        Ok(())
    })
}

/// Adds to the number of 4 bytes at `offset`, wrapping around; `*before`, unless NULL, is what it was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_add32(shm: *const procs_shm, offset: usize, amount: u32, before: *mut u32) -> procs_status {
    let operation = "procs_shm_add32";
    guard(operation, || {
        let cell = self::shm(operation, shm)?.0.cell_u32(offset)?;
        set_optional(operation, "before", before, cell.fetch_add(amount))
    })
}

/// Sets the number of 4 bytes at `offset` to `desired` if it is `expected`; `*before` is what it was, so it worked when that equals `expected`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_compare_exchange32(
    shm: *const procs_shm,
    offset: usize,
    expected: u32,
    desired: u32,
    before: *mut u32,
) -> procs_status {
    let operation = "procs_shm_compare_exchange32";
    guard(operation, || {
        let cell = self::shm(operation, shm)?.0.cell_u32(offset)?;
        let out = Out::new(operation, "before", before)?;
        out.set(cell.compare_exchange(expected, desired).unwrap_or_else(|found| found));
        Ok(())
    })
}

/// Sleeps while the number of 4 bytes at `offset` is `expected`, until `procs_shm_notify32` after it changed. -1: as long as it takes.
///
/// Errors: PROCS_E_TIMEOUT when it still is `expected`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_wait32(shm: *const procs_shm, offset: usize, expected: u32, timeout_ms: i64) -> procs_status {
    let operation = "procs_shm_wait32";
    guard(operation, || {
        let cell = self::shm(operation, shm)?.0.cell_u32(offset)?;
        cell.wait(expected, timeout(operation, "timeout_ms", timeout_ms)?.unwrap_or(Duration::MAX))
    })
}

/// Wakes up to `count` sleepers of the number at `offset`, in whatever process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_notify32(shm: *const procs_shm, offset: usize, count: usize) -> procs_status {
    guard("procs_shm_notify32", || {
        self::shm("procs_shm_notify32", shm)?.0.cell_u32(offset)?.notify(count);
        Ok(())
    })
}

/// Reads the 8 bytes at `offset`, a multiple of 8, at once; works on memory that can only be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_load64(shm: *const procs_shm, offset: usize, value: *mut u64) -> procs_status {
    let operation = "procs_shm_load64";
    guard(operation, || {
        let memory = self::shm(operation, shm)?;
        let out = Out::new(operation, "value", value)?;
        out.set(memory.0.load::<u64>(offset)?);
        Ok(())
    })
}

/// Sets the 8 bytes at `offset` at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_store64(shm: *const procs_shm, offset: usize, value: u64) -> procs_status {
    guard("procs_shm_store64", || {
        self::shm("procs_shm_store64", shm)?.0.cell_u64(offset)?.store(value);
        Ok(())
    })
}

/// Adds to the number of 8 bytes at `offset`, wrapping around; `*before`, unless NULL, is what it was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_add64(shm: *const procs_shm, offset: usize, amount: u64, before: *mut u64) -> procs_status {
    let operation = "procs_shm_add64";
    guard(operation, || {
        let cell = self::shm(operation, shm)?.0.cell_u64(offset)?;
        set_optional(operation, "before", before, cell.fetch_add(amount))
    })
}

/// Sets the number of 8 bytes at `offset` to `desired` if it is `expected`; `*before` is what it was, so it worked when that equals `expected`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_compare_exchange64(
    shm: *const procs_shm,
    offset: usize,
    expected: u64,
    desired: u64,
    before: *mut u64,
) -> procs_status {
    let operation = "procs_shm_compare_exchange64";
    guard(operation, || {
        let cell = self::shm(operation, shm)?.0.cell_u64(offset)?;
        let out = Out::new(operation, "before", before)?;
        out.set(cell.compare_exchange(expected, desired).unwrap_or_else(|found| found));
        Ok(())
    })
}

/// One field of a structure in shared memory: docs/memory.md as data. Set `size` before the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct procs_shm_field {
    /// Size of this struct, set by you.
    pub size: usize,
    /// Structure and field, such as "header.version". Static.
    pub name: *const c_char,
    /// Bytes from the start of the structure.
    pub offset: usize,
    /// Bytes of the field.
    pub len: usize,
}

// SAFETY: repr(C), four pointer-sized fields, size first, no padding, any bits are a value.
unsafe impl Sized8 for procs_shm_field {
    const NAME: &'static str = "procs_shm_field";
}

static NAMES: OnceLock<Vec<CString>> = OnceLock::new();

/// The field with this number, from 0.
///
/// Errors: PROCS_E_NOT_FOUND beyond the last one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_layout(index: usize, field: *mut procs_shm_field) -> procs_status {
    let operation = "procs_shm_layout";
    guard(operation, || {
        let out = OutStruct::new(operation, field)?;
        let fields = memory_layout();
        let names = NAMES.get_or_init(|| fields.iter().map(|field| c_string(field.name)).collect());
        let found = fields.get(index).zip(names.get(index));
        let (found, name) = found.ok_or_else(|| Error::new(ErrorKind::NotFound, operation, format!("no more fields (index = {index})")))?;
        out.set(procs_shm_field { size: 0, name: name.as_ptr(), offset: found.offset, len: found.size });
        Ok(())
    })
}
