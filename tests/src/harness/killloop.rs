//! KILLLOOP: SIGKILL at a random moment, many times, with a seed that can be repeated.

use std::process::{Child, Command};
use std::time::Duration;

/// Numbers that look random and repeat with their seed. Source: SplitMix64.
pub struct Random(u64);

impl Random {
    /// Seeded by `PROCS_TEST_SEED`, otherwise by the kernel. The seed is printed, so that a failure can be repeated.
    pub fn from_env(purpose: &str) -> Random {
        let seed = match std::env::var("PROCS_TEST_SEED") {
            Ok(text) => text.parse().expect("PROCS_TEST_SEED is a number"),
            Err(_) => fresh_seed(),
        };
        println!("{purpose}: PROCS_TEST_SEED={seed}");
        Random(seed)
    }

    /// The next number.
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next_number() % limit.max(1)
    }
}

fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// In each round starts a host, kills it with SIGKILL at a random moment before `longest`, reaps it, and calls `check` with the round.
pub fn kill_loop(rounds: usize, longest: Duration, mut start: impl FnMut(usize) -> Command, mut check: impl FnMut(usize)) {
    let mut random = Random::from_env("kill loop");
    for round in 0..rounds {
        let moment = Duration::from_nanos(random.below(longest.as_nanos() as u64));
        let mut host: Child = start(round).spawn().unwrap_or_else(|error| panic!("start of the host of round {round}: {error}"));
        // The moment is what is tested, not something waited for.
        std::thread::sleep(moment);
        let _ = host.kill();
        host.wait().expect("a killed host ends");
        check(round);
    }
}
