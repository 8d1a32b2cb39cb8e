//! Node's channels to children: encoded messages and descriptors; what they mean is the business of `lib/channel.js`.

use crate::error::{Failure, catch, guard};
use crate::event::{Event, Wake as Answers};
use crate::hub::Hub;
use crate::receiver::Receiver;
use crate::text::{bytes_of, text_of};
use napi::bindgen_prelude::{Array, Buffer, Either, Either3, Function, JsValue, Null, Object};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi::{Env, JsString};
use napi_derive::napi;
use procs::{Codec, Error, ErrorKind, LinkLines, NodeLink};
use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

/// Messages handed to JavaScript at once.
const BATCH: usize = 64;
/// Bytes after which a batch is ended.
const BATCH_BYTES: usize = 1 << 20;
/// What follows: nothing now, more at once, nothing ever.
const NOTHING: u32 = 0;
const MORE: u32 = 1;
const ENDED: u32 = 2;

struct Entry {
    link: Rc<NodeLink>,
    json: bool,
    /// The child's end, until the child has started.
    theirs: Option<OwnedFd>,
}

/// The channels of one environment, by number.
#[derive(Default)]
pub(crate) struct Links {
    open: RefCell<HashMap<u32, Entry>>,
    /// Memory for what comes.
    lines: RefCell<Vec<u8>>,
}

/// What `Links::look` found beside lines: descriptors, whether it is one line, and what follows.
type Found = (Vec<OwnedFd>, bool, u32);

impl Links {
    fn get(&self, id: u32) -> procs::Result<Rc<NodeLink>> {
        self.open.borrow().get(&id).map(|entry| entry.link.clone()).ok_or_else(unknown)
    }

    /// Takes the lines that have come; `None` when there is nothing at all.
    fn look(&self, id: u32, lines: &mut Vec<u8>) -> Option<Found> {
        let came = self.get(id).and_then(|link| catch(|| link.take_lines(lines)));
        match came {
            Ok(came) => came.map(|LinkLines { fds, one, more }| (fds, one, if more { MORE } else { NOTHING })),
            Err(_) => Some((Vec::new(), false, ENDED)),
        }
    }

    /// Gives JavaScript what has come: a line alone, which is most of it, without its line feed; lines alone and 1; anything else as `linkLines` does.
    fn tell(&self, id: u32, receiver: &Receiver) {
        let mut lines = self.lines.take();
        let Some((fds, one, state)) = self.look(id, &mut lines) else {
            self.keep(lines);
            return;
        };
        let plain = fds.is_empty() && state == NOTHING;
        if one && plain {
            receiver.give(|env| {
                let text = text_of(env, &lines[..lines.len() - 1])?.raw();
                self.keep(lines);
                Ok([text])
            });
            return;
        }
        receiver.give(|env| {
            let came = if plain { text_of(env, &lines)?.raw() } else { whole(env, &lines, fds, state)?.raw() };
            self.keep(lines);
            Ok([came, env.create_uint32(1)?.raw()])
        });
    }

    /// Memory for the next time, unless it is much.
    fn keep(&self, lines: Vec<u8>) {
        if lines.capacity() <= BATCH_BYTES {
            self.lines.replace(lines);
        }
    }

    /// Sends text; gives the number of bytes not written yet.
    fn send_text(&self, env: &Env, id: u32, text: &JsString<'_>) -> Either<f64, Failure> {
        guard(|| {
            let link = self.get(id)?;
            link.send(bytes_of(env, text), None).map(|queued| queued as f64)
        })
    }

    /// Adds the functions that every message needs.
    pub(crate) fn quick(self: &Rc<Links>, env: &Env, calls: &mut Object<'_>) -> napi::Result<()> {
        let links = self.clone();
        let send = env.create_function_from_closure::<(), _, _>("linkSendText", move |call| {
            Ok(links.send_text(call.env, call.get(0)?, &call.get::<JsString<'_>>(1)?))
        })?;
        calls.set("linkSendText", send)
    }
}

/// Text or null, descriptors, what follows as in `lib/wires.js`.
fn whole<'env>(env: &'env Env, lines: &[u8], fds: Vec<OwnedFd>, state: u32) -> napi::Result<Array<'env>> {
    let mut array = env.create_array(3)?;
    array.set(0, (!lines.is_empty()).then(|| text_of(env, lines)).transpose()?)?;
    array.set(1, fds.into_iter().map(IntoRawFd::into_raw_fd).collect::<Vec<i32>>())?;
    array.set(2, state)?;
    Ok(array)
}

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
            self.links.open.borrow_mut().insert(id, Entry { link: Rc::new(link), json: !advanced, theirs: Some(theirs) });
            Ok(number)
        })
    }

    /// Calls `came` from now on when something has come: with one message as text, with lines of several and 1, or with an array as `linkLines` gives
    /// it; for V8's encoding without anything.
    #[napi]
    pub fn link_watch(&self, env: Env, id: u32, came: Function<'_, (), ()>) -> napi::Result<Either<bool, Failure>> {
        let receiver = Receiver::new(&env, "PIPEWRAP", &came)?;
        Ok(guard(|| {
            let link = self.links.get(id)?;
            let json = self.links.open.borrow().get(&id).is_some_and(|entry| entry.json);
            let links = self.links.clone();
            let tell = move |_| {
                if json {
                    links.tell(id, &receiver);
                } else {
                    receiver.call([]);
                }
            };
            self.waiter.watch(&env, id, (link.as_fd(), Box::new(link.clone())), Rc::new(tell))?;
            Ok(true)
        }))
    }

    /// Closes the child's end here.
    #[napi]
    pub fn link_started(&self, id: u32) {
        if let Some(entry) = self.links.open.borrow_mut().get_mut(&id) {
            entry.theirs = None;
        }
    }

    /// Sends an encoded message, with a copy of a descriptor unless that is negative; gives the number of bytes not written yet.
    #[napi]
    pub fn link_send(&self, id: u32, message: Either<String, Buffer>, fd: i32) -> Either<f64, Failure> {
        guard(|| {
            let links = self.links.open.borrow();
            let entry = links.get(&id).ok_or_else(unknown)?;
            let fd = (fd >= 0).then(|| procs::duplicate_fd(fd)).transpose()?;
            let body = match message {
                Either::A(text) => text.into_bytes(),
                Either::B(bytes) => bytes.to_vec(),
            };
            entry.link.send(body, fd).map(|queued| queued as f64)
        })
    }

    /// The JSON that has come, a line for each message; null for nothing. With descriptors, with more behind it or at the end an array: text or null,
    /// descriptors, what follows as in `lib/wires.js`.
    #[napi]
    pub fn link_lines<'env>(&self, env: &'env Env, id: u32) -> napi::Result<Either3<Null, JsString<'env>, Array<'env>>> {
        let mut lines = self.links.lines.take();
        let came = match self.links.look(id, &mut lines) {
            None => Either3::A(Null),
            Some((fds, _, NOTHING)) if fds.is_empty() => Either3::B(text_of(env, &lines)?),
            Some((fds, _, state)) => Either3::C(whole(env, &lines, fds, state)?),
        };
        self.links.keep(lines);
        Ok(came)
    }

    /// Lets messages leave together from now on.
    #[napi]
    pub fn link_cork(&self, id: u32) {
        if let Some(entry) = self.links.open.borrow().get(&id) {
            entry.link.cork();
        }
    }

    /// Writes what has waited for that; gives the number of bytes not written yet, a negative one when the other side is gone.
    #[napi]
    pub fn link_uncork(&self, id: u32) -> f64 {
        // A link that was closed has written everything, or leaves it to the core.
        let links = self.links.open.borrow();
        links.get(&id).map_or(0.0, |entry| catch(|| entry.link.uncork()).map_or(-1.0, |left| left as f64))
    }

    /// The messages in V8's encoding that have come, up to a batch.
    #[napi]
    pub fn link_receive(&self, id: u32) -> Received {
        let mut received = Received { messages: Vec::new(), fds: Vec::new(), places: Vec::new(), ended: false, more: false };
        let links = self.links.open.borrow();
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
        let links = self.links.open.borrow();
        let pending = links.get(&id).is_some_and(|entry| !entry.link.poll_written(&Waker::from(written.clone())));
        if !pending {
            written.tell();
        }
    }

    /// The number of the descriptor of a channel, for display.
    #[napi]
    pub fn link_fd(&self, id: u32) -> i32 {
        self.links.open.borrow().get(&id).map_or(-1, |entry| entry.link.as_fd().as_raw_fd())
    }

    /// Disconnects; what was sent is still written.
    #[napi]
    pub fn close_link(&self, id: u32) {
        let entry = self.links.open.borrow_mut().remove(&id);
        if let Some(entry) = &entry {
            self.waiter.unwatch(id, entry.link.as_fd());
        }
    }
}
