#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| holdgate_fuzz::command(data));
