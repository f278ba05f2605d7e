//! `keyturn audit`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::audit::Link;

/// What to do with the audit.
#[derive(Clone, Debug, Subcommand)]
pub enum AuditCommand {
    /// Write all records out, one line of JSON each
    Export(AuditExport),
    /// Check that no record was edited, moved, put in, taken out or cut off
    Verify(AuditVerify),
}

/// `keyturn audit export`
#[derive(Clone, Debug, Args)]
pub struct AuditExport {
    /// Where to write; it must not exist yet [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `keyturn audit verify`
#[derive(Clone, Debug, Args)]
pub struct AuditVerify {
    /// An exported audit, or the daemon's `audit.log` [default: ask the daemon]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The key by which records are checked [default: `audit.pub` beside FILE, or the daemon's]
    #[arg(long, value_name = "FILE")]
    pub public_key: Option<PathBuf>,
    /// An end that was noted elsewhere and that must be there, NUMBER:HASH [default: `audit.end`
    /// beside FILE, or the daemon's]
    #[arg(long, value_name = "END")]
    pub end: Option<Link>,
}
