//! Memory that processes share, without names: sealed segments, rings, arenas, locks and counters in them.
