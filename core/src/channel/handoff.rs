//! How a child learns of its channel: a descriptor and a variable that names it.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::inherit::{self, Refusal};
use crate::sys::message::inode;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Names the descriptor of a native channel: its number, a colon, and the number of the socket (st_ino) that it must be.
pub(crate) const NATIVE_VARIABLE: &str = "PROCS_CHANNEL_FD";
/// Names the descriptor of a channel of Node.
pub(crate) const NODE_VARIABLE: &str = "NODE_CHANNEL_FD";
/// How Node encodes messages: `json` or `advanced`.
pub(crate) const NODE_MODE_VARIABLE: &str = "NODE_CHANNEL_SERIALIZATION_MODE";

/// What is spoken on a channel to a child.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wire {
    /// Node's for a script that Node runs (a `.js`, `.mjs` or `.cjs` file, or a program called `node`), native for everything else.
    #[default]
    Auto,
    /// The frames of `docs/wire.md`: for programs that use libprocs.
    Native,
    /// What Node speaks with its own children.
    Node,
}

impl Wire {
    /// The wire for this program; never `Auto`.
    pub(crate) fn for_program(self, program: &OsStr) -> Wire {
        if self != Wire::Auto {
            return self;
        }
        let is_node = Path::new(program).file_name().is_some_and(|name| name == "node" || name == "nodejs");
        if is_node || is_node_script(program) { Wire::Node } else { Wire::Native }
    }
}

/// Whether Node runs this program: its name ends in `.js`, `.mjs` or `.cjs`.
pub(crate) fn is_node_script(program: &OsStr) -> bool {
    Path::new(program).extension().is_some_and(|extension| ["js", "mjs", "cjs"].iter().any(|known| extension == *known))
}

/// A channel that this process was given.
#[derive(Debug)]
pub(crate) enum Given {
    Native(OwnedFd),
    Node(OwnedFd),
}

/// The value of [`NATIVE_VARIABLE`] for a child that gets `fd` as `number`.
pub(crate) fn announcement(fd: impl AsFd, number: RawFd) -> Result<OsString> {
    let identity = inode(fd.as_fd()).map_err(|error| Error::from_io("fork", &error, "cannot look at the channel"))?;
    Ok(format!("{number}:{identity}").into())
}

/// Takes the channel that this process was given, native before Node's. Once; it is not passed on to children.
pub(crate) fn take_from_env() -> Result<Given> {
    if let Some(value) = std::env::var_os(NATIVE_VARIABLE) {
        return take(NATIVE_VARIABLE, &value).map(Given::Native);
    }
    if let Some(value) = std::env::var_os(NODE_VARIABLE) {
        match std::env::var_os(NODE_MODE_VARIABLE) {
            Some(mode) if mode != "json" => {
                let detail = format!("the parent asks for another encoding ({NODE_MODE_VARIABLE} = {mode:?}, expected json)");
                return Err(Error::new(ErrorKind::Unsupported, "channel.from_env", detail));
            }
            _ => {}
        }
        return take(NODE_VARIABLE, &value).map(Given::Node);
    }
    if inherit::taken() {
        // Whoever took it may have removed the variables, as Node does.
        return Err(Error::new(ErrorKind::InvalidState, "channel.from_env", "the channel was taken before"));
    }
    let detail = format!("this process was not given a channel ({NATIVE_VARIABLE} and {NODE_VARIABLE} are not set)");
    Err(Error::new(ErrorKind::NotFound, "channel.from_env", detail))
}

/// Reads `3` or `3:4711`.
fn parse(value: &OsStr) -> Option<(RawFd, Option<u64>)> {
    let text = std::str::from_utf8(value.as_bytes()).ok()?;
    let (number, identity) = match text.split_once(':') {
        Some((number, identity)) => (number, Some(identity)),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(number) || !identity.is_none_or(digits) {
        return None;
    }
    let identity = match identity {
        Some(identity) => Some(identity.parse().ok()?),
        None => None,
    };
    Some((number.parse().ok()?, identity))
}

fn take(variable: &str, value: &OsStr) -> Result<OwnedFd> {
    let refuse = |kind, why: &str| Error::new(kind, "channel.from_env", format!("{why} ({variable} = {value:?}, expected a socket from the parent)"));
    let Some((number, identity)) = parse(value) else {
        return Err(refuse(ErrorKind::Protocol, "the variable names no descriptor"));
    };
    inherit::take(number, identity).map_err(|refusal| match refusal {
        Refusal::Taken => refuse(ErrorKind::InvalidState, "the channel was taken before"),
        Refusal::Gone => refuse(ErrorKind::NotFound, "the channel was given to another process or is closed"),
        Refusal::Kind => refuse(ErrorKind::Protocol, "the descriptor is no connected Unix stream socket"),
        Refusal::System(error) => Error::from_io("channel.from_env", &error, format!("cannot take the channel ({variable} = {value:?})")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_and_without_identity() {
        let read = |text: &str| parse(OsStr::new(text));
        assert_eq!(read("3"), Some((3, None)));
        assert_eq!(read("17:4711"), Some((17, Some(4711))));
        for text in ["", ":", "3:", ":3", "-1", "+3", " 3", "3 ", "3:x", "3:1:2", "99999999999", "3:99999999999999999999999"] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(parse(OsStr::from_bytes(b"3\xff")), None);
    }

    #[test]
    fn the_wire_follows_the_program() {
        let of = |program: &str| Wire::Auto.for_program(OsStr::new(program));
        for program in ["node", "/usr/bin/node", "nodejs", "./x.js", "x.mjs", "a/b.cjs"] {
            assert_eq!(of(program), Wire::Node, "{program}");
        }
        for program in ["python3", "x.json", "node2", "js", "./node.d/x"] {
            assert_eq!(of(program), Wire::Native, "{program}");
        }
        assert_eq!(Wire::Native.for_program(OsStr::new("node")), Wire::Native);
        assert_eq!(Wire::Node.for_program(OsStr::new("python3")), Wire::Node);
    }
}
