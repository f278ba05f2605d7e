//! The vault in a real OpenBao: `tests/openbao/run` installs it and runs this.
#![cfg(test)]

mod kubernetes;
mod server;
mod vault;
