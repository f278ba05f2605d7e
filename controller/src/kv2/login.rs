//! Who Keyturn is to a vault: tokens, got by one of three methods and kept.

mod error;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

pub use self::error::LoginError;
use super::call::{Answer, Call};
use super::{Kv2, Login};
use crate::remote::{self, Keeper, Margins, Token};

/// Vault's own agents renew a token when a third of its life is left, ours when five minutes are.
/// The end of a short one is nearer.
const RENEWED_BEFORE: Duration = Duration::from_secs(300);
const UNUSED_BEFORE: Duration = Duration::from_secs(30);

/// After this time a token without an end is looked up again: somebody may have withdrawn it.
const LOOKED_UP_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// The token, and how to get it.
pub(super) struct Session {
    login: Login,
    /// The names of the path of the method's mount.
    mount: Vec<String>,
    keeper: Arc<Keeper<LoginError>>,
    /// What can be renewed.
    lease: Mutex<Option<Lease>>,
}

/// A token that the vault gave for a time.
#[derive(Clone)]
struct Lease {
    header: HeaderValue,
    /// How long it was good when it was given.
    life: Duration,
    is_renewable: bool,
}

/// A body of a login.
#[derive(Serialize)]
#[serde(untagged)]
enum Proof {
    AppRole {
        #[serde(serialize_with = "opened")]
        role_id: Zeroizing<String>,
        #[serde(serialize_with = "opened")]
        secret_id: Zeroizing<String>,
    },
    Kubernetes {
        role: String,
        #[serde(serialize_with = "opened")]
        jwt: Zeroizing<String>,
    },
}

#[derive(Deserialize)]
struct Given {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(deserialize_with = "secret")]
    client_token: Zeroizing<String>,
    #[serde(default)]
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
}

/// What is told of a token: nothing of it is secret.
#[derive(Deserialize)]
struct LookedUp {
    #[serde(default)]
    ttl: u64,
    #[serde(default)]
    renewable: bool,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(from).map(Zeroizing::new)
}

fn opened<S: Serializer>(secret: &Zeroizing<String>, into: S) -> Result<S::Ok, S::Error> {
    into.serialize_str(secret)
}

fn margins(life: Duration) -> Margins {
    Margins { renewed: RENEWED_BEFORE, unused: UNUSED_BEFORE.min(life / 4) }
}

impl Session {
    pub(super) fn new(login: Login, mount: Vec<String>) -> Self {
        Self { login, mount, keeper: Arc::default(), lease: Mutex::default() }
    }

    /// Returns the token that is known, while it can be used, else a new one.
    pub(super) async fn token(
        self: &Arc<Self>,
        vault: &Kv2,
    ) -> Result<Arc<Token>, Arc<LoginError>> {
        let ask = || {
            let (session, vault) = (Arc::clone(self), vault.clone());
            async move { session.ask(&vault).await }
        };
        self.keeper.token(ask).await
    }

    /// Forgets a token that the vault did not take, unless there is another one by now.
    pub(super) fn reject(&self, token: &Arc<Token>) {
        self.keeper.reject(token);
        let mut lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        *lease = lease.take().filter(|lease| lease.header != token.header());
    }

    /// Renews the token, or logs in where that is not enough.
    async fn ask(&self, vault: &Kv2) -> Result<Token, LoginError> {
        let known = self.lease.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known.filter(|known| known.is_renewable) {
            match vault.renew(&known).await {
                // Near the longest life that a token may have, renewing gives less each time.
                Ok(life) if 2 * life >= known.life => {
                    return Ok(Token::again(known.header, life, margins(life)));
                }
                Ok(life) => tracing::info!(seconds = life.as_secs(), "the vault's token ends soon"),
                Err(error) => tracing::info!(%error, "the vault's token is not renewed"),
            }
        }
        let lease = vault.log_in(&self.login, &self.mount).await?;
        let token = Token::again(lease.header.clone(), lease.life, margins(lease.life));
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = Some(lease);
        Ok(token)
    }
}

impl Kv2 {
    /// Tells whether the vault still takes a token, where it has denied something.
    pub(super) async fn is_taken(&self, token: &Token) -> bool {
        let looked_up = self.look_up(&token.header()).await;
        !matches!(looked_up, Err(LoginError::Refused { status: 403, .. }))
    }

    async fn log_in(&self, login: &Login, mount: &[String]) -> Result<Lease, LoginError> {
        let proof = match login {
            Login::Token { file } => {
                let text = credential(file, "a token").await?;
                return self.take(&text, file).await;
            }
            Login::AppRole { role_id, secret_id, .. } => Proof::AppRole {
                role_id: credential(role_id, "a role id").await?,
                secret_id: credential(secret_id, "a secret id").await?,
            },
            Login::Kubernetes { role, token_file, .. } => Proof::Kubernetes {
                role: role.clone(),
                jwt: credential(token_file, "a service account's token").await?,
            },
        };
        let mount: Vec<&str> = mount.iter().map(String::as_str).collect();
        let path: Vec<&str> = ["auth"].into_iter().chain(mount).chain(["login"]).collect();
        let call = self.login_call(Method::POST, &path, "log in")?;
        let call = call.with(&proof).map_err(LoginError::ask)?;
        let auth =
            self.ask_login(&call, None).await?.whole::<Given>().map_err(LoginError::ask)?.auth;
        let header = header(&auth.client_token);
        let header = header.ok_or_else(|| LoginError::Nothing { place: self.server() })?;
        let life = Duration::from_secs(auth.lease_duration);
        Ok(Lease { header, life: lasting(life), is_renewable: auth.renewable })
    }

    /// Takes the token of a file, if the vault takes it.
    async fn take(&self, text: &str, file: &Path) -> Result<Lease, LoginError> {
        let unfit = || LoginError::Content { file: file.to_owned(), expected: "a token" };
        let header = header(text).ok_or_else(unfit)?;
        let told = self.look_up(&header).await?;
        let life = lasting(Duration::from_secs(told.ttl));
        Ok(Lease { header, life, is_renewable: told.renewable })
    }

    async fn look_up(&self, header: &HeaderValue) -> Result<LookedUp, LoginError> {
        let path = ["auth", "token", "lookup-self"];
        let call = self.login_call(Method::GET, &path, "look the token up")?;
        self.ask_login(&call, Some(header)).await?.read().map_err(LoginError::ask)
    }

    /// Renews a token and returns for how long it is good now.
    async fn renew(&self, lease: &Lease) -> Result<Duration, LoginError> {
        let path = ["auth", "token", "renew-self"];
        let call = self.login_call(Method::POST, &path, "renew the token")?;
        let answer = self.ask_login(&call, Some(&lease.header)).await?;
        let auth = answer.whole::<Given>().map_err(LoginError::ask)?.auth;
        // Whatever can be renewed has an end: nothing is a life that is over.
        Ok(Duration::from_secs(auth.lease_duration))
    }

    fn login_call(&self, method: Method, path: &[&str], doing: &str) -> Result<Call, LoginError> {
        let url = self.url(path).map_err(LoginError::ask)?;
        Ok(Call::new(method, url, doing).needs("", path.join("/")))
    }

    async fn ask_login(
        &self,
        call: &Call,
        token: Option<&HeaderValue>,
    ) -> Result<Answer, LoginError> {
        let response = self.attempt(call, token).await.map_err(LoginError::ask)?;
        if response.status().is_success() {
            return self.answer(call, response).await.map_err(LoginError::ask);
        }
        let (place, status) = (self.server(), response.status().as_u16());
        let (doing, path) = (call.doing.clone(), call.path.clone());
        let message = self.said(response).await;
        Err(LoginError::Refused { doing, place, path, status, message })
    }
}

/// A token without an end has one for us.
fn lasting(life: Duration) -> Duration {
    if life.is_zero() { LOOKED_UP_AFTER } else { life.min(LOOKED_UP_AFTER) }
}

fn header(text: &str) -> Option<HeaderValue> {
    let margins = Margins { renewed: Duration::ZERO, unused: Duration::ZERO };
    Token::new("", text, Duration::ZERO, margins).map(|token| token.header())
}

async fn credential(file: &Path, expected: &'static str) -> Result<Zeroizing<String>, LoginError> {
    let read = remote::credential(file).await;
    let text = read.map_err(|source| LoginError::File { file: file.to_owned(), source })?;
    text.ok_or_else(|| LoginError::Content { file: file.to_owned(), expected })
}
