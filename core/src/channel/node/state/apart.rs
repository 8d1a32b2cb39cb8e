//! Taking apart what came: messages for the user, and Node's own about handles.

use super::{OVERHEAD, RECV, State};
use crate::channel::node::handle::{ACK, Control, NACK, Refusal, Type};
use crate::channel::node::json::{self, Fault};
use crate::channel::node::line::Framing;
use crate::channel::node::outgoing::Outgoing;
use crate::channel::{Codec, HandleKind, Message};
use crate::error::{Error, ErrorKind, Result};
use std::os::fd::AsFd;

/// Descriptors that may await the message that announces them. Node has at most one on its way.
const MAX_ARRIVED: usize = 16;

impl State {
    /// Delivers or answers each whole message that came.
    pub(super) fn split(&mut self) -> Result<()> {
        // Those of a bare end stay together until somebody takes them.
        while !self.is_bare()
            && let Some(text) = self.splitter.next()?
        {
            self.whole += 1;
            match self.splitter.framing() {
                Framing::Json => self.line(text)?,
                Framing::Advanced => self.pass(text),
            }
        }
        let protocol = |detail: String| Err(Error::new(ErrorKind::Protocol, RECV, detail));
        if self.arrived.len() > MAX_ARRIVED {
            return protocol(format!(
                "descriptors came without the messages that announce them (fds = {}, expected {MAX_ARRIVED} at most)",
                self.arrived.len()
            ));
        }
        // Only answers can get here: a peer that asks on and on and reads none of them.
        if self.out_bytes > self.bounds.max_queued.max(self.bounds.high_water.saturating_add(self.bounds.max_message)) {
            return protocol(format!("the peer does not read the answers to its questions (bytes = {})", self.out_bytes));
        }
        Ok(())
    }

    /// A message of Node's advanced serialization, to which the descriptors belong that came with it.
    fn pass(&mut self, body: Vec<u8>) {
        let fds = self.arrived.drain(..).collect();
        self.deliver(Message { codec: Codec::V8, body: body.into(), fds, ..Message::default() });
    }

    fn deliver(&mut self, message: Message) {
        self.ready_bytes += message.body.len() + OVERHEAD;
        self.ready.push_back(message);
    }

    /// A line of JSON: a message, or what Node says of handles.
    fn line(&mut self, text: Vec<u8>) -> Result<()> {
        let members = json::scan(&text, json::MAX_DEPTH).map_err(|Fault { offset, why }| {
            Error::new(ErrorKind::Protocol, RECV, format!("a line is no JSON: {why} (offset = {offset}, size = {} bytes)", text.len()))
        })?;
        let Some(control) = Control::of(&text, members) else {
            self.deliver(Message::encoded(Codec::Json, text));
            return Ok(());
        };
        if let Some(answer) = control.answer(&text) {
            self.push(answer);
        }
        match control {
            Control::Ack => self.gate.acknowledged(),
            Control::Nack => match self.gate.refused() {
                Refusal::Again(handle) => self.push(handle),
                Refusal::GivenUp => self.handle_lost = true,
                Refusal::Unexpected => {}
            },
            Control::Handle { kind, msg } => self.handle(kind, msg.map_or(&b"null"[..], |range| &text[range]))?,
            Control::CountSockets { .. } | Control::NotifyClosed { .. } | Control::Other => {}
        }
        Ok(())
    }

    /// A message with a handle, whose descriptor has come before it or is asked for again.
    fn handle(&mut self, kind: Option<Type>, body: &[u8]) -> Result<()> {
        let Some(fd) = self.arrived.pop_front() else {
            self.push(Outgoing::control(NACK));
            return Ok(());
        };
        self.push(Outgoing::control(ACK));
        let is = HandleKind::of(fd.as_fd()).unwrap_or(HandleKind::Raw);
        if let Some(said) = kind
            && !said.fits(is)
        {
            let detail = format!("a descriptor is not what it is said to be (handle = {}, expected {})", is.name(), said.name());
            return Err(Error::new(ErrorKind::Protocol, RECV, detail));
        }
        // A handle of the cluster module is not the user's.
        if json::scan(body, json::MAX_DEPTH).is_ok_and(|members| !members.is_reserved(body)) {
            self.deliver(Message::encoded(Codec::Json, body).with_fd(fd).with_handle(is));
        }
        Ok(())
    }
}
