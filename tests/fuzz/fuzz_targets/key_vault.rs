//! Feeds `harness::hostile::key_vault::key_vault`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _taken = harness::hostile::key_vault::key_vault(bytes);
});
