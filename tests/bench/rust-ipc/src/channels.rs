//! ipc-channel: the child connects to a one-shot server and hands back a sender of its own.

use crate::common::Options;
use crate::messages::{self, Link};
use crate::{failed, finish, start};
use ipc_channel::ipc::{self, IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcReceiver, IpcSender};
use serde::{Serialize, de::DeserializeOwned};
use std::io;

/// One of the two kinds of channels.
pub trait Kind {
    type Sender: Serialize + DeserializeOwned;
    type Receiver: Serialize + DeserializeOwned;
    fn channel() -> io::Result<(Self::Sender, Self::Receiver)>;
    fn send(sender: &Self::Sender, data: &[u8]) -> io::Result<()>;
    fn receive(receiver: &Self::Receiver) -> io::Result<Vec<u8>>;
}

/// `channel::<Vec<u8>>()`: serialized.
pub struct Vectors;

impl Kind for Vectors {
    type Sender = IpcSender<Vec<u8>>;
    type Receiver = IpcReceiver<Vec<u8>>;
    fn channel() -> io::Result<(Self::Sender, Self::Receiver)> {
        ipc::channel()
    }
    fn send(sender: &Self::Sender, data: &[u8]) -> io::Result<()> {
        sender.send(data.to_vec()).map_err(failed)
    }
    fn receive(receiver: &Self::Receiver) -> io::Result<Vec<u8>> {
        receiver.recv().map_err(failed)
    }
}

/// `bytes_channel()`: as it is.
pub struct Bytes;

impl Kind for Bytes {
    type Sender = IpcBytesSender;
    type Receiver = IpcBytesReceiver;
    fn channel() -> io::Result<(Self::Sender, Self::Receiver)> {
        ipc::bytes_channel()
    }
    fn send(sender: &Self::Sender, data: &[u8]) -> io::Result<()> {
        sender.send(data)
    }
    fn receive(receiver: &Self::Receiver) -> io::Result<Vec<u8>> {
        receiver.recv().map_err(failed)
    }
}

struct Ends<K: Kind>(K::Sender, K::Receiver);

impl<K: Kind> Link for Ends<K> {
    fn send(&mut self, data: &[u8]) -> io::Result<()> {
        K::send(&self.0, data)
    }
    fn receive(&mut self, _len: usize, into: &mut Vec<u8>) -> io::Result<()> {
        *into = K::receive(&self.1)?;
        Ok(())
    }
}

type Hello<K> = (<K as Kind>::Sender, <K as Kind>::Receiver);

pub fn parent<K: Kind>(options: &Options) -> io::Result<()> {
    let (server, name) = IpcOneShotServer::<Hello<K>>::new()?;
    let child = start(&name)?;
    let (_receiver, (sender, receiver)) = server.accept().map_err(failed)?;
    messages::measure(&mut Ends::<K>(sender, receiver), options)?;
    finish(child)
}

pub fn child<K: Kind>(options: &Options) -> io::Result<()> {
    let hello = IpcSender::<Hello<K>>::connect(options.text("join")?.to_owned())?;
    let (there, receiver) = K::channel()?;
    let (sender, here) = K::channel()?;
    hello.send((there, here)).map_err(failed)?;
    messages::serve(&mut Ends::<K>(sender, receiver))
}
