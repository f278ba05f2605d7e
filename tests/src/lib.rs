//! What end-to-end tests stand on.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a harness fails its test by panicking, and shows what led to it"
)]

pub mod accounts;
pub mod hostile;
pub mod line;
pub mod linux;
pub mod memory;
pub mod process;
pub mod simulated;
pub mod site;
pub mod wait;
