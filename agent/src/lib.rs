//! The hands of Keyturn: drives devices over SSH, serial lines and consoles.
//!
//! ```text
//!  link ─▶ worker ─▶ driver ─▶ dialogue* ─▶ platform*        * = pure
//!            │          └────▶ transport/{ssh,serial,console}
//!            └────▶ ledger, hash
//! ```
//!
//! [`worker::Agent`] takes frames from a controller and answers with frames. A device type is a
//! file in `platforms/`; nothing else in this crate knows a vendor.

pub mod dialogue;
pub mod driver;
pub mod hash;
pub mod learned;
pub mod ledger;
pub mod link;
pub mod platform;
pub mod site;
pub mod transport;
pub mod worker;
