//! What a vault wants to see before it talks, and whether it may want that.

use reqwest::Url;

/// What a vault's `WWW-Authenticate` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The directory (tenant) that must have given the token.
    pub tenant: String,
    /// The resource that the token must be for, without a slash at its end.
    pub resource: String,
}

/// What speaks against a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objection {
    /// The vault belongs to another directory.
    Tenant,
    /// The resource does not cover the vault's host.
    Resource,
}

impl Challenge {
    /// Reads `Bearer authorization="https://…/TENANT", resource="https://…"`; `scope` may stand for
    /// the resource.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, parameters) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut tenant, mut resource) = (None, None);
        for parameter in parameters.split(',') {
            let Some((key, value)) = parameter.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match key.trim() {
                "authorization" | "authorization_uri" => tenant = tenant_of(value),
                "resource" => resource = Some(value),
                "scope" => resource = resource.or(value.strip_suffix("/.default")),
                _ => {}
            }
        }
        let resource = resource?.trim_end_matches('/').to_owned();
        Some(Self { tenant: tenant?, resource })
    }

    /// Checks that a token of `tenant` may be asked for and sent to `host`. `trusted` is a resource
    /// that the configuration trusts with any host. A directory that is known by its domain cannot
    /// be compared with the challenge's GUID, and is not.
    ///
    /// # Errors
    /// Returns what speaks against it.
    pub fn check(
        &self,
        host: &str,
        tenant: Option<&str>,
        trusted: Option<&str>,
    ) -> Result<(), Objection> {
        let is_guid = |text: &&str| text.len() == 36 && !text.contains('.');
        if tenant.filter(is_guid).is_some_and(|own| !own.eq_ignore_ascii_case(&self.tenant)) {
            return Err(Objection::Tenant);
        }
        let is_fine = match trusted {
            Some(trusted) => trusted.trim_end_matches('/').eq_ignore_ascii_case(&self.resource),
            None => covers(&self.resource, host),
        };
        if is_fine { Ok(()) } else { Err(Objection::Resource) }
    }
}

fn tenant_of(authority: &str) -> Option<String> {
    let url = Url::parse(authority).ok()?;
    let tenant = url.path_segments()?.rfind(|part| !part.is_empty())?;
    Some(tenant.to_owned())
}

/// Tells whether `host` is below the host of `resource`, as Azure's own libraries want it: a server
/// that somebody else runs must not get a token for a vault.
fn covers(resource: &str, host: &str) -> bool {
    let url = Url::parse(resource).ok().filter(|url| url.scheme() == "https");
    let domain = url.as_ref().and_then(Url::host_str);
    domain.is_some_and(|domain| {
        let below = host.to_ascii_lowercase();
        below.strip_suffix(&domain.to_ascii_lowercase()).is_some_and(|rest| rest.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

    fn challenge(resource: &str) -> Challenge {
        Challenge { tenant: TENANT.to_owned(), resource: resource.to_owned() }
    }

    #[test]
    fn challenges_are_read_in_the_forms_that_vaults_write() {
        let expect = Some(challenge("https://vault.azure.net"));
        let authority = format!("https://login.microsoftonline.com/{TENANT}");
        for header in [
            format!("Bearer authorization=\"{authority}\", resource=\"https://vault.azure.net\""),
            format!("bearer  authorization=\"{authority}/\",resource=\"https://vault.azure.net/\""),
            format!("Bearer authorization_uri={authority}, scope=https://vault.azure.net/.default"),
        ] {
            assert_eq!(Challenge::parse(&header), expect, "{header}");
        }
        for header in [
            "",
            "Bearer",
            "Basic realm=\"a\"",
            "Bearer resource=\"https://vault.azure.net\"",
            "Bearer authorization=\"https://login.example\", resource=\"https://a.b\"",
            "Bearer authorization=\"https://login.example/t\"",
        ] {
            assert_eq!(Challenge::parse(header), None, "{header}");
        }
    }

    #[test]
    fn a_token_goes_to_hosts_below_its_resource_only() {
        let check = |resource: &str, host: &str| challenge(resource).check(host, None, None);
        assert_eq!(check("https://vault.azure.net", "kv.vault.azure.net"), Ok(()));
        assert_eq!(check("https://VAULT.azure.net", "KV.vault.azure.NET"), Ok(()));
        for (resource, host) in [
            ("https://vault.azure.net", "vault.azure.net"),
            ("https://vault.azure.net", "evilvault.azure.net"),
            ("https://vault.azure.net", "kv.vault.azure.net.evil.example"),
            ("https://management.azure.com", "kv.vault.azure.net"),
            ("http://vault.azure.net", "kv.vault.azure.net"),
            ("vault.azure.net", "kv.vault.azure.net"),
            ("https://", "kv.vault.azure.net"),
        ] {
            assert_eq!(check(resource, host), Err(Objection::Resource), "{resource} {host}");
        }
    }

    #[test]
    fn a_configured_resource_is_taken_with_any_host_and_no_other_is() {
        let private = challenge("https://vault.azure.net");
        assert_eq!(private.check("10.0.0.1", None, Some("https://vault.azure.net/")), Ok(()));
        let other = private.check("kv.vault.azure.net", None, Some("https://vault.example"));
        assert_eq!(other, Err(Objection::Resource));
    }

    #[test]
    fn a_vault_of_another_directory_gets_no_token() {
        let check = |tenant: &str| {
            challenge("https://vault.azure.net").check("kv.vault.azure.net", Some(tenant), None)
        };
        assert_eq!(check(&TENANT.to_uppercase()), Ok(()));
        assert_eq!(check("contoso.example"), Ok(()));
        assert_eq!(check("00000000-0000-0000-0000-000000000001"), Err(Objection::Tenant));
    }
}
