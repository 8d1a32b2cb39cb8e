//! One segment of shared memory.

use super::size;
use crate::error::{Failure, guard};
use crate::memory::{WholeMemory, to_shared_buffer};
use napi::Env;
use napi::bindgen_prelude::{BigInt, Buffer, Either, Uint8Array};
use napi_derive::napi;
use procs::{Error, ErrorKind, Result, SharedMemory};
use std::os::fd::{AsFd, AsRawFd};

/// A segment until it is closed.
#[napi]
pub struct Memory {
    core: Option<SharedMemory>,
}

impl Memory {
    fn new(core: SharedMemory) -> Memory {
        Memory { core: Some(core) }
    }

    /// The segment; `lib` does not ask for it after `close`.
    pub(crate) fn open(&self) -> Result<&SharedMemory> {
        self.core.as_ref().ok_or_else(|| Error::new(ErrorKind::InvalidState, "memory", "it was closed"))
    }
}

/// Makes a segment.
#[napi]
pub fn create_memory(len: f64, read_only: bool, prefault: bool, huge_pages: bool) -> Either<Memory, Failure> {
    guard(|| {
        let options = SharedMemory::options().read_only(read_only).prefault(prefault).huge_pages(huge_pages);
        Ok(Memory::new(options.create(size(len, "size")?)?))
    })
}

/// Opens the segment behind a descriptor, which stays open and the caller's.
#[napi]
pub fn open_memory(fd: i32) -> Either<Memory, Failure> {
    guard(|| Ok(Memory::new(SharedMemory::from_fd(procs::duplicate_fd(fd)?)?)))
}

/// One field of the layout of shared memory.
#[napi(object)]
pub struct LayoutField {
    /// Structure and field.
    pub name: String,
    /// Bytes from the start of the structure.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
}

/// Every field of the layout of shared memory.
#[napi]
pub fn memory_layout() -> Vec<LayoutField> {
    let row = |field: &procs::Field| LayoutField { name: field.name.to_owned(), offset: field.offset as u32, size: field.size as u32 };
    procs::memory_layout().iter().map(row).collect()
}

#[napi]
impl Memory {
    /// Usable bytes.
    #[napi(getter)]
    pub fn size(&self) -> f64 {
        self.core.as_ref().map_or(0.0, |core| core.len() as f64)
    }

    /// The descriptor of the memory.
    #[napi(getter)]
    pub fn fd(&self) -> i32 {
        self.core.as_ref().map_or(-1, |core| core.as_fd().as_raw_fd())
    }

    /// Whether others can only read it.
    #[napi(getter)]
    pub fn read_only(&self) -> bool {
        self.core.as_ref().is_some_and(SharedMemory::is_read_only)
    }

    /// Whether this process can write to it.
    #[napi(getter)]
    pub fn writable(&self) -> bool {
        self.core.as_ref().is_some_and(SharedMemory::is_writable)
    }

    /// Whether the system agreed to huge pages.
    #[napi(getter)]
    pub fn huge_pages(&self) -> bool {
        self.core.as_ref().is_some_and(SharedMemory::has_huge_pages)
    }

    /// The memory itself as a Buffer; a copy where this process cannot write, since a write would be a fault.
    #[napi]
    pub fn buffer(&self, env: Env) -> napi::Result<WholeMemory> {
        let core = self.open().map_err(|error| napi::Error::from_reason(error.to_string()))?;
        to_shared_buffer(&env, core)
    }

    /// Gives the memory up now, not when the collector comes; what lives in it and buffers keep what they have.
    #[napi]
    pub fn close(&mut self) {
        self.core = None;
    }

    /// Copies bytes out.
    #[napi]
    pub fn read(&self, offset: f64, len: f64) -> Either<Buffer, Failure> {
        guard(|| Ok(self.open()?.read(size(offset, "offset")?, size(len, "size")?)?.into()))
    }

    /// Copies bytes in.
    #[napi]
    pub fn write(&self, offset: f64, bytes: Uint8Array) -> Either<bool, Failure> {
        guard(|| self.open()?.write(size(offset, "offset")?, &bytes).map(|()| true))
    }

    /// Sets a range to one byte.
    #[napi]
    pub fn fill(&self, offset: f64, len: f64, byte: u8) -> Either<bool, Failure> {
        guard(|| self.open()?.fill(size(offset, "offset")?, size(len, "size")?, byte).map(|()| true))
    }

    /// One operation on a number: its kind, what to do, and up to two values.
    #[napi]
    pub fn cell(&self, kind: String, offset: f64, operation: String, value: BigInt, expected: BigInt) -> Either<BigInt, Failure> {
        guard(|| {
            let at = size(offset, "offset")?;
            // The lower bits are what counts, whatever the sign.
            let (value, expected) = (bits(&value), bits(&expected));
            macro_rules! apply {
                ($cell:expr, $number:ty) => {{
                    let cell = $cell;
                    let (value, expected) = (value as $number, expected as $number);
                    Ok(BigInt::from(i128::from(match operation.as_str() {
                        "load" => cell.load(),
                        "store" => {
                            cell.store(value);
                            value
                        }
                        "swap" => cell.swap(value),
                        "add" => cell.fetch_add(value),
                        "sub" => cell.fetch_sub(value),
                        _ => cell.compare_exchange(expected, value).unwrap_or_else(|found| found),
                    })))
                }};
            }
            match kind.as_str() {
                "u32" => apply!(self.open()?.cell_u32(at)?, u32),
                "i32" => apply!(self.open()?.cell_i32(at)?, i32),
                "u64" => apply!(self.open()?.cell_u64(at)?, u64),
                "i64" => apply!(self.open()?.cell_i64(at)?, i64),
                _ => Err(Error::new(
                    ErrorKind::InvalidArgument,
                    "memory.cell",
                    format!("no such number (kind = {kind}, expected u32, i32, u64 or i64)"),
                )),
            }
        })
    }
}

fn bits(value: &BigInt) -> u64 {
    let word = value.words.first().copied().unwrap_or(0);
    if value.sign_bit { word.wrapping_neg() } else { word }
}
