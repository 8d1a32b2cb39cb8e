//! Fault rows of channels.
