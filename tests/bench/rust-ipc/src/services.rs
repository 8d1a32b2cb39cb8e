//! iceoryx2: one publish-subscribe service per direction and size, with queues as long as the size allows; and, for the side that sleeps,
//! one event per direction.

use crate::common::Options;
use crate::messages::{self, Link, ORDER};
use crate::{failed, finish, start};
use iceoryx2::port::{listener::Listener, notifier::Notifier, publisher::Publisher, subscriber::Subscriber};
use iceoryx2::prelude::*;
use std::{hint, io};

type Out = Publisher<ipc::Service, [u8], ()>;
type In = Subscriber<ipc::Service, [u8], ()>;

/// What one process holds for one size.
struct Lane {
    size: usize,
    publisher: Out,
    subscriber: In,
}

struct Services {
    lanes: Vec<Lane>,
    event: Option<(Notifier<ipc::Service>, Listener<ipc::Service>)>,
    _node: Node<ipc::Service>,
}

/// Queues of 32 MiB, at least 2 and at most 1024 messages.
fn depth(size: usize) -> usize {
    ((32 << 20) / size).clamp(2, 1024)
}

impl Lane {
    fn open(node: &Node<ipc::Service>, size: usize, names: [&str; 2]) -> io::Result<Lane> {
        let service = |name: &str| {
            node.service_builder(&format!("{name}/{size}").as_str().try_into().map_err(failed)?)
                .publish_subscribe::<[u8]>()
                .max_publishers(1)
                .max_subscribers(1)
                .history_size(0)
                .subscriber_max_borrowed_samples(1)
                .subscriber_max_buffer_size(depth(size))
                .enable_safe_overflow(false)
                .open_or_create()
                .map_err(failed)
        };
        let publisher = service(names[0])?
            .publisher_builder()
            .initial_max_slice_len(size)
            .max_loaned_samples(1)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .map_err(failed)?;
        let subscriber = service(names[1])?.subscriber_builder().create().map_err(failed)?;
        Ok(Lane { size, publisher, subscriber })
    }
}

impl Services {
    /// `names`: where this side sends to, and where it listens.
    fn open(options: &Options, names: [&str; 2], sleeps: bool) -> io::Result<Services> {
        let node = NodeBuilder::new().create::<ipc::Service>().map_err(failed)?;
        let event = |name: &str| {
            let name = format!("{name}/event").as_str().try_into().map_err(failed)?;
            node.service_builder(&name).event().open_or_create().map_err(failed)
        };
        let event = if sleeps {
            let notifier = event(names[0])?.notifier_builder().create().map_err(failed)?;
            Some((notifier, event(names[1])?.listener_builder().create().map_err(failed)?))
        } else {
            None
        };
        let sizes = std::iter::once(ORDER).chain(messages::sizes(options));
        let lanes = sizes.map(|size| Lane::open(&node, size, names)).collect::<io::Result<_>>()?;
        Ok(Services { lanes, event, _node: node })
    }

    fn lane(&self, size: usize) -> io::Result<&Lane> {
        self.lanes.iter().find(|lane| lane.size == size).ok_or_else(|| io::Error::other("no such size"))
    }
}

impl Link for Services {
    fn send(&mut self, data: &[u8]) -> io::Result<()> {
        let sample = self.lane(data.len())?.publisher.loan_slice_uninit(data.len()).map_err(failed)?;
        sample.write_from_slice(data).send().map_err(failed)?;
        if let Some((notifier, _)) = &self.event {
            notifier.notify().map_err(failed)?;
        }
        Ok(())
    }

    fn receive(&mut self, len: usize, into: &mut Vec<u8>) -> io::Result<()> {
        into.clear();
        loop {
            if let Some(sample) = self.lane(len)?.subscriber.receive().map_err(failed)? {
                into.extend_from_slice(sample.payload());
                return Ok(());
            }
            if let Some((_, listener)) = &mut self.event {
                listener.blocking_wait(|_| ()).map_err(failed)?;
            } else {
                hint::spin_loop();
            }
        }
    }
}

/// The parent has its ports before the child starts, and waits until the child has its own.
pub fn parent(options: &Options, sleeps: bool) -> io::Result<()> {
    let name = format!("procs-bench/{}", std::process::id());
    let [there, back] = [format!("{name}/there"), format!("{name}/back")];
    let mut services = Services::open(options, [&there, &back], sleeps)?;
    let child = start(&name)?;
    services.receive(ORDER, &mut Vec::new())?;
    messages::measure(&mut services, options)?;
    finish(child)
}

pub fn child(options: &Options, sleeps: bool) -> io::Result<()> {
    let name = options.text("join")?;
    let mut services = Services::open(options, [&format!("{name}/back"), &format!("{name}/there")], sleeps)?;
    services.send(&[0; ORDER])?;
    messages::serve(&mut services)
}
