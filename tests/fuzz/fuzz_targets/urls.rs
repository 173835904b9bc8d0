#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wring::fuzz::run("urls", data));
