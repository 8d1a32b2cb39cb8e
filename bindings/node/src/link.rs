//! Node's channels to children: encoded messages and descriptors; what they mean is the business of `lib/channel.js`.

use crate::error::{Failure, catch, guard};
use crate::event::{Event, Wake as Answers};
use crate::hub::Hub;
use crate::message_parts::copy_to_send;
use crate::receiver::Receiver;
use crate::text::{bytes_of, text_of};
use napi::bindgen_prelude::{Array, BufferSlice, Either, Function, FunctionCallContext, JsValue, Null, Object, ToNapiValue, Unknown};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi::{Env, JsString};
use napi_derive::napi;
use procs::{Codec, Error, ErrorKind, LinkFrames, NodeLink};
use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

/// Memory of at most so many bytes is kept for what comes next.
const KEEP: usize = 1 << 20;
/// From so many bytes on memory is handed over with what is in it.
const HAND_OVER_FROM: usize = 64 << 10;
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
    frames: RefCell<Vec<u8>>,
}

/// What `Links::look` found beside messages: descriptors, whether it is one message, and what follows.
type Found = (Vec<OwnedFd>, bool, u32);

impl Links {
    fn get(&self, id: u32) -> procs::Result<Rc<NodeLink>> {
        self.open.borrow().get(&id).map(|entry| entry.link.clone()).ok_or_else(unknown)
    }

    fn is_json(&self, id: u32) -> bool {
        self.open.borrow().get(&id).is_some_and(|entry| entry.json)
    }

    /// Takes the messages that have come; `None` when there is nothing at all.
    fn look(&self, id: u32, frames: &mut Vec<u8>) -> Option<Found> {
        let came = self.get(id).and_then(|link| catch(|| link.take_frames(frames)));
        match came {
            Ok(came) => came.map(|LinkFrames { fds, one, more }| (fds, one, if more { MORE } else { NOTHING })),
            Err(_) => Some((Vec::new(), false, ENDED)),
        }
    }

    /// Gives JavaScript what has come: a message alone, which is most of it; messages alone and 1; anything else as `linkFrames` does.
    fn tell(&self, id: u32, receiver: &Receiver) {
        let mut frames = self.frames.take();
        let Some((fds, one, state)) = self.look(id, &mut frames) else {
            self.keep(frames);
            return;
        };
        let plain = fds.is_empty() && state == NOTHING;
        if one && plain {
            receiver.give(|env| Ok([self.value_of(env, id, frames, true)?.raw()]));
            return;
        }
        receiver.give(|env| {
            let came = if plain { self.value_of(env, id, frames, false)?.raw() } else { self.whole(env, id, frames, (fds, state))?.raw() };
            Ok([came, env.create_uint32(1)?.raw()])
        });
    }

    /// Messages in their frames: text, without the line feed of one that came alone, or bytes.
    fn value_of<'env>(&self, env: &'env Env, id: u32, frames: Vec<u8>, alone: bool) -> napi::Result<Unknown<'env>> {
        if !self.is_json(id) && frames.len() >= HAND_OVER_FROM {
            return Ok(BufferSlice::from_data(env, frames)?.to_unknown());
        }
        let value = match self.is_json(id) {
            true => text_of(env, &frames[..frames.len() - usize::from(alone)])?.to_unknown(),
            false => BufferSlice::copy_from(env, &frames)?.to_unknown(),
        };
        self.keep(frames);
        Ok(value)
    }

    /// Messages or null, descriptors, what follows as in `lib/wires.js`.
    fn whole<'env>(&self, env: &'env Env, id: u32, frames: Vec<u8>, (fds, state): (Vec<OwnedFd>, u32)) -> napi::Result<Array<'env>> {
        let mut array = env.create_array(3)?;
        if frames.is_empty() {
            array.set(0, Null)?;
        } else {
            array.set(0, self.value_of(env, id, frames, false)?)?;
        }
        array.set(1, fds.into_iter().map(IntoRawFd::into_raw_fd).collect::<Vec<i32>>())?;
        array.set(2, state)?;
        Ok(array)
    }

    /// Memory for the next time, unless it is much.
    fn keep(&self, frames: Vec<u8>) {
        if frames.capacity() <= KEEP {
            self.frames.replace(frames);
        }
    }

    /// Sends a body, with a copy of a descriptor unless there is none; gives the number of bytes not written yet.
    fn send(&self, id: u32, fd: Option<i32>, body: impl FnOnce() -> procs::Result<Vec<u8>>) -> Either<f64, Failure> {
        guard(|| {
            let link = self.get(id)?;
            let fd = fd.map(procs::duplicate_fd).transpose()?;
            link.send(body()?, fd).map(|queued| queued as f64)
        })
    }

    /// Adds the functions that every message needs: each takes a number, a body, and perhaps a descriptor.
    pub(crate) fn quick(self: &Rc<Links>, env: &Env, calls: &mut Object<'_>) -> napi::Result<()> {
        let links = self.clone();
        let text = env.create_function_from_closure::<(), _, _>("linkSendText", move |call| {
            let text = call.get::<JsString<'_>>(1)?;
            Ok(links.send(call.get(0)?, descriptor_of(&call)?, || bytes_of(call.env, &text)))
        })?;
        calls.set("linkSendText", text)?;
        let links = self.clone();
        let bytes = env.create_function_from_closure::<(), _, _>("linkSendBytes", move |call| {
            let bytes = call.get::<&[u8]>(1)?;
            Ok(links.send(call.get(0)?, descriptor_of(&call)?, || copy_to_send(bytes)))
        })?;
        calls.set("linkSendBytes", bytes)
    }
}

/// The third argument, where there is one.
fn descriptor_of(call: &FunctionCallContext<'_>) -> napi::Result<Option<i32>> {
    if call.length() > 2 { call.get(2).map(Some) } else { Ok(None) }
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

    /// Calls `came` from now on when something has come: with one message alone, as text without its line feed or as bytes in their frame; with several
    /// in one piece, and 1; or with an array as `linkFrames` gives it, and 1.
    #[napi]
    pub fn link_watch(&self, env: Env, id: u32, came: Function<'_, (), ()>) -> napi::Result<Either<bool, Failure>> {
        let receiver = Receiver::new(&env, "PIPEWRAP", &came)?;
        Ok(guard(|| {
            let link = self.links.get(id)?;
            let links = self.links.clone();
            self.waiter.watch(&env, id, (link.as_fd(), Box::new(link.clone())), Rc::new(move |_| links.tell(id, &receiver)))?;
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

    /// What has come: JSON as text with a line for each message, V8's encoding as bytes with its length before each; null for nothing. With
    /// descriptors, with more behind it or at the end an array: messages or null, descriptors, what follows as in `lib/wires.js`.
    #[napi]
    pub fn link_frames<'env>(&self, env: &'env Env, id: u32) -> napi::Result<Unknown<'env>> {
        let mut frames = self.links.frames.take();
        match self.links.look(id, &mut frames) {
            None => {
                self.links.keep(frames);
                Null.into_unknown(env)
            }
            Some((fds, _, NOTHING)) if fds.is_empty() => self.links.value_of(env, id, frames, false),
            Some((fds, _, state)) => Ok(self.links.whole(env, id, frames, (fds, state))?.to_unknown()),
        }
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
