//! Applications: Microsoft Entra ID gives a token for a secret, or for a token of another provider.
//!
//! Source: Microsoft identity platform, "OAuth 2.0 client credentials flow", first case (shared
//! secret) and third case (federated credential).

use std::path::{Path, PathBuf};

use axum::body::Bytes;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Response, Url};
use zeroize::Zeroizing;

use super::{Credential, IdentityError, Token, answer};
use crate::remote::{self, FILE_BYTES_MAX, Pace, Way};

/// The public cloud's.
const AUTHORITY: &str = "https://login.microsoftonline.com";

const AUTHORITY_VARIABLE: &str = "AZURE_AUTHORITY_HOST";
const TENANT_VARIABLE: &str = "AZURE_TENANT_ID";
const CLIENT_VARIABLE: &str = "AZURE_CLIENT_ID";
const TOKEN_FILE_VARIABLE: &str = "AZURE_FEDERATED_TOKEN_FILE";

/// The files of a Secret with a service principal (Azure IoT MQ, Secrets Store CSI driver).
const CLIENT_FILE: &str = "clientid";
const SECRET_FILE: &str = "clientsecret";

/// How a token of another provider is named in a request.
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An application in a directory.
pub(super) struct Entra {
    http: Client,
    url: Url,
    place: String,
    tenant: String,
    proof: Proof,
    pace: Pace,
}

/// What a request is made of, all of it read again for each.
enum Proof {
    Secret { client: PathBuf, secret: PathBuf },
    Federated { client: String, token: PathBuf },
}

impl Entra {
    pub(super) fn open(
        tenant: Option<&str>,
        credential: &Credential,
        authority: Option<&str>,
        way: &Way,
        pace: Pace,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, IdentityError> {
        let given =
            |told: Option<&str>, name: &str| told.map(str::to_owned).or_else(|| variable(name));
        let tenant = given(tenant, TENANT_VARIABLE).ok_or(IdentityError::Unset {
            what: "the directory",
            key: "directory-id",
            variable: TENANT_VARIABLE,
        })?;
        let authority = given(authority, AUTHORITY_VARIABLE);
        let authority = authority.unwrap_or_else(|| AUTHORITY.to_owned());
        let (url, host) = endpoint(&authority, &tenant)?;
        let proof = proof(credential, given)?;
        let http = remote::client(way, &host, &pace)?;
        Ok(Self { http, url, place: host, tenant, proof, pace })
    }

    pub(super) fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Asks for a token, a few times if the service is busy or down.
    pub(super) async fn token(&self, resource: &str, now: u64) -> Result<Token, IdentityError> {
        let once = || async {
            // Read again: who waits for a service may have got a new secret meanwhile.
            let form = self.form(resource).await?;
            let request = self.http.post(self.url.clone());
            let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            let sent = request.body(Bytes::from_owner(form)).send().await;
            sent.map_err(|source| IdentityError::Reach {
                place: self.place.clone(),
                source: source.without_url(),
            })
        };
        let pause = |tried, answer: Option<&Response>| {
            let busy = |answer: &&Response| remote::is_busy(answer.status());
            let asked = remote::retry_after(answer.filter(busy)?.headers());
            self.pace.pause(tried, asked)
        };
        let response = remote::until_answered(once, pause).await?;
        answer::read(&self.place, response, now).await
    }

    async fn form(&self, resource: &str) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
        let scope = format!("{}/.default", resource.trim_end_matches('/'));
        let mut form = Form::new();
        form.add("grant_type", "client_credentials");
        form.add("scope", &scope);
        match &self.proof {
            Proof::Secret { client, secret } => {
                form.add("client_id", &read(client, "an application's client id").await?);
                form.add("client_secret", &read(secret, "a client secret").await?);
            }
            Proof::Federated { client, token } => {
                form.add("client_id", client);
                form.add("client_assertion_type", ASSERTION);
                form.add("client_assertion", &read(token, "a token").await?);
            }
        }
        Ok(form.0)
    }
}

/// Returns where tokens are given, and the host's name.
fn endpoint(authority: &str, tenant: &str) -> Result<(Url, String), IdentityError> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if !tenant.starts_with(|c: char| c.is_ascii_alphanumeric()) || !tenant.chars().all(is_name) {
        return Err(IdentityError::Address {
            what: "a directory",
            given: tenant.to_owned(),
            expected: "a GUID or a domain",
        });
    }
    let wrong = || IdentityError::Address {
        what: "the authority",
        given: authority.to_owned(),
        expected: "https://HOST or https://HOST:PORT",
    };
    // Some of Azure's own tools write the variable without the scheme.
    let scheme = if authority.contains("://") { "" } else { "https://" };
    let mut url = Url::parse(&format!("{scheme}{authority}")).map_err(|_source| wrong())?;
    let nobody = url.username().is_empty() && url.password().is_none();
    if url.scheme() != "https" || url.path() != "/" || !nobody {
        return Err(wrong());
    }
    url.set_path(&format!("{tenant}/oauth2/v2.0/token"));
    let host = url.host_str().ok_or_else(wrong)?.to_owned();
    Ok((url, host))
}

fn proof(
    credential: &Credential,
    given: impl Fn(Option<&str>, &str) -> Option<String>,
) -> Result<Proof, IdentityError> {
    match credential {
        Credential::Folder(folder) => {
            Ok(Proof::Secret { client: folder.join(CLIENT_FILE), secret: folder.join(SECRET_FILE) })
        }
        Credential::Federated { client, token_file } => {
            let unset = |what, key, variable| IdentityError::Unset { what, key, variable };
            let client = given(client.as_deref(), CLIENT_VARIABLE)
                .ok_or_else(|| unset("the application", "client-id", CLIENT_VARIABLE))?;
            let token = token_file.clone();
            let token = token.or_else(|| given(None, TOKEN_FILE_VARIABLE).map(PathBuf::from));
            let token = token.ok_or_else(|| {
                unset("the federated token's file", "token-file", TOKEN_FILE_VARIABLE)
            })?;
            Ok(Proof::Federated { client, token })
        }
    }
}

async fn read(file: &Path, expected: &'static str) -> Result<Zeroizing<String>, IdentityError> {
    let read = remote::credential(file).await;
    let text = read.map_err(|source| IdentityError::File { file: file.to_owned(), source })?;
    text.ok_or_else(|| IdentityError::Content { file: file.to_owned(), expected })
}

/// A form, in memory that is overwritten: it holds a secret.
struct Form(Zeroizing<Vec<u8>>);

impl Form {
    fn new() -> Self {
        // Room for a long token with every character escaped: a buffer that grows leaves copies.
        Self(Zeroizing::new(Vec::with_capacity(4 * FILE_BYTES_MAX)))
    }

    fn add(&mut self, key: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push(b'&');
        }
        self.escape(key);
        self.0.push(b'=');
        self.escape(value);
    }

    fn escape(&mut self, text: &str) {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let digit = |half: u8| DIGITS.get(usize::from(half)).copied().unwrap_or(b'0');
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    self.0.push(byte);
                }
                _ => self.0.extend([b'%', digit(byte >> 4), digit(byte & 15)]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_escape_what_would_end_a_value() {
        let mut form = Form::new();
        form.add("scope", "https://vault.azure.net/.default");
        form.add("client_secret", "a+b&c=d~ é");
        let text = str::from_utf8(&form.0).unwrap();
        assert_eq!(
            text,
            "scope=https%3A%2F%2Fvault.azure.net%2F.default&client_secret=a%2Bb%26c%3Dd~%20%C3%A9"
        );
    }

    #[test]
    fn tokens_are_given_at_the_authority_and_nowhere_else() {
        let url = |authority: &str| {
            endpoint(authority, "contoso.example").map(|(url, _)| url.to_string())
        };
        for authority in ["https://login.example:8443/", "login.example:8443"] {
            let expect = "https://login.example:8443/contoso.example/oauth2/v2.0/token";
            assert_eq!(url(authority).unwrap(), expect);
        }
        for wrong in ["http://login.example", "https://", "https://a@login.example", "ftp://a"] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
        for tenant in ["", "..", "a/b", "..%2f", "a b"] {
            assert!(endpoint(AUTHORITY, tenant).is_err(), "{tenant}");
        }
    }

    #[test]
    fn what_neither_the_configuration_nor_the_environment_says_is_named() {
        let credential = Credential::Federated { client: None, token_file: None };
        let open = |variables: &[(&str, &str)]| {
            let variable = |name: &str| {
                let found = variables.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            Entra::open(None, &credential, None, &Way::default(), Pace::default(), variable)
        };
        let mut known = Vec::new();
        for (variable, key, value) in [
            (TENANT_VARIABLE, "directory-id", "contoso.example"),
            (CLIENT_VARIABLE, "client-id", "1"),
            (TOKEN_FILE_VARIABLE, "token-file", "/token"),
        ] {
            let Err(error) = open(&known) else { panic!("{variable}") };
            assert!(error.to_string().contains(key) && error.to_string().contains(variable));
            known.push((variable, value));
        }
        known.push((AUTHORITY_VARIABLE, "https://login.example/"));
        let entra = open(&known).unwrap();
        assert_eq!((entra.tenant(), entra.place.as_str()), ("contoso.example", "login.example"));
    }
}
