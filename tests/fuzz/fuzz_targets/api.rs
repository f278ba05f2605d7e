//! Feeds `harness::hostile::api::api`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _taken = harness::hostile::api::api(bytes);
});
