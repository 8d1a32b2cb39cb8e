//! Channels between threads of one process: order, wholeness, ends, waiting in every way.

use procs::{Channel, ChannelOptions, Codec, ErrorKind, Message, Spin};
use std::time::Duration;

fn kinds() -> Vec<(&'static str, ChannelOptions)> {
    let with = |spin: Spin, ring_bytes: usize| ChannelOptions { spin, ring_bytes, ..ChannelOptions::default() };
    vec![
        ("adaptive", with(Spin::Adaptive, 1 << 20)),
        ("no spin", with(Spin::Off, 1 << 20)),
        ("spin at the cap", with(Spin::Always(Duration::from_micros(50)), 1 << 20)),
        ("small ring", with(Spin::Off, 4096)),
        ("small ring, spin", with(Spin::Always(Duration::from_micros(50)), 4096)),
        ("no ring", with(Spin::Off, 0)),
    ]
}

fn bytes(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(31).wrapping_add(seed) % 251) as u8).collect()
}

#[test]
fn messages_of_every_size_arrive_whole_and_in_order() {
    for (name, options) in kinds() {
        let (a, b) = Channel::pair_with(&options).expect("a pair");
        let sizes = [0, 1, 63, 64, 65, 1000, 2047, 2048, 4096, 5000, 65_536, 65_537, 1 << 20, (3 << 20) + 7];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for (index, size) in sizes.iter().cycle().take(sizes.len() * 5).enumerate() {
                    a.send(Message::raw(bytes(*size, index))).expect("sent");
                }
                a.close();
            });
            for (index, size) in sizes.iter().cycle().take(sizes.len() * 5).enumerate() {
                let message = b.recv().unwrap_or_else(|error| panic!("{name}: message {index} of {size} bytes: {error}"));
                assert_eq!(message.codec, Codec::Raw);
                assert!(*message.body == *bytes(*size, index), "{name}: message {index} of {size} bytes differs");
            }
            assert_eq!(b.recv().expect_err("the end").kind(), ErrorKind::Closed, "{name}");
        });
    }
}

#[test]
fn round_trips_in_every_mode() {
    for (name, options) in kinds() {
        let (a, b) = Channel::pair_with(&options).expect("a pair");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut buffer = Vec::new();
                while b.recv_into(&mut buffer).is_ok() {
                    b.send_bytes(&buffer).expect("echo");
                }
            });
            let mut buffer = Vec::new();
            for index in 0..20_000_u32 {
                a.send_bytes(&index.to_le_bytes()).expect("sent");
                a.recv_into(&mut buffer).expect("an echo");
                assert_eq!(buffer, index.to_le_bytes(), "{name}");
            }
            a.close();
        });
    }
}
