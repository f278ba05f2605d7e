//! The vault in Kubernetes against a simulated API server: real sockets, real TLS.
#![cfg(test)]

mod access;
mod faults;
mod vault;
mod world;
