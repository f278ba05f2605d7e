//! The whole of Keyturn from outside.
#![cfg(test)]

mod backup;
mod getty;
mod kill;
mod matrix;
mod openssh;
mod refusals;
