//! The configuration as a file again.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

mod vaults;

use protocol::id::FabricId;

use super::{
    Config, ElsewhereToken, KeyVaultConfig, RotationConfig, TlsConfig, TokensConfig, VERIFICATIONS,
};
use crate::access::Role;
use crate::access::oidc::{IssuerSettings, KeysFrom, RoleMapping};
use crate::duration;
use crate::reference::ReferenceSettings;

/// Renders all values; what is left out has no default value to name.
pub(super) fn render(config: &Config, working_dir: &Path) -> String {
    let mut text = Text { working_dir, text: String::new() };
    text.quoted("listen", &config.listen.to_string());
    text.path("data-dir", Some(&config.data_dir), "");
    let template = config.secrets_template.as_deref();
    text.path("secrets-template", template, "the built-in template");
    text.section("store");
    text.path("path", Some(&config.store.path), "");
    vaults::primary(&mut text, &config.vault);
    rotation(&mut text, &config.rotation);
    text.section("agent");
    text.plain("sessions-max", config.agent.sessions_max);
    let platforms = config.agent.platforms_dir.as_deref();
    text.path("platforms-dir", platforms, "the built-in platforms only");
    secrets(&mut text, &config.secrets);
    tls(&mut text, &config.tls);
    tokens(&mut text, &config.tokens);
    oidc(&mut text, &config.oidc);
    key_vault(&mut text, config.key_vault.as_ref());
    vaults::archive(&mut text, &config.archive);
    text.text
}

fn secrets(text: &mut Text<'_>, settings: &ReferenceSettings) {
    text.section("secrets");
    text.path("dir", settings.dir.as_deref(), "no local secrets");
    text.duration("poll", settings.poll);
    text.quoted("vault-suffix", &settings.vault_suffix);
    text.optional("resource", settings.resource.as_deref(), "what a vault says");
    let usual = "AZURE_AUTHORITY_HOST, else the public cloud";
    text.optional("authority", settings.authority.as_deref(), usual);
    text.path("ca-file", settings.ca_file.as_deref(), "the system's authorities");
    let address = settings.address.map(|address| address.to_string());
    text.optional("address", address.as_deref(), "what names resolve to");
}

fn tls(text: &mut Text<'_>, tls: &TlsConfig) {
    let Some(certificate) = &tls.certificate else {
        return text.none("[tls]", "a certificate of Keyturn's own authority");
    };
    text.section("tls");
    text.plain("certificate", certificate.to_toml());
    if let Some(chain) = &tls.ca_chain {
        text.plain("ca-chain", chain.to_toml());
    }
}

fn tokens(text: &mut Text<'_>, tokens: &TokensConfig) {
    if let Some(admin) = &tokens.admin {
        text.section("access");
        text.plain("admin-token", admin.to_toml());
    }
    for ElsewhereToken { name, token, grant } in &tokens.others {
        text.section("[access.token]");
        text.quoted("name", name);
        text.plain("token", token.to_toml());
        granted(text, grant.role, grant.fabric.as_ref(), grant.secret_prefix.as_deref());
    }
}

fn granted(text: &mut Text<'_>, role: Role, fabric: Option<&FabricId>, prefix: Option<&str>) {
    text.quoted("role", role.as_str());
    match fabric {
        Some(fabric) => text.quoted("fabric", &fabric.to_string()),
        None => text.plain("# fabric", "\"…\"   # all"),
    }
    if let Some(prefix) = prefix {
        text.quoted("secret-prefix", prefix);
    }
}

fn oidc(text: &mut Text<'_>, issuers: &[IssuerSettings]) {
    if issuers.is_empty() {
        text.none("[[access.oidc]]", "local tokens only");
    }
    for issuer in issuers {
        text.section("[access.oidc]");
        text.quoted("issuer", &issuer.issuer);
        text.plain("audience", toml::Value::from(issuer.audiences.clone()));
        match &issuer.keys {
            KeysFrom::File(file) => text.path("jwks-file", Some(file), ""),
            KeysFrom::Url { url, ca_file } => {
                text.quoted("jwks-url", url);
                text.path("ca-file", ca_file.as_deref(), "the system's authorities");
            }
        }
        text.duration("refresh", issuer.refresh);
        text.duration("clock-skew-max", issuer.clock_skew_max);
        text.quoted("name-claim", &issuer.name_claim);
        for RoleMapping { claim, value, role, fabric, secret_prefix } in &issuer.roles {
            text.section("[access.oidc.roles]");
            text.quoted("claim", claim);
            text.quoted("value", value);
            granted(text, *role, fabric.as_ref(), secret_prefix.as_deref());
        }
    }
}

fn key_vault(text: &mut Text<'_>, config: Option<&KeyVaultConfig>) {
    let Some(config) = config else {
        text.none("[edge.key-vault]", "not served");
        return;
    };
    text.section("edge.key-vault");
    text.quoted("listen", &config.listen.to_string());
    let optional = [
        ("uri", &config.uri, "https://localhost and the port"),
        ("authorization", &config.authorization, "the first issuer, else the vault"),
        ("resource", &config.resource, "the URI without the first part of its host"),
    ];
    for (key, value, otherwise) in optional {
        match value {
            Some(value) => text.quoted(key, value),
            None => text.plain(&format!("# {key}"), format_args!("\"…\"   # {otherwise}")),
        }
    }
    text.duration("retention", config.retention);
    text.plain("reads-max", config.reads_max);
    text.plain("writes-max", config.writes_max);
}

fn rotation(text: &mut Text<'_>, rotation: &RotationConfig) {
    text.section("rotation");
    text.plain("password-sets-max", rotation.password_sets_max);
    text.duration("device-timeout", rotation.device_timeout);
    text.duration("quiet-time", rotation.quiet_time);
    text.duration("commit-timer", rotation.commit_timer);
    text.plain("canary", rotation.canary);
    text.plain("wave-growth", rotation.wave_growth);
    text.plain("wave-max", rotation.wave_max);
    text.plain("halt-failures-min", rotation.halt_failures_min);
    text.plain("halt-failures-percent", rotation.halt_failures_percent);
    text.plain("retries-max", rotation.retries_max);
    text.duration("retry-backoff", rotation.retry_backoff);
    let named = VERIFICATIONS.iter().find(|(_, value)| *value == rotation.verification);
    text.quoted("verification", named.map_or("", |(name, _)| name));
}

struct Text<'d> {
    working_dir: &'d Path,
    text: String,
}

impl Text<'_> {
    fn section(&mut self, name: &str) {
        // Writing to a text cannot fail.
        let _written = writeln!(self.text, "\n[{name}]");
    }

    fn none(&mut self, section: &str, otherwise: &str) {
        let _written = writeln!(self.text, "\n# {section}   # {otherwise}");
    }

    fn plain(&mut self, key: &str, value: impl std::fmt::Display) {
        let _written = writeln!(self.text, "{key} = {value}");
    }

    fn quoted(&mut self, key: &str, value: &str) {
        self.plain(key, toml::Value::String(value.to_owned()));
    }

    fn optional(&mut self, key: &str, value: Option<&str>, otherwise: &str) {
        match value {
            Some(value) => self.quoted(key, value),
            None => self.plain(&format!("# {key}"), format_args!("\"…\"   # {otherwise}")),
        }
    }

    fn duration(&mut self, key: &str, value: Duration) {
        self.quoted(key, &duration::render(value));
    }

    fn path(&mut self, key: &str, value: Option<&Path>, otherwise: &str) {
        match value {
            Some(path) => {
                let path = self.working_dir.join(path).display().to_string();
                self.quoted(key, &path);
            }
            None => self.plain(&format!("# {key}"), format_args!("\"…\"   # {otherwise}")),
        }
    }
}
