//! A command with a channel to its child.
