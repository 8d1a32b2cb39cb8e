//! Messages, buffers and descriptors between two processes.
