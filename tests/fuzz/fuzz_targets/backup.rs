//! Feeds `harness::hostile::sealed::backup`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _taken = harness::hostile::sealed::backup(bytes);
});
