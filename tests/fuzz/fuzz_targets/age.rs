//! Feeds `harness::hostile::sealed::age`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _taken = harness::hostile::sealed::age(bytes);
});
