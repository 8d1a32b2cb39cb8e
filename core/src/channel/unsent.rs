//! The error of sending, which gives the message back.

use super::message::Message;
use crate::error::{Error, ErrorKind};
use std::fmt;

/// A message that was not sent, and why.
pub struct SendError {
    error: Error,
    message: Box<Message>,
}

impl SendError {
    pub(super) fn new(error: Error, message: Message) -> SendError {
        SendError { error, message: Box::new(message) }
    }

    /// Why it was not sent.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The kind of the error, to branch on.
    pub fn kind(&self) -> ErrorKind {
        self.error.kind()
    }

    /// The message, to be sent again.
    pub fn into_inner(self) -> Message {
        *self.message
    }

    /// Both.
    pub fn into_parts(self) -> (Error, Message) {
        (self.error, *self.message)
    }
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SendError").field(&self.error).finish()
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for SendError {}

impl From<SendError> for Error {
    fn from(failed: SendError) -> Error {
        failed.error
    }
}
