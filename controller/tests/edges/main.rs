//! The APIs, over a service with a world in memory; and the daemon with its command line, over TLS.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of a test panic as the test itself does"
)]

#[path = "../operations/world.rs"]
#[expect(dead_code, reason = "shared with the tests of operations, which use all of it")]
mod world;

mod archive;
mod arm;
mod ask;
mod audited;
mod bootstrap;
mod declare;
mod described;
mod issuer;
mod keeping;
mod key_vault;
mod metrics;
mod native;
mod oidc;
mod older;
mod provider;
mod rights;
mod rubbish;
mod serve;
