//! What a configuration file says, before defaults and before one value is checked against another.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::job::Verification;

use super::secrets::FileSecrets;
use super::vault::FileVault;
use super::{
    ArchiveConfig, Config, Flags, KeyVaultConfig, RotationConfig, TokensConfig, VERIFICATIONS,
    access, archive, commit_timer, key_vault, oidc,
};
use crate::access::oidc::IssuerSettings;
use crate::document::{self, DocumentError, Spot, Table, Value};
use crate::duration;

const KEYS: [&str; 12] = [
    "listen",
    "data-dir",
    "secrets-template",
    "store",
    "vault",
    "rotation",
    "agent",
    "access",
    "edge",
    "archive",
    "secrets",
    "tls",
];
const ROTATION_KEYS: [&str; 12] = [
    "password-sets-max",
    "device-timeout",
    "quiet-time",
    "commit-timer",
    "canary",
    "wave-growth",
    "wave-max",
    "halt-failures-min",
    "halt-failures-percent",
    "retries-max",
    "retry-backoff",
    "verification",
];

/// The longest that anything on a device may take; a longer time is a mistyped unit.
const HOUR: Duration = Duration::from_secs(3_600);

/// A second: less than any device needs for a command.
const QUIET_MIN: Duration = Duration::from_secs(1);
const DEVICE_TIMEOUT_MIN: Duration = Duration::from_secs(5);
const RETRY_BACKOFF: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(600);

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Given<T> {
    pub(super) value: T,
    spot: Spot,
}

/// A configuration file.
#[derive(Debug, Default)]
pub(super) struct FileConfig {
    listen: Option<SocketAddr>,
    data_dir: Option<PathBuf>,
    secrets_template: Option<PathBuf>,
    store_path: Option<PathBuf>,
    vault: FileVault,
    rotation: FileRotation,
    sessions_max: Option<usize>,
    platforms_dir: Option<PathBuf>,
    oidc: Vec<IssuerSettings>,
    tokens: TokensConfig,
    key_vault: Option<KeyVaultConfig>,
    key_vault_spot: Option<Spot>,
    archive: ArchiveConfig,
    secrets: FileSecrets,
}

/// `[rotation]` of a configuration file.
#[derive(Debug, Default)]
struct FileRotation {
    password_sets_max: Option<u32>,
    device_timeout: Option<Given<Duration>>,
    quiet_time: Option<Given<Duration>>,
    commit_timer: Option<Given<Duration>>,
    canary: Option<bool>,
    wave_growth: Option<usize>,
    wave_max: Option<usize>,
    halt_failures_min: Option<usize>,
    halt_failures_percent: Option<usize>,
    retries_max: Option<u8>,
    retry_backoff: Option<Given<Duration>>,
    verification: Option<Verification>,
}

impl FileConfig {
    /// Reads the text of a file.
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, DocumentError> {
        let mut top = document::parse(file, text)?.table("the configuration", &KEYS)?;
        let mut config = Self {
            listen: listen(&mut top)?,
            data_dir: path(&mut top, "data-dir", "the path of a folder")?,
            secrets_template: path(&mut top, "secrets-template", "the path of a template")?,
            ..Self::default()
        };
        config.secrets = FileSecrets::parse(&mut top)?;
        if let Some(value) = top.optional("store") {
            let mut store = value.table("[store]", &["path"])?;
            config.store_path = path(&mut store, "path", "the path of a database file")?;
        }
        if let Some(value) = top.optional("agent") {
            let mut agent = value.table("[agent]", &["sessions-max", "platforms-dir"])?;
            config.sessions_max = number(&mut agent, "sessions-max", "sessions", 2..=10_000)?;
            config.platforms_dir = path(&mut agent, "platforms-dir", "the path of a folder")?;
        }
        if let Some(value) = top.optional("edge") {
            let spot = value.spot();
            config.key_vault = key_vault::parse(value)?;
            config.key_vault_spot = config.key_vault.as_ref().map(|_served| spot);
        }
        if let Some(value) = top.optional("vault") {
            config.vault = FileVault::parse(value, &mut config.secrets)?;
        }
        if let Some(value) = top.optional("access") {
            (config.oidc, config.tokens) = access::parse(value, &mut config.secrets)?;
        }
        if let Some(value) = top.optional("archive") {
            config.archive = archive::parse(value, &mut config.secrets)?;
        }
        if let Some(value) = top.optional("rotation") {
            config.rotation = FileRotation::parse(value)?;
        }
        Ok(config)
    }

    /// Puts defaults in where the file says nothing, and checks values against each other.
    pub(super) fn check(self, base: &Path, flags: &Flags) -> Result<Config, DocumentError> {
        let place = |path: PathBuf| base.join(path);
        let flags = Flags {
            data_dir: flags.data_dir.clone().or_else(|| self.data_dir.map(place)),
            listen: flags.listen.or(self.listen),
        };
        let mut config = Config::without_file(&flags);
        config.secrets_template = self.secrets_template.map(place);
        if let Some(path) = self.store_path {
            config.store.path = place(path);
        }
        config.vault = self.vault.check(config.vault, base);
        config.rotation = self.rotation.check()?;
        config.agent.sessions_max = self.sessions_max.unwrap_or(config.agent.sessions_max);
        config.agent.platforms_dir = self.platforms_dir.map(place);
        (config.secrets, config.tls) = self.secrets.check(base)?;
        config.oidc = self.oidc.into_iter().map(|issuer| oidc::place(issuer, base)).collect();
        if let (Some(spot), Some(remote)) = (self.key_vault_spot, &config.vault.remote) {
            let hint = "leave [edge.key-vault] out: clients ask the vault itself";
            let error = spot.wrong("the embedded vault", format_args!("`{remote}`"));
            return Err(error.with_hint(hint));
        }
        config.tokens = self.tokens;
        config.key_vault = self.key_vault;
        config.archive = archive::place(self.archive, base);
        Ok(config)
    }
}

impl FileRotation {
    fn parse(value: Value) -> Result<Self, DocumentError> {
        let mut table = value.table("[rotation]", &ROTATION_KEYS)?;
        let table = &mut table;
        let verification = table.optional("verification");
        Ok(Self {
            password_sets_max: number(table, "password-sets-max", "password sets", 2..=10)?,
            device_timeout: time(table, "device-timeout", DEVICE_TIMEOUT_MIN..=HOUR)?,
            quiet_time: time(table, "quiet-time", QUIET_MIN..=HOUR)?,
            commit_timer: time(table, "commit-timer", DEVICE_TIMEOUT_MIN..=HOUR * 2)?,
            canary: table.optional("canary").map(Value::boolean).transpose()?,
            wave_growth: number(table, "wave-growth", "a factor", 2..=100)?,
            wave_max: number(table, "wave-max", "devices", 1..=1_000_000)?,
            halt_failures_min: number(table, "halt-failures-min", "devices", 1..=1_000_000)?,
            halt_failures_percent: number(table, "halt-failures-percent", "percent", 1..=100)?,
            retries_max: number(table, "retries-max", "retries", 0..=10)?,
            retry_backoff: time(table, "retry-backoff", RETRY_BACKOFF)?,
            verification: verification
                .map(|value| value.choice("a kind of verification", &VERIFICATIONS))
                .transpose()?,
        })
    }

    fn check(self) -> Result<RotationConfig, DocumentError> {
        let usual = RotationConfig::default();
        let device_timeout = self.device_timeout.map_or(usual.device_timeout, |given| given.value);
        let timer = longer(self.commit_timer, commit_timer(device_timeout), device_timeout)?;
        let time = |given: Option<Given<Duration>>, otherwise| {
            given.map_or(otherwise, |given| given.value)
        };
        Ok(RotationConfig {
            password_sets_max: self.password_sets_max.unwrap_or(usual.password_sets_max),
            device_timeout,
            quiet_time: time(self.quiet_time, usual.quiet_time),
            commit_timer: timer,
            canary: self.canary.unwrap_or(usual.canary),
            wave_growth: self.wave_growth.unwrap_or(usual.wave_growth),
            wave_max: self.wave_max.unwrap_or(usual.wave_max),
            halt_failures_min: self.halt_failures_min.unwrap_or(usual.halt_failures_min),
            halt_failures_percent: self
                .halt_failures_percent
                .unwrap_or(usual.halt_failures_percent),
            retries_max: self.retries_max.unwrap_or(usual.retries_max),
            retry_backoff: time(self.retry_backoff, usual.retry_backoff),
            verification: self.verification.unwrap_or(usual.verification),
        })
    }
}

/// Takes a time that must be longer than the time-out of a device.
fn longer(
    given: Option<Given<Duration>>,
    otherwise: Duration,
    device_timeout: Duration,
) -> Result<Duration, DocumentError> {
    let Some(Given { value, spot }) = given else {
        return Ok(otherwise);
    };
    if value > device_timeout {
        return Ok(value);
    }
    let least = duration::render(device_timeout);
    let expected = format!("more than `device-timeout`, which is {least}");
    Err(spot.wrong(expected, format_args!("`{}`", duration::render(value))))
}

fn listen(table: &mut Table) -> Result<Option<SocketAddr>, DocumentError> {
    let expected = "an IP address and a port, as in \"127.0.0.1:7443\" or \"[::]:7443\"";
    table.optional("listen").map(|value| value.parsed(expected)).transpose()
}

pub(super) fn path(
    table: &mut Table,
    key: &str,
    expected: &str,
) -> Result<Option<PathBuf>, DocumentError> {
    let legal = |text: &str| {
        let fits = !text.is_empty() && !text.contains('\0');
        fits.then(|| PathBuf::from(text))
    };
    table.optional(key).map(|value| value.read(expected, legal)).transpose()
}

pub(super) fn number<T: TryFrom<u32>>(
    table: &mut Table,
    key: &str,
    what: &str,
    range: RangeInclusive<u32>,
) -> Result<Option<T>, DocumentError> {
    let Some(value) = table.optional(key) else {
        return Ok(None);
    };
    let too_large = value.unexpected(format_args!("{what} in a smaller number"));
    let number = value.number(what, *range.start(), *range.end())?;
    T::try_from(number).map(Some).map_err(|_| too_large)
}

pub(super) fn time(
    table: &mut Table,
    key: &str,
    range: RangeInclusive<Duration>,
) -> Result<Option<Given<Duration>>, DocumentError> {
    let Some(value) = table.optional(key) else {
        return Ok(None);
    };
    let spot = value.spot();
    let (least, most) = (duration::render(*range.start()), duration::render(*range.end()));
    let outside = value.unexpected(format_args!("a duration, {least} to {most}"));
    let value = value.read(duration::EXPECTED, |text| duration::parse(text).ok())?;
    if range.contains(&value) { Ok(Some(Given { value, spot })) } else { Err(outside) }
}
