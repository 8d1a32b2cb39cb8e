"""Side by side with the peers: one driver, short children, everything interleaved."""
