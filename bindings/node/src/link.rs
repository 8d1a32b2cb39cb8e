//! Node's channels to children: encoded messages and descriptors; what they mean is the business of `lib/channel.js`.

use crate::error::{Failure, guard};
use crate::event::{Event, Wake as Answers};
use crate::hub::Hub;
use napi::bindgen_prelude::{Buffer, Either};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use procs::{Codec, Error, ErrorKind, NodeLink};
use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

/// Messages handed to JavaScript at once.
const BATCH: usize = 64;
/// Bytes after which a batch is ended.
const BATCH_BYTES: usize = 1 << 20;

struct Entry {
    link: NodeLink,
    json: bool,
    /// The child's end, until the child has started.
    theirs: Option<OwnedFd>,
}

/// The channels of one environment, by number.
#[derive(Default)]
pub(crate) struct Links(RefCell<HashMap<u32, Entry>>);

/// What has come on a channel.
#[napi(object)]
pub struct Received {
    /// Encoded messages in their order: text for JSON, bytes for V8.
    pub messages: Vec<Either<String, Buffer>>,
    /// Descriptors that came, owned by the receiver, and by the end of which message (its place in the list) they were there.
    pub fds: Vec<i32>,
    /// See `fds`.
    pub places: Vec<u32>,
    /// Whether nothing will come any more.
    pub ended: bool,
    /// Whether there may be more at once.
    pub more: bool,
}

/// Answers a number, once.
struct Written {
    id: u32,
    told: AtomicBool,
    answers: Arc<Answers>,
}

impl Written {
    fn tell(&self) {
        if !self.told.swap(true, Ordering::AcqRel) {
            self.answers.call(Event::Written(self.id), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }
}

impl Wake for Written {
    fn wake(self: Arc<Written>) {
        self.tell();
    }
}

fn unknown() -> Error {
    Error::new(ErrorKind::Closed, "channel", "the channel is closed")
}

#[napi]
impl Hub {
    /// Makes a channel under this number and gives the descriptor for the child, which stays open until `linkStarted`.
    #[napi]
    pub fn open_link(&self, id: u32, advanced: bool) -> Either<i32, Failure> {
        guard(|| {
            let (link, theirs) = NodeLink::pair(if advanced { Codec::V8 } else { Codec::Json })?;
            let number = theirs.as_raw_fd();
            self.children.add_link(id, &link)?;
            self.links.0.borrow_mut().insert(id, Entry { link, json: !advanced, theirs: Some(theirs) });
            Ok(number)
        })
    }

    /// Closes the child's end here.
    #[napi]
    pub fn link_started(&self, id: u32) {
        if let Some(entry) = self.links.0.borrow_mut().get_mut(&id) {
            entry.theirs = None;
        }
    }

    /// Sends an encoded message, with a copy of a descriptor unless that is negative; gives the number of bytes not written yet.
    #[napi]
    pub fn link_send(&self, id: u32, message: Either<String, Buffer>, fd: i32) -> Either<f64, Failure> {
        guard(|| {
            let links = self.links.0.borrow();
            let entry = links.get(&id).ok_or_else(unknown)?;
            let fd = (fd >= 0).then(|| procs::duplicate_fd(fd)).transpose()?;
            let body = match message {
                Either::A(text) => text.into_bytes(),
                Either::B(bytes) => bytes.to_vec(),
            };
            entry.link.send(body, fd).map(|queued| queued as f64)
        })
    }

    /// What has come, up to a batch.
    #[napi]
    pub fn link_receive(&self, id: u32) -> Received {
        let mut received = Received { messages: Vec::new(), fds: Vec::new(), places: Vec::new(), ended: false, more: false };
        let links = self.links.0.borrow();
        let Some(entry) = links.get(&id) else {
            received.ended = true;
            return received;
        };
        let mut bytes = 0;
        while !received.more {
            match entry.link.try_recv() {
                Ok(None) => break,
                Ok(Some(message)) => {
                    let place = received.messages.len() as u32;
                    for fd in message.fds {
                        received.fds.push(fd.into_raw_fd());
                        received.places.push(place);
                    }
                    bytes += message.body.len();
                    let body = message.body.into_vec();
                    received.messages.push(if entry.json {
                        Either::A(String::from_utf8(body).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
                    } else {
                        Either::B(body.into())
                    });
                    received.more = received.messages.len() == BATCH || bytes > BATCH_BYTES;
                }
                Err(_) => {
                    received.ended = true;
                    break;
                }
            }
        }
        received
    }

    /// Answers the number `event` with true once nothing is unwritten.
    #[napi]
    pub fn link_written(&self, id: u32, event: u32) {
        let written = Arc::new(Written { id: event, told: AtomicBool::new(false), answers: self.wake.clone() });
        let links = self.links.0.borrow();
        let pending = links.get(&id).is_some_and(|entry| !entry.link.poll_written(&Waker::from(written.clone())));
        if !pending {
            written.tell();
        }
    }

    /// The number of the descriptor of a channel, for display.
    #[napi]
    pub fn link_fd(&self, id: u32) -> i32 {
        self.links.0.borrow().get(&id).map_or(-1, |entry| entry.link.as_fd().as_raw_fd())
    }

    /// Disconnects; what was sent is still written.
    #[napi]
    pub fn close_link(&self, id: u32) {
        let entry = self.links.0.borrow_mut().remove(&id);
        if let Some(entry) = &entry {
            self.children.remove_link(&entry.link);
        }
    }
}
