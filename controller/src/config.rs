//! The configuration of `keyturn serve`: checked values, with a reason for each default.
//!
//! A configuration file is TOML with kebab-case keys, units in values, limits that end in `-max`,
//! and secrets only as the paths of files. Relative paths in it are relative to the file. Without
//! any file everything has a default. `config/file.rs` has what a file may say; what is here
//! has been checked, also one value against another.

mod access;
mod archive;
mod azure;
mod effective;
mod file;
mod hashicorp;
mod key_vault;
mod kubernetes;
mod oidc;
mod remote_vault;
mod retention;
mod secrets;
mod vault;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::job::Verification;

pub use self::access::{ElsewhereToken, TokensConfig};
pub use self::archive::ArchiveConfig;
pub use self::azure::AzureAccess;
pub use self::hashicorp::HashicorpConfig;
pub use self::key_vault::KeyVaultConfig;
pub use self::remote_vault::{AzureVaultConfig, RemoteVaultConfig};
use crate::access::oidc::IssuerSettings;
use crate::data_dir;
pub use crate::document::DocumentError;
use crate::error::Fault;
use crate::plan::retention::Retention;
use crate::reference::{Reference, ReferenceSettings};

/// The data directory without configuration: in the working directory, where a first user may
/// write and sees it. A service's unit says `--data-dir /var/lib/keyturn`.
pub const DATA_DIR_DEFAULT: &str = "keyturn-data";

/// The address without configuration. Loopback: nobody else reaches a daemon that its operator has
/// not decided to open. 7443 is not registered and looks like HTTPS.
pub const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7443);

/// Tells why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("read the configuration from {file}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The text is no configuration.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

impl ConfigError {
    /// Returns what mends it, where that is more than the message says.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Read { .. } => None,
            Self::Document(error) => error.hint(),
        }
    }

    /// Returns who has to act: whoever wrote the configuration.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::Operator
    }
}

/// What the command line says; it goes before the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<SocketAddr>,
}

/// The configuration of `keyturn serve`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where HTTPS is served; port 0 takes a free one. [`LISTEN_DEFAULT`].
    pub listen: SocketAddr,
    /// The directory for everything that the daemon keeps. [`DATA_DIR_DEFAULT`].
    pub data_dir: PathBuf,
    /// The site's secrets template. Default: the built-in one.
    pub secrets_template: Option<PathBuf>,
    /// The journal.
    pub store: StoreConfig,
    /// The vault.
    pub vault: VaultConfig,
    /// Rotations and resyncs.
    pub rotation: RotationConfig,
    /// The built-in agent.
    pub agent: AgentConfig,
    /// `[[access.oidc]]`: the issuers whose tokens are taken, besides local ones. Default: none.
    pub oidc: Vec<IssuerSettings>,
    /// Tokens that are elsewhere. Default: none.
    pub tokens: TokensConfig,
    /// `[edge.key-vault]`: where the Key Vault API is served. Default: nowhere.
    pub key_vault: Option<KeyVaultConfig>,
    /// `[archive]`: the way to the vaults of customers.
    pub archive: ArchiveConfig,
    /// `[secrets]`: where references to credentials lead.
    pub secrets: ReferenceSettings,
    /// The certificate of HTTPS.
    pub tls: TlsConfig,
}

/// `[tls]`: the certificate of HTTPS, in place of one that Keyturn makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// The certificate with its key. Default: none, Keyturn makes its own.
    pub certificate: Option<Reference>,
    /// The certificates above it, if they are not with it.
    pub ca_chain: Option<Reference>,
}

/// `[store]`: where the journal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// The database file. Default: `store.db` in the data directory.
    pub path: PathBuf,
}

/// `[vault]`: where passwords are, and the key to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultConfig {
    /// The vault that others run, where one has the passwords; `path` and the keys are of no use then.
    /// Default: the embedded vault.
    pub remote: Option<RemoteVaultConfig>,
    /// The database file. Default: `vault.db` in the data directory; not in the store's file,
    /// because a store may go into a bug report.
    pub path: PathBuf,
    /// The file of the key-encryption key. Default: the systemd credential if there is one, else
    /// `vault.key` in the data directory, which a backup must leave out.
    pub key_file: Option<PathBuf>,
    /// The file of the passphrase that the key is made from. Default: the systemd credential if
    /// there is one, else whoever starts the daemon on a terminal is asked, if the key takes a
    /// passphrase. With neither key nor vault there, it says that the new key takes one.
    pub passphrase_file: Option<PathBuf>,
    /// Where the passphrase is, in place of a file. Default: nowhere.
    pub passphrase: Option<Reference>,
    /// The key of a Key Vault that wraps the vault's key. Default: none does.
    pub wrapped_key: Option<Reference>,
    /// `retention-versions-min` (10 to 400, default 10: the newest versions of each secret that are
    /// never purged; Azure Key Vault backs a secret up with 500 versions at most) and
    /// `retention-time` (90d to 3650d, default 90d: how long a version is kept after it was last of
    /// use, as somebody may bring back a device's configuration from a backup as old as that).
    pub retention: Retention,
}

/// `[rotation]`: limits and policies of rotations and resyncs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationConfig {
    /// Password sets that a fabric's devices may hold at once, 2 to 10. Default 3: one device can
    /// stay behind through any number of rotations and still leave room for another one's failure,
    /// and nobody has to try more than three passwords in an emergency.
    pub password_sets_max: u32,
    /// The longest that one job on one device may take, 5s to 1h. Default 90s: six times what a
    /// slow switch needs over its console at 9600 baud.
    pub device_timeout: Duration,
    /// How long a device may go on with what it was sent before a session ended, 1s to 1h. The
    /// built-in agent sends nothing once its job or its process has ended, so this is the longest
    /// that a device needs for one commit or save. Default 30s: ten times what is usual.
    pub quiet_time: Duration,
    /// The rollback timer on devices that have one, longer than `device-timeout`, to 1h. Default
    /// 300s, or twice a `device-timeout` that is longer than half of that: a timer that ends while
    /// the change is being proven would undo it.
    pub commit_timer: Duration,
    /// Whether one device of each platform goes first, alone. Default yes: a firmware that takes
    /// passwords in another way is found out on one device.
    pub canary: bool,
    /// How many times larger a wave is than the one before, 2 to 100. Default 4: a fabric of 1,000
    /// devices takes six waves, and a wave's failure concerns at most four times what had worked.
    pub wave_growth: usize,
    /// Devices in one wave at most, from 1. Default 1,000: all of a large fabric, so that growth
    /// and redundancy groups decide; there is a limit because every device in a wave may become
    /// uncertain at once.
    pub wave_max: usize,
    /// Failed devices before an operation is halted, from 1. Default 3: one broken device, or its
    /// partner too, is an accident. Devices that cannot be reached do not count.
    pub halt_failures_min: usize,
    /// The share of failed devices, among those that have ended, from which an operation is
    /// halted, 1 to 100. Default 34: more than every third device is no accident.
    pub halt_failures_percent: usize,
    /// How often a failed job is tried again within an operation, 0 to 10. Default 2: most failures
    /// that pass by themselves (a full session table, a reset) are gone at the second attempt.
    pub retries_max: u8,
    /// The pause before the first retry, doubled for each further one, 100ms to 10m. Default 2s: a
    /// device frees a session's slot within a second or two.
    pub retry_backoff: Duration,
    /// How a change is verified. Default `readback+login`: all stored hashes and one fresh login
    /// prove as much as a login of every account, in a twentieth of the logins.
    pub verification: Verification,
}

/// `[agent]`: the built-in agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentConfig {
    /// Sessions with devices that are open at once, 2 to 10,000; a device under work needs two.
    /// Default 4,096: 2,000 devices at once at some 60 KiB a session. The daemon raises its limit
    /// of open files as far as it may.
    pub sessions_max: usize,
    /// The folder of the site's own platform files. Default: none, only the built-in platforms.
    pub platforms_dir: Option<PathBuf>,
}

impl Config {
    /// Returns the configuration without a file.
    #[must_use]
    pub fn without_file(flags: &Flags) -> Self {
        let data_dir = flags.data_dir.clone().unwrap_or_else(|| PathBuf::from(DATA_DIR_DEFAULT));
        Self {
            listen: flags.listen.unwrap_or(LISTEN_DEFAULT),
            secrets_template: None,
            store: StoreConfig { path: data_dir.join("store.db") },
            vault: VaultConfig {
                remote: None,
                path: data_dir.join("vault.db"),
                key_file: None,
                passphrase_file: None,
                passphrase: None,
                wrapped_key: None,
                retention: Retention::default(),
            },
            rotation: RotationConfig::default(),
            agent: AgentConfig::default(),
            oidc: Vec::new(),
            tokens: TokensConfig::default(),
            key_vault: None,
            archive: ArchiveConfig::default(),
            secrets: ReferenceSettings::default(),
            tls: TlsConfig::default(),
            data_dir,
        }
    }

    /// Reads the configuration of whoever names a file, or none. Where nobody says where the data
    /// directory is, it is where the command line looks for one: [`data_dir::usual`].
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn find(file: Option<&Path>, flags: &Flags) -> Result<Self, ConfigError> {
        let read = |flags: &Flags| match file {
            Some(file) => Self::load(file, flags),
            None => Ok(Self::without_file(flags)),
        };
        let config = read(flags)?;
        if config.data_dir != Path::new(DATA_DIR_DEFAULT) {
            return Ok(config);
        }
        read(&Flags { data_dir: Some(data_dir::usual()), ..flags.clone() })
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// Returns [`ConfigError::Read`] for a file that cannot be read, and otherwise as
    /// [`Config::parse`].
    pub fn load(path: &Path, flags: &Flags) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let read = || Ok((std::fs::read_to_string(path)?, std::path::absolute(path)?));
        let (text, full) =
            read().map_err(|source| ConfigError::Read { file: file.clone(), source })?;
        let base = full.parent().unwrap_or_else(|| Path::new("/"));
        Ok(Self::parse(&file, base, &text, flags)?)
    }

    /// Reads the text of a configuration file; `file` is what errors call it, `base` the folder
    /// that relative paths start from.
    ///
    /// # Errors
    /// Returns [`DocumentError`] with place, key, what was expected and got, and the nearest right
    /// name: for unknown keys, values out of bounds, and values that do not go together.
    pub fn parse(
        file: &str,
        base: &Path,
        text: &str,
        flags: &Flags,
    ) -> Result<Self, DocumentError> {
        file::FileConfig::parse(file, text)?.check(base, flags)
    }

    /// Renders the whole configuration, defaults filled in, as a configuration file that reads the
    /// same wherever it lies: for `keyturn serve --check`. Relative paths (of flags and defaults)
    /// are completed by the absolute path `working_dir`.
    #[must_use]
    pub fn effective(&self, working_dir: &Path) -> String {
        effective::render(self, working_dir)
    }
}

impl Default for RotationConfig {
    fn default() -> Self {
        let device_timeout = Duration::from_secs(90);
        Self {
            password_sets_max: 3,
            device_timeout,
            quiet_time: Duration::from_secs(30),
            commit_timer: commit_timer(device_timeout),
            canary: true,
            wave_growth: 4,
            wave_max: 1_000,
            halt_failures_min: 3,
            halt_failures_percent: 34,
            retries_max: 2,
            retry_backoff: Duration::from_secs(2),
            verification: Verification::ReadbackLogin,
        }
    }
}

/// The rollback timer that goes with a device's time-out.
fn commit_timer(device_timeout: Duration) -> Duration {
    device_timeout.saturating_mul(2).max(Duration::from_secs(300))
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self { sessions_max: 4_096, platforms_dir: None }
    }
}

/// The spellings of [`Verification`].
const VERIFICATIONS: [(&str, Verification); 2] =
    [("readback+login", Verification::ReadbackLogin), ("login-all", Verification::LoginAll)];

#[cfg(test)]
mod tests;
