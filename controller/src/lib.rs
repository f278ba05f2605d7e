//! The head of Keyturn: plans, decides and records.
//!
//! `service` is the one door. Behind it `plan` decides (pure), `execute` carries out, `journal`
//! and `store` remember, `vault` keeps the passwords; before it the edges and the command line.

pub mod access;
pub mod age;
pub mod agents;
pub mod audit;
pub mod auditor;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod data_dir;
pub mod disk;
pub mod document;
pub mod duration;
pub mod edge;
pub mod error;
pub mod execute;
pub mod generate;
pub mod identity;
pub mod inventory;
pub mod journal;
pub mod key_source;
pub mod key_vault;
pub mod kubernetes;
pub mod kv2;
pub mod model;
pub mod naming;
pub mod offline;
pub mod pkcs12;
pub mod plan;
pub mod reference;
pub mod remote;
pub mod remote_vault;
pub mod rollback;
pub mod service;
pub mod store;
pub mod template;
mod trust;
pub mod vault;
