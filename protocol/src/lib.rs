//! The nouns, the wire messages and the one state machine that every part of Keyturn shares.
//!
//! This crate does no I/O, knows no clock and starts no task: whatever it needs to know about time
//! or about the outside world is an argument. That is what lets one and the same
//! [`credential::Credential::step`] run in the daemon, in the model checker and in simulations.

pub mod credential;
pub mod frame;
pub mod id;
pub mod job;
pub mod password;
pub mod report;
pub mod seal;
pub mod status;
