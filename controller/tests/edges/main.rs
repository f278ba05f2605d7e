//! The APIs, over a service with a world in memory; and the daemon with its command line, over TLS.

#[path = "../operations/world.rs"]
#[expect(dead_code, reason = "shared with the tests of operations, which use all of it")]
mod world;

mod arm;
mod ask;
mod native;
mod serve;
