//! Azure's vault and identities against a simulated Azure: real sockets, real TLS.
#![cfg(test)]

mod archive;
mod edge;
mod faults;
mod identities;
mod primary;
mod references;
mod served;
mod vault;
mod world;
mod wrapped;
