//! `[edge.key-vault]` of a configuration file: the vault's secrets, served as Azure Key Vault does.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::file::{number, time};
use super::oidc::url;
use crate::document::{DocumentError, Table, Value};

const KEYS: [&str; 7] =
    ["listen", "uri", "authorization", "resource", "retention", "reads-max", "writes-max"];

/// As long as Key Vault keeps what was deleted, at least and at most.
const RETENTION: RangeInclusive<Duration> =
    Duration::from_secs(7 * 24 * 3_600)..=Duration::from_secs(90 * 24 * 3_600);

/// `[edge.key-vault]`: where the Key Vault API is served, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyVaultConfig {
    /// Where HTTPS is served; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The base URI that clients know the vault by: it stands in every secret's id and in every
    /// archive reference. Default: `https://localhost:PORT`, which serves clients on this host.
    pub uri: Option<String>,
    /// Where the challenge sends clients for a token; the end of its path names the tenant.
    /// Default: the first issuer that is trusted, else the vault itself: whoever has a local token
    /// asks nobody.
    pub authorization: Option<String>,
    /// What the challenge says that tokens are for. A client that checks it (the official ones do
    /// unless told otherwise) wants the vault's host to end with it. Default: the URI without the
    /// first part of its host.
    pub resource: Option<String>,
    /// How long deleted secrets can be recovered, 7d to 90d. Default 90d, as in Key Vault.
    pub retention: Duration,
    /// Requests that look, of one principal in ten seconds, from 10. Default 4,000, as in Key
    /// Vault.
    pub reads_max: u32,
    /// Requests that change something, of one principal in ten seconds, from 10. Default 300, as in
    /// Key Vault.
    pub writes_max: u32,
}

impl KeyVaultConfig {
    /// Serves at an address, with defaults for all else.
    #[must_use]
    pub fn at(listen: SocketAddr) -> Self {
        Self {
            listen,
            uri: None,
            authorization: None,
            resource: None,
            retention: *RETENTION.end(),
            reads_max: 4_000,
            writes_max: 300,
        }
    }

    /// Returns the base URI, without a slash at its end, of a vault that is served on `port`.
    #[must_use]
    pub fn uri(&self, port: u16) -> String {
        let uri = self.uri.as_deref().map(|uri| uri.trim_end_matches('/').to_owned());
        uri.unwrap_or_else(|| format!("https://localhost:{port}"))
    }

    /// Returns what tokens are said to be for, for a vault with this base URI.
    #[must_use]
    pub fn resource(&self, uri: &str) -> String {
        let parent = || {
            let host = reqwest::Url::parse(uri).ok()?.host_str()?.to_owned();
            let is_address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
            let (_first, parent) = host.split_once('.').filter(|_parts| !is_address)?;
            parent.contains('.').then(|| format!("https://{parent}"))
        };
        self.resource.clone().or_else(parent).unwrap_or_else(|| uri.to_owned())
    }

    /// Returns the host of the base URI, a name or an address that the certificate must have.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        let host = reqwest::Url::parse(self.uri.as_deref()?).ok()?.host_str()?.to_owned();
        Some(host.trim_matches(['[', ']']).to_owned())
    }
}

/// Reads `[edge]`.
pub(super) fn parse(value: Value) -> Result<Option<KeyVaultConfig>, DocumentError> {
    let mut edge = value.table("[edge]", &["key-vault"])?;
    let Some(value) = edge.optional("key-vault") else { return Ok(None) };
    let mut table = value.table("[edge.key-vault]", &KEYS)?;
    let table = &mut table;
    let expected = "an IP address and a port, as in \"127.0.0.1:9443\"";
    let listen: SocketAddr = table.required("listen", expected)?.parsed(expected)?;
    let spot = table.spot().clone();
    let usual = KeyVaultConfig::at(listen);
    let config = KeyVaultConfig {
        uri: base(table, "uri")?,
        authorization: base(table, "authorization")?,
        resource: base(table, "resource")?,
        retention: time(table, "retention", RETENTION)?.map_or(usual.retention, |at| at.value),
        reads_max: number(table, "reads-max", "requests", 10..=1_000_000)?
            .unwrap_or(usual.reads_max),
        writes_max: number(table, "writes-max", "requests", 10..=1_000_000)?
            .unwrap_or(usual.writes_max),
        listen,
    };
    if config.uri.is_none() && !listen.ip().is_loopback() {
        let expected = "`uri` beside a `listen` that others reach: by what they know this vault";
        return Err(spot.wrong(expected, "none"));
    }
    Ok(Some(config))
}

fn base(table: &mut Table, key: &str) -> Result<Option<String>, DocumentError> {
    let expected = "an https URL without a user in it";
    let value = table.optional(key);
    value.map(|value| value.read(expected, |text| url(text, &["https"]))).transpose()
}
