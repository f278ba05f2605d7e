//! Feeds `harness::hostile::passwords`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _taken = harness::hostile::passwords(bytes);
});
