//! What a capture hands over: bytes, owned, wherever they lie.

use crate::io::transfer::GrowBuffer;
use crate::spawn::Input;
use std::fmt;
use std::mem::MaybeUninit;
use std::ops::Deref;

/// Captured bytes, owned. Dereferences to a byte slice whose address does not change.
///
/// Large ones lie in a mapping of their own, which bindings hand over without copying.
///
/// # Drop
/// Small ones are freed. The mapping of a large one (1 MiB and more) is kept warm for the next large output: at most 128 MiB per process,
/// which the kernel takes back under memory pressure.
///
/// ```
/// use procs::Command;
/// let output = Command::new("printf").arg("a b").output()?;
/// assert_eq!(output.stdout, b"a b");
/// assert_eq!(output.stdout.split(|byte| *byte == b' ').count(), 2);
/// let owned: Vec<u8> = output.stdout.into_vec();
/// assert_eq!(owned, b"a b");
/// # Ok::<(), procs::Error>(())
/// ```
#[derive(Default)]
pub struct Bytes(Place);

enum Place {
    Heap(Vec<u8>),
    Mapping(GrowBuffer),
}

impl Default for Place {
    fn default() -> Place {
        Place::Heap(Vec::new())
    }
}

impl Bytes {
    pub(super) fn from_mapping(mut buffer: GrowBuffer) -> Bytes {
        buffer.trim();
        Bytes(Place::Mapping(buffer))
    }

    /// The bytes, by the name that `Vec` has for it.
    pub fn as_slice(&self) -> &[u8] {
        self
    }

    /// The bytes to change in place; the address is the same as when they are read.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Place::Heap(bytes) => bytes,
            Place::Mapping(buffer) => buffer.as_mut_slice(),
        }
    }

    /// Whether [`Bytes::move_to`] may do without a copy.
    #[doc(hidden)]
    pub fn is_mapped(&self) -> bool {
        matches!(self.0, Place::Mapping(_))
    }

    /// Brings the bytes to private memory of the same length, such as a fresh allocation of a binding's runtime: the pages themselves where they fit,
    /// a copy where not.
    #[doc(hidden)]
    pub fn move_to(self, memory: &mut [MaybeUninit<u8>]) {
        match self.0 {
            Place::Heap(bytes) => {
                for (to, from) in memory.iter_mut().zip(bytes) {
                    to.write(from);
                }
            }
            Place::Mapping(buffer) => buffer.move_to(memory),
        }
    }

    /// The bytes as a vector: without copying when they are on the heap (below 1 MiB), else copied.
    pub fn into_vec(self) -> Vec<u8> {
        match self.0 {
            Place::Heap(bytes) => bytes,
            Place::Mapping(buffer) => buffer.as_slice().to_vec(),
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Place::Heap(bytes) => bytes,
            Place::Mapping(buffer) => buffer.as_slice(),
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Clone for Bytes {
    /// Copies the bytes to the heap.
    fn clone(&self) -> Bytes {
        Bytes::from(self.to_vec())
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes(Place::Heap(bytes))
    }
}

impl From<Bytes> for Vec<u8> {
    fn from(bytes: Bytes) -> Vec<u8> {
        bytes.into_vec()
    }
}

impl From<Bytes> for Input {
    /// Lends them: what one child wrote is fed to another without a copy.
    ///
    /// ```
    /// use procs::Command;
    /// let first = Command::new("printf").arg("a b").output()?;
    /// assert_eq!(Command::new("cat").input(first.stdout).output()?.stdout, b"a b");
    /// # Ok::<(), procs::Error>(())
    /// ```
    fn from(bytes: Bytes) -> Input {
        Input::Lent(Box::new(bytes))
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Bytes) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl PartialEq<[u8]> for Bytes {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl PartialEq<&[u8]> for Bytes {
    fn eq(&self, other: &&[u8]) -> bool {
        **self == **other
    }
}

impl<const N: usize> PartialEq<[u8; N]> for Bytes {
    fn eq(&self, other: &[u8; N]) -> bool {
        **self == *other
    }
}

impl<const N: usize> PartialEq<&[u8; N]> for Bytes {
    fn eq(&self, other: &&[u8; N]) -> bool {
        **self == **other
    }
}

impl PartialEq<Vec<u8>> for Bytes {
    fn eq(&self, other: &Vec<u8>) -> bool {
        **self == **other
    }
}

impl PartialEq<Bytes> for Vec<u8> {
    fn eq(&self, other: &Bytes) -> bool {
        self[..] == other[..]
    }
}

impl PartialEq<Bytes> for [u8] {
    fn eq(&self, other: &Bytes) -> bool {
        *self == other[..]
    }
}

impl PartialEq<Bytes> for &[u8] {
    fn eq(&self, other: &Bytes) -> bool {
        **self == other[..]
    }
}

impl<'a> IntoIterator for &'a Bytes {
    type Item = &'a u8;
    type IntoIter = std::slice::Iter<'a, u8>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Bytes {
    /// The first 64 bytes as an escaped byte string, and the length when there is more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 64;
        write!(f, "b\"{}\"", self[..self.len().min(SHOWN)].escape_ascii())?;
        if self.len() > SHOWN { write!(f, ".. ({} bytes)", self.len()) } else { Ok(()) }
    }
}
