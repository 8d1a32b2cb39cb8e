//! What comes by channels of the core: taken from them and handed to JavaScript in as few calls as may be.
//!
//! The function of a channel is called with what it is told first: `BYTES` (how many messages, where in the slab the first is, their codec), `TEXTS` (the
//! same, the texts in one piece), `WHOLE` (the values of messages), `NONE` (nothing but perhaps calls), `END` (the failure that ended it, if any).
//! It answers true when it wants no more for now.

use crate::error::{Failure, catch};
use crate::memory::Slab;
use crate::message_parts::{VALUES, put};
use crate::poller::Turn;
use crate::receiver::Receiver;
use crate::spare::bring_next_near;
use crate::text::text_of;
use napi::bindgen_prelude::JsValue;
use napi::{Env, sys};
use procs::{Channel, Codec, Error, ErrorKind, Message, ReceivedSlice, Request, Result};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Messages handed to JavaScript at once.
const BATCH: usize = 64;
/// Bytes after which a batch is ended.
const BATCH_BYTES: usize = 1 << 20;
/// The largest message that shares a slab with others: whoever keeps it keeps the slab.
const SMALL: usize = 512;
/// What is before each message in a slab: its length in four bytes, and four of nothing.
const HEAD: usize = 8;
/// How long one turn of the event loop may go on with one channel.
const TURN: Duration = Duration::from_micros(250);

/// What follows a batch: nothing more now, more at once, the end.
pub(crate) const NOTHING: u32 = 0;
const MORE: u32 = 1;
const ENDED: u32 = 2;

/// What a function is told first.
const BYTES: u32 = 0;
const TEXTS: u32 = 1;
const WHOLE: u32 = 2;
const NONE: u32 = 3;
const END: u32 = 4;

/// The channels of one environment and the calls it has to answer, by number.
#[derive(Default)]
pub(crate) struct Channels {
    pub(crate) open: RefCell<HashMap<u32, Arc<Channel>>>,
    requests: RefCell<HashMap<u32, Arc<Mutex<Option<Request>>>>>,
    pub(crate) watched: RefCell<HashSet<u32>>,
    /// Those of them that answer calls.
    pub(crate) serving: RefCell<HashSet<u32>>,
    pub(crate) slab: RefCell<Option<Slab>>,
}

/// A small message in the slab.
#[derive(Clone, Copy)]
struct Small {
    at: usize,
    len: usize,
    codec: Codec,
}

/// What was taken: small messages, after them perhaps another one, and what follows.
struct Taken {
    small: Vec<Small>,
    last: Option<Message>,
    state: Result<u32>,
}

/// Messages that have come, up to a batch, and what follows.
pub(crate) fn taken(channel: &Channel) -> (Vec<Message>, Result<u32>) {
    let mut messages = Vec::new();
    let mut bytes = 0;
    loop {
        match catch(|| channel.take_ready()) {
            Ok(Some(message)) => {
                bytes += message.size();
                messages.push(message);
                if messages.len() == BATCH || bytes > BATCH_BYTES {
                    return (messages, Ok(MORE));
                }
            }
            Ok(None) => return (messages, Ok(NOTHING)),
            Err(error) if error.kind() == ErrorKind::Closed => return (messages, Ok(ENDED)),
            Err(error) => return (messages, Err(error)),
        }
    }
}

impl Channels {
    pub(crate) fn put(&self, id: u32, channel: Channel) {
        self.open.borrow_mut().insert(id, Arc::new(channel));
    }

    pub(crate) fn get(&self, id: u32) -> Result<Arc<Channel>> {
        let open = self.open.borrow();
        open.get(&id).cloned().ok_or_else(|| Error::new(ErrorKind::InvalidState, "channel", "it was closed"))
    }

    /// Gives JavaScript what has come, looks for more while the event loop has nothing else to do, and asks to be told of the rest.
    pub(crate) fn tell(&self, id: u32, turn: Turn, receiver: &Receiver, text: bool) {
        let begun = Instant::now();
        let mut given = false;
        // Whoever has stopped watching begins anew; until then the descriptor stays readable.
        while self.give(id, receiver, text, &mut given)
            && self.watched.borrow().contains(&id)
            && let Ok(channel) = self.get(id)
        {
            let late = begun.elapsed() >= TURN;
            let more = catch(|| match late || !turn.is_idle() {
                false => channel.settle_meanwhile(&mut bring_next_near),
                // A conversation: the loop does what else there is and comes back, once.
                true if given && turn.is_own() => channel.settle_soon(),
                true => channel.settle_now(),
            });
            if late || !matches!(more, Ok(true)) {
                return;
            }
        }
    }

    /// Gives all that has come, and notes if that is something. False when JavaScript wants no more for now, or nothing comes any more.
    fn give(&self, id: u32, receiver: &Receiver, text: bool, some: &mut bool) -> bool {
        let mut given = false;
        while let Ok(channel) = self.get(id) {
            let Taken { small, last, state } = self.take(&channel);
            given |= !small.is_empty() || last.is_some();
            *some |= given;
            let mut stop = false;
            for run in small.chunk_by(|one, next| one.codec == next.codec) {
                stop = match run[0].codec {
                    Codec::Raw if !text => give_bytes(run, receiver),
                    Codec::Raw | Codec::Json => self.give_texts(run, receiver),
                    _ => give_whole(self.own(run), text, receiver),
                };
            }
            if let Some(message) = last {
                stop = give_whole(vec![message], text, receiver);
            }
            match state {
                Ok(MORE) if !stop && self.watched.borrow().contains(&id) => {}
                Ok(MORE) => return false,
                Ok(NOTHING) => {
                    if !given || self.serving.borrow().contains(&id) {
                        stop = receiver.give(|env| Ok([number(env, NONE)?]));
                    }
                    return !stop;
                }
                state => {
                    give_end(state, receiver);
                    return false;
                }
            }
        }
        false
    }

    /// Takes small messages to the slab until another one comes.
    fn take(&self, channel: &Channel) -> Taken {
        let mut taken = Taken { small: Vec::new(), last: None, state: Ok(MORE) };
        let mut slab = self.slab.borrow_mut();
        let mut none = 0;
        let (memory, used) = slab.as_mut().map_or((&mut [][..], &mut none), Slab::room);
        while taken.small.len() < BATCH {
            // Where the slab is full a message comes whole; JavaScript gives another slab when it has looked at what is in this one.
            let came = match memory.get_mut(*used + HEAD..*used + HEAD + SMALL) {
                Some(room) => catch(|| channel.take_ready_slice(room)),
                None => catch(|| channel.take_ready()).map(|message| message.map(ReceivedSlice::Whole)),
            };
            match came {
                Ok(Some(ReceivedSlice::Plain(codec, len))) => {
                    memory[*used..*used + 4].copy_from_slice(&(len as u32).to_ne_bytes());
                    taken.small.push(Small { at: *used, len, codec });
                    *used = (*used + HEAD + len).next_multiple_of(HEAD);
                    continue;
                }
                Ok(Some(ReceivedSlice::Whole(message))) => taken.last = Some(message),
                Ok(None) => taken.state = Ok(NOTHING),
                Err(error) if error.kind() == ErrorKind::Closed => taken.state = Ok(ENDED),
                Err(error) => taken.state = Err(error),
            }
            break;
        }
        taken
    }

    /// Messages in memory of their own: what is decoded to views of it may be given away by the program.
    fn own(&self, run: &[Small]) -> Vec<Message> {
        let mut slab = self.slab.borrow_mut();
        let memory = slab.as_mut().map_or(&[][..], |slab| slab.room().0);
        run.iter().map(|small| Message::encoded(small.codec, small.of(memory))).collect()
    }

    /// Gives texts of one codec.
    fn give_texts(&self, run: &[Small], receiver: &Receiver) -> bool {
        let (first, last) = (run[0], run[run.len() - 1]);
        let mut together = Vec::new();
        if let Some(slab) = self.slab.borrow_mut().as_mut() {
            let (memory, used) = slab.room();
            run.iter().for_each(|small| together.extend_from_slice(small.of(memory)));
            // A text is a copy, so its memory can be used again.
            if *used == (last.at + HEAD + last.len).next_multiple_of(HEAD) {
                *used = first.at;
            }
        }
        if run.len() > 1 && !together.is_ascii() {
            // Bytes and characters differ.
            let mut from = 0;
            return run.iter().fold(false, |_, small| {
                let own = &together[from..from + small.len];
                from += small.len;
                give_text(own, &[*small], receiver)
            });
        }
        give_text(&together, run, receiver)
    }

    pub(crate) fn keep_request(&self, number: u32, request: Request) {
        self.requests.borrow_mut().insert(number, Arc::new(Mutex::new(Some(request))));
    }

    pub(crate) fn drop_request(&self, number: u32) -> Option<Arc<Mutex<Option<Request>>>> {
        self.requests.borrow_mut().remove(&number)
    }

    pub(crate) fn request(&self, id: u32) -> Result<Arc<Mutex<Option<Request>>>> {
        let requests = self.requests.borrow();
        requests.get(&id).cloned().ok_or_else(|| Error::new(ErrorKind::InvalidState, "request", "it was answered before"))
    }
}

impl Small {
    fn of(self, memory: &[u8]) -> &[u8] {
        memory.get(self.at + HEAD..self.at + HEAD + self.len).unwrap_or_default()
    }
}

fn number(env: &Env, number: u32) -> napi::Result<sys::napi_value> {
    Ok(env.create_uint32(number)?.raw())
}

/// Gives the texts of one codec in one piece.
fn give_text(text: &[u8], run: &[Small], receiver: &Receiver) -> bool {
    receiver.give(|env| {
        let [kind, count, at, codec] = [TEXTS, run.len() as u32, run[0].at as u32, run[0].codec as u32].map(|value| number(env, value));
        Ok([kind?, count?, at?, codec?, text_of(env, text)?.raw()])
    })
}

/// Gives messages in the slab that are bytes.
fn give_bytes(run: &[Small], receiver: &Receiver) -> bool {
    receiver.give(|env| {
        let [kind, count, at, codec] = [BYTES, run.len() as u32, run[0].at as u32, run[0].codec as u32].map(|value| number(env, value));
        Ok([kind?, count?, at?, codec?])
    })
}

/// Gives messages that are large, have something beside their bodies or are to be decoded.
fn give_whole(messages: Vec<Message>, text: bool, receiver: &Receiver) -> bool {
    receiver.give(|env| {
        let mut values = env.create_array(VALUES * messages.len() as u32)?;
        for (index, message) in messages.into_iter().enumerate() {
            put(env, &mut values, VALUES * index as u32, message, text)?;
        }
        Ok([number(env, WHOLE)?, values.raw()])
    })
}

/// Tells that nothing comes any more.
fn give_end(state: Result<u32>, receiver: &Receiver) {
    receiver.give(|env| {
        let mut values = env.create_array(1)?;
        if let Err(error) = state {
            values.set(0, Failure::from(&error))?;
        }
        Ok([number(env, END)?, values.raw()])
    });
}
