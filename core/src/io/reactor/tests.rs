use super::*;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::task::Wake;

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Tell(Sender<()>);

impl Wake for Tell {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
    }
}

/// Waits until the thread has woken all it had to wake.
fn turn_over() {
    let (sender, over) = channel();
    let _watch = watch_time(Instant::now(), &Waker::from(Arc::new(Tell(sender)))).expect("a watch");
    over.recv().expect("a turn");
}

/// A channel whose peer's process seemed to have ended: the event was that of an earlier process, whose descriptor had the same number.
#[test]
fn an_event_of_a_closed_descriptor_wakes_nobody_else() {
    let quiet = Arc::new(Flag(AtomicBool::new(false)));
    for round in 0..20_000 {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        writer.write_all(b"x").expect("written");
        let number = reader.as_raw_fd();
        drop(watch_fd(reader.as_fd(), Interest::Read, Waker::noop()).expect("a watch"));
        drop(reader);
        let (reader, _writer) = std::io::pipe().expect("a pipe");
        let watch = watch_fd(reader.as_fd(), Interest::Read, &Waker::from(Arc::clone(&quiet))).expect("a watch");
        if round % 16 == 0 {
            turn_over();
        }
        drop(watch);
        assert!(!quiet.0.load(Ordering::SeqCst), "woken without cause (round {round}, descriptor {number}, then {})", reader.as_raw_fd());
    }
}
