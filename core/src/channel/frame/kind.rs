//! What frames there are, and what each of them may carry.

use super::{FLAG_BODY_PLACED, FLAG_STREAM, MAX_CONTROL};
use crate::channel::control;

/// What a frame is. Numbers are part of the wire and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum FrameKind {
    /// The first frame of each direction: version and what the sender takes.
    Hello = 1,
    /// A message.
    Data = 2,
    /// A message that wants a reply to its id.
    Call = 3,
    /// The only or last reply to a call.
    Reply = 4,
    /// One of several replies to a call.
    ReplyPart = 5,
    /// No more parts.
    ReplyEnd = 6,
    /// The call failed.
    Error = 7,
    /// The caller no longer wants a reply.
    Cancel = 8,
    /// The caller takes more parts.
    Credit = 9,
    /// A segment of shared memory that later frames place bytes in.
    Segment = 10,
    /// Nothing more comes in this direction.
    Close = 11,
    /// Asks for a pong with the same id.
    Ping = 12,
    /// Everything up to the ping was taken.
    Pong = 13,
}

impl FrameKind {
    pub(crate) const ALL: [FrameKind; 13] = [
        FrameKind::Hello,
        FrameKind::Data,
        FrameKind::Call,
        FrameKind::Reply,
        FrameKind::ReplyPart,
        FrameKind::ReplyEnd,
        FrameKind::Error,
        FrameKind::Cancel,
        FrameKind::Credit,
        FrameKind::Segment,
        FrameKind::Close,
        FrameKind::Ping,
        FrameKind::Pong,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            FrameKind::Hello => "hello",
            FrameKind::Data => "data",
            FrameKind::Call => "call",
            FrameKind::Reply => "reply",
            FrameKind::ReplyPart => "reply-part",
            FrameKind::ReplyEnd => "reply-end",
            FrameKind::Error => "error",
            FrameKind::Cancel => "cancel",
            FrameKind::Credit => "credit",
            FrameKind::Segment => "segment",
            FrameKind::Close => "close",
            FrameKind::Ping => "ping",
            FrameKind::Pong => "pong",
        }
    }

    pub(super) fn from_number(number: u8) -> Option<FrameKind> {
        Self::ALL.get(usize::from(number).wrapping_sub(1)).copied()
    }

    /// Whether the frame carries a message of the user.
    pub(crate) const fn is_message(self) -> bool {
        matches!(self, FrameKind::Data | FrameKind::Call | FrameKind::Reply | FrameKind::ReplyPart)
    }

    /// What its id must be.
    pub(crate) const fn id(self) -> Id {
        match self {
            FrameKind::Hello | FrameKind::Data | FrameKind::Segment | FrameKind::Close => Id::Zero,
            FrameKind::Ping | FrameKind::Pong => Id::Any,
            _ => Id::Set,
        }
    }

    /// The least and greatest payload of a frame that is not a message.
    pub(super) const fn payload(self) -> (u64, u64) {
        match self {
            FrameKind::Hello => (control::HELLO_LEN as u64, 4096),
            FrameKind::Error => (control::FAILURE_LEN as u64, MAX_CONTROL),
            FrameKind::Credit => (control::CREDIT_LEN as u64, control::CREDIT_LEN as u64),
            FrameKind::Segment => (control::SEGMENT_LEN as u64, control::SEGMENT_LEN as u64),
            _ => (0, 0),
        }
    }

    /// The flags that it may have.
    pub(super) const fn flags(self) -> u8 {
        match self {
            FrameKind::Call => FLAG_STREAM | FLAG_BODY_PLACED,
            FrameKind::Data | FrameKind::Reply | FrameKind::ReplyPart => FLAG_BODY_PLACED,
            _ => 0,
        }
    }
}

/// What the id of a frame must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Id {
    Zero,
    Set,
    Any,
}
