//! Fault rows of descriptors in channels.
