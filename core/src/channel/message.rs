//! What is sent: a body in some codec, buffers beside it, descriptors with it.

use super::codec::{self, Codec, JsonLimits};
use super::handle::HandleKind;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::Block;
use serde_json::Value;
use std::fmt;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::os::fd::OwnedFd;

/// One message: a body in a codec, buffers that stay out of the encoded body, and descriptors.
///
/// The core encodes [`Codec::Raw`] (bytes as they are) and [`Codec::Json`]; bodies in other codecs are passed on untouched.
///
/// # Drop
/// Frees the body and the buffers and closes the descriptors.
///
/// ```
/// use procs::{Codec, Message};
/// let message = Message::json(&serde_json::json!({ "answer": 42 }))?.with_buffer(vec![1, 2, 3]);
/// assert_eq!(message.codec, Codec::Json);
/// assert_eq!(&*message.body, br#"{"answer":42}"#);
/// assert_eq!(message.to_json()?["answer"], 42);
/// assert_eq!(message.size(), 16);
/// # Ok::<(), procs::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Message {
    /// How the body is encoded. Default: raw.
    pub codec: Codec,
    /// The body.
    pub body: Buffer,
    /// Bytes that travel beside the body, each with its own length; large ones without being copied. At most 4,096.
    pub buffers: Vec<Buffer>,
    /// Descriptors; the receiver gets copies of its own, close-on-exec.
    pub fds: Vec<OwnedFd>,
    /// What all of `fds` are; checked by the sender and again by the receiver. `None` stands for raw: anything, unchecked.
    pub handle: Option<HandleKind>,
}

impl Message {
    /// A message of bytes as they are.
    pub fn raw(body: impl Into<Buffer>) -> Message {
        Message { body: body.into(), ..Message::default() }
    }

    /// A message of a body that is already encoded in `codec`.
    pub fn encoded(codec: Codec, body: impl Into<Buffer>) -> Message {
        Message { codec, body: body.into(), ..Message::default() }
    }

    /// A message of a JSON value.
    ///
    /// # Errors
    /// `InvalidArgument` when the value cannot be written as JSON.
    pub fn json(value: &Value) -> Result<Message> {
        let body = serde_json::to_vec(value).map_err(|error| Error::invalid("message.json", format!("value is not JSON: {error}")))?;
        Ok(Message::encoded(Codec::Json, body))
    }

    /// The value of a JSON body.
    ///
    /// # Errors
    /// `Protocol` when the codec is another one (the body is not looked at) or the body is no JSON: more than 128 levels deep, a key twice in
    /// one object, text that is not UTF-8.
    pub fn to_json(&self) -> Result<Value> {
        self.to_json_within(&JsonLimits::default())
    }

    /// The value of a JSON body that an untrusted peer may have written.
    ///
    /// # Errors
    /// As [`to_json`](Message::to_json), and `TooLarge` beyond the limits; nothing is built for what is beyond them.
    pub fn to_json_within(&self, limits: &JsonLimits) -> Result<Value> {
        match self.codec {
            Codec::Json => codec::parse_json(&self.body, limits),
            other => {
                let detail = format!("the body is in another codec (codec = {}, expected json)", other.name());
                Err(Error::new(ErrorKind::Protocol, "message.json", detail))
            }
        }
    }

    /// Adds a buffer.
    #[must_use]
    pub fn with_buffer(mut self, buffer: impl Into<Buffer>) -> Message {
        self.buffers.push(buffer.into());
        self
    }

    /// Adds a descriptor.
    #[must_use]
    pub fn with_fd(mut self, fd: impl Into<OwnedFd>) -> Message {
        self.fds.push(fd.into());
        self
    }

    /// Says what the descriptors are.
    #[must_use]
    pub fn with_handle(mut self, handle: HandleKind) -> Message {
        self.handle = Some(handle);
        self
    }

    /// Bytes of body and buffers together.
    pub fn size(&self) -> usize {
        self.buffers.iter().fold(self.body.len(), |sum, buffer| sum.saturating_add(buffer.len()))
    }
}

/// Memory of one's own for a large body, which [`Channel::seek_plain_or_large`](super::Channel::seek_plain_or_large) copies there while its sender is
/// still writing.
pub trait LargeRoom {
    /// Makes room for exactly `len` bytes; false when it cannot: then the body comes in another way. What was made before is not needed any more.
    fn make(&mut self, len: usize) -> bool;
    /// The `count` bytes from byte `at` on. All of them have been written when the next method is called, and when the body is there.
    fn room(&mut self, at: usize, count: usize) -> &mut [MaybeUninit<u8>];
    /// The rest does not come now: gives the first `len` bytes, which were written, and forgets the room. `None` when there is no memory for them:
    /// the channel ends then.
    fn give_up(&mut self, len: usize) -> Option<Vec<u8>>;
}

/// Makes room for `more` bytes of a message.
///
/// # Errors
/// `Exhausted`; without it the process would end.
pub(crate) fn make_room(bytes: &mut Vec<u8>, more: usize) -> Result<()> {
    if bytes.capacity() - bytes.len() >= more {
        return Ok(());
    }
    bytes.try_reserve(more).map_err(|_| no_memory(bytes.len().saturating_add(more)))
}

/// Bytes of a message in memory of their own.
///
/// # Errors
/// As [`make_room`].
pub(crate) fn copied(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).map_err(|_| no_memory(bytes.len()))?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

#[cold]
pub(crate) fn no_memory(size: usize) -> Error {
    Error::from_os("channel.recv", libc::ENOMEM, format!("no memory for a message (size = {size} bytes or more)"))
}

/// What [`Channel::recv_plain`](super::Channel::recv_plain) found.
#[derive(Debug)]
pub enum Received {
    /// A message of a body alone, which is in the vector now.
    Plain(Codec),
    /// A message with more to it, or of a body by reference; the vector is as it was.
    Whole(Message),
}

/// What [`Channel::recv_slice`](super::Channel::recv_slice) found.
#[derive(Debug)]
pub enum ReceivedSlice {
    /// A message of a body alone: its codec, and how many bytes of the slice it is.
    Plain(Codec, usize),
    /// A message with more to it, or of a body that does not fit; the slice is as it was.
    Whole(Message),
}

impl ReceivedSlice {
    /// A message that did not come as a body alone, but may be one: large bodies lie in memory shared with the peer.
    #[cold]
    pub(super) fn of(message: Message, out: &mut [u8]) -> ReceivedSlice {
        let plain = message.buffers.is_empty() && message.fds.is_empty() && message.handle.is_none();
        match out.get_mut(..message.body.len()) {
            Some(room) if plain => {
                room.copy_from_slice(&message.body);
                ReceivedSlice::Plain(message.codec, room.len())
            }
            _ => ReceivedSlice::Whole(message),
        }
    }
}

/// Bytes of a message, owned, wherever they lie: on the heap, in an object of the sender, or in memory shared with the peer. Dereferences to a
/// byte slice whose address does not change.
///
/// # Drop
/// Gives the memory back to whom it belongs.
#[derive(Default)]
pub struct Buffer(Place);

pub(crate) enum Place {
    Heap(Vec<u8>),
    Owner(Box<dyn AsRef<[u8]> + Send + Sync>),
    Block(Block),
}

impl Default for Place {
    fn default() -> Place {
        Place::Heap(Vec::new())
    }
}

impl Buffer {
    /// Bytes that lie in `owner`, which is kept until they were sent; nothing is copied here. `as_ref` must give the same bytes each time.
    pub fn from_owner(owner: impl AsRef<[u8]> + Send + Sync + 'static) -> Buffer {
        Buffer(Place::Owner(Box::new(owner)))
    }

    /// Whether the bytes lie in memory shared with another process, which can use it again once this is dropped.
    pub fn is_shared(&self) -> bool {
        self.block().is_some()
    }

    /// The block that the bytes lie in, if they lie in one.
    pub(crate) fn block(&self) -> Option<&Block> {
        match &self.0 {
            Place::Block(block) => Some(block),
            _ => None,
        }
    }

    /// The bytes as a vector: without copying when they are on the heap, else copied.
    pub fn into_vec(self) -> Vec<u8> {
        match self.0 {
            Place::Heap(bytes) => bytes,
            Place::Owner(owner) => (*owner).as_ref().to_vec(),
            Place::Block(_) => self.to_vec(),
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Place::Heap(bytes) => bytes,
            Place::Owner(owner) => (**owner).as_ref(),
            // Fails for memory that is not mapped, which a block's always is.
            Place::Block(block) => block.as_slice().unwrap_or_default(),
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Buffer {
    /// Only the length: contents never get into logs by accident.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.len())
    }
}

impl PartialEq<[u8]> for Buffer {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl<const N: usize> PartialEq<[u8; N]> for Buffer {
    fn eq(&self, other: &[u8; N]) -> bool {
        **self == *other
    }
}

impl From<Block> for Buffer {
    /// Bytes in shared memory. Sent on the channel that [allocated](super::Channel::alloc) the block, they are not copied; nobody may write
    /// to a block that was sent.
    fn from(block: Block) -> Buffer {
        Buffer(Place::Block(block))
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Buffer {
        Buffer(Place::Heap(bytes))
    }
}

impl From<String> for Buffer {
    fn from(text: String) -> Buffer {
        Buffer(Place::Heap(text.into_bytes()))
    }
}

impl From<&[u8]> for Buffer {
    fn from(bytes: &[u8]) -> Buffer {
        Buffer(Place::Heap(bytes.to_vec()))
    }
}

impl<const N: usize> From<&[u8; N]> for Buffer {
    fn from(bytes: &[u8; N]) -> Buffer {
        Buffer(Place::Heap(bytes.to_vec()))
    }
}

impl From<&str> for Buffer {
    fn from(text: &str) -> Buffer {
        Buffer(Place::Heap(text.as_bytes().to_vec()))
    }
}
