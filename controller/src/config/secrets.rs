//! `[secrets]` and `[tls]` of a configuration file: where credentials are that are not in files.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::TlsConfig;
use super::file::{path, time};
use crate::document::{DocumentError, Spot, Table, Value};
use crate::reference::{Kind, LOCAL, LocalName, Reference, ReferenceSettings};

const SECRETS_KEYS: [&str; 7] =
    ["dir", "poll", "vault-suffix", "resource", "authority", "ca-file", "address"];

/// More often would be felt by a vault; less often could outlive a certificate.
const POLL: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(86_400);

/// `[secrets]` and `[tls]` of a file.
#[derive(Debug, Default)]
pub(super) struct FileSecrets {
    settings: ReferenceSettings,
    tls: TlsConfig,
    /// Where the first reference stands that needs `dir`.
    needs_dir: Option<Spot>,
}

impl FileSecrets {
    /// Takes both out of a configuration.
    pub(super) fn parse(top: &mut Table) -> Result<Self, DocumentError> {
        let mut secrets = Self::default();
        if let Some(value) = top.optional("secrets") {
            secrets.settings = settings(value)?;
        }
        if let Some(value) = top.optional("tls") {
            secrets.tls(value)?;
        }
        Ok(secrets)
    }

    /// Makes paths absolute, and checks that there is a folder where one is needed.
    pub(super) fn check(
        mut self,
        base: &Path,
    ) -> Result<(ReferenceSettings, TlsConfig), DocumentError> {
        if let (Some(spot), None) = (self.needs_dir, &self.settings.dir) {
            let error = spot.wrong("`dir` in [secrets]: a local secret is named", "none");
            return Err(error.with_hint("set `dir` in [secrets] to the folder of local secrets"));
        }
        let place = |path: PathBuf| base.join(path);
        self.settings.dir = self.settings.dir.map(place);
        self.settings.ca_file = self.settings.ca_file.map(place);
        Ok((self.settings, self.tls))
    }

    fn tls(&mut self, value: Value) -> Result<(), DocumentError> {
        let mut table = value.table("[tls]", &["certificate", "ca-chain"])?;
        let expected = "where the certificate is: { key-vault } or { secret-name }";
        let certificate = table.required("certificate", expected)?;
        self.tls.certificate =
            Some(self.reference(certificate, "`certificate`", Kind::Certificate)?);
        if let Some(chain) = table.optional("ca-chain") {
            self.tls.ca_chain = Some(self.reference(chain, "`ca-chain`", Kind::CaChain)?);
        }
        Ok(())
    }

    /// Reads the name of a local secret, and returns its folder: as `dir` has it, which is needed for
    /// it.
    pub(super) fn folder(&mut self, value: Value) -> Result<PathBuf, DocumentError> {
        self.needs_dir.get_or_insert(value.spot());
        let name = value.read(LOCAL, LocalName::new)?;
        Ok(self.settings.dir.clone().unwrap_or_default().join(name.as_str()))
    }

    /// Reads a reference, and notes what it needs.
    pub(super) fn reference(
        &mut self,
        value: Value,
        what: &str,
        kind: Kind,
    ) -> Result<Reference, DocumentError> {
        let spot = value.spot();
        let reference = Reference::parse(value, what, kind)?;
        self.needs(&reference, spot);
        Ok(reference)
    }

    /// Notes what a reference needs.
    pub(super) fn needs(&mut self, reference: &Reference, spot: Spot) {
        if reference.needs_folder() {
            self.needs_dir.get_or_insert(spot);
        }
    }
}

fn settings(value: Value) -> Result<ReferenceSettings, DocumentError> {
    let mut table = value.table("[secrets]", &SECRETS_KEYS)?;
    let usual = ReferenceSettings::default();
    let poll = time(&mut table, "poll", POLL)?.map_or(usual.poll, |given| given.value);
    let expected = "the domain of vaults, with a port if need be, as in \"vault.azure.net\"";
    let suffix = table.optional("vault-suffix").map(|value| value.read(expected, domain));
    let url = |table: &mut Table, key: &str| {
        let expected = "https://HOST or https://HOST:PORT";
        table.optional(key).map(|value| value.read(expected, origin)).transpose()
    };
    let address = table.optional("address");
    let address = address.map(|value| value.parsed::<IpAddr>("an IP address")).transpose()?;
    Ok(ReferenceSettings {
        dir: path(&mut table, "dir", "the path of a folder")?,
        poll,
        vault_suffix: suffix.transpose()?.unwrap_or(usual.vault_suffix),
        resource: url(&mut table, "resource")?,
        authority: url(&mut table, "authority")?,
        ca_file: path(&mut table, "ca-file", "the path of a file")?,
        address,
    })
}

/// What may stand behind a vault's name and a dot.
fn domain(text: &str) -> Option<String> {
    let url = reqwest::Url::parse(&format!("https://kv.{text}")).ok()?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    // What is read from the URL must be all that was written.
    let is_all = url.host_str().is_some_and(|host| format!("{host}{port}") == format!("kv.{text}"));
    is_all.then(|| text.to_owned())
}

fn origin(text: &str) -> Option<String> {
    let url = reqwest::Url::parse(text).ok()?;
    let nobody = url.username().is_empty() && url.password().is_none();
    let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    (url.scheme() == "https" && url.has_host() && nobody && plain).then(|| text.to_owned())
}
