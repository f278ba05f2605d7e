//! The data directory: where it is, and the names of the files in it that the daemon and the
//! command line share.

use std::path::PathBuf;

/// The private certificate authority's certificate: what clients trust.
pub const CA_FILE: &str = "ca.pem";

/// The private certificate authority's key, mode 0600.
pub const CA_KEY_FILE: &str = "ca.key";

/// The administrator's token, mode 0600.
pub const TOKEN_FILE: &str = "admin.token";

/// The tokens that were made here, as hashes, mode 0600.
pub const TOKENS_FILE: &str = "tokens.json";

/// The audit: one record a line, mode 0600.
pub const AUDIT_FILE: &str = "audit.log";

/// The end of the audit, apart from it: a log that ends before it was cut.
pub const AUDIT_END_FILE: &str = "audit.end";

/// The key that signs the audit's records, mode 0600.
pub const AUDIT_KEY_FILE: &str = "audit.key";

/// The key by which they are checked.
pub const AUDIT_PUBLIC_KEY_FILE: &str = "audit.pub";

/// Where the daemon serves, while it does: one line, for example `https://127.0.0.1:7443`.
pub const URL_FILE: &str = "server.url";

/// The folder of the built-in agent's own records.
pub const AGENT_DIR: &str = "agent";

/// Returns the data directory of whoever says nothing: `/var/lib/keyturn` for root, else `keyturn`
/// in the user's own data folder (`$XDG_DATA_HOME` or `~/.local/share`). Without a home it is in
/// the working directory.
#[must_use]
pub fn usual() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/keyturn");
    }
    let folder = |name: &str| {
        std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute())
    };
    let data = folder("XDG_DATA_HOME").or_else(|| Some(folder("HOME")?.join(".local/share")));
    data.unwrap_or_default().join("keyturn")
}
