#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| procs::fuzz::node_lines(data));
