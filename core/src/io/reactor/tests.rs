use super::*;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use std::time::Duration;

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
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
            std::thread::sleep(Duration::from_micros(100));
        }
        drop(watch);
        assert!(!quiet.0.load(Ordering::SeqCst), "woken without cause (round {round}, descriptor {number}, then {})", reader.as_raw_fd());
    }
}
