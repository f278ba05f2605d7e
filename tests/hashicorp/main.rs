//! The vault in HashiCorp Vault or OpenBao against a simulated one: real sockets, real TLS.
#![cfg(test)]

mod faults;
mod logins;
mod marks;
mod vault;
mod world;
