//! Feeds `harness::hostile::sealed::pkcs12`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _taken = harness::hostile::sealed::pkcs12(bytes);
});
