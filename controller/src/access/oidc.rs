//! Tokens of OpenID Connect providers: JWTs that an issuer has signed, and what their claims give.
//!
//! ```text
//! token ─▶ token: which issuer and key does it name? ─▶ ring: that key, as the issuer publishes it
//!                                                        └ source: a file, or HTTPS
//!       ─▶ token: signature, issuer, audience, times ─▶ claims: who it is, and which roles
//! ```
//!
//! What may be signed how is decided by the key, never by the token. Nothing in the header of a
//! token leads anywhere: keys come from the configured place only.

mod claims;
mod error;
mod keys;
mod ring;
mod source;
mod token;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use protocol::id::FabricId;

pub use self::error::OidcError;
pub use self::keys::KeysError;
use self::ring::Ring;
use self::source::Source;
use self::token::Presented;
use super::{Principal, Rejected, Role};
use crate::model::Timestamp;

/// The longest token that is looked at, in bytes. Those with a hundred groups have about 8 KiB.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

/// How often the keys are fetched if nothing is said: a key that its issuer has withdrawn is good
/// for that long.
pub const REFRESH_DEFAULT: Duration = Duration::from_secs(3_600);

/// How far the clocks of issuer and daemon may be apart if nothing is said: what hosts with NTP
/// never reach.
pub const CLOCK_SKEW_DEFAULT: Duration = Duration::from_secs(60);

/// The claim that a principal is called by if nothing is said: the one that every token has.
pub const NAME_CLAIM_DEFAULT: &str = "sub";

/// An issuer whose tokens are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSettings {
    /// What its tokens have as `iss`, to the letter.
    pub issuer: String,
    /// One of these must be in the `aud` of a token.
    pub audiences: Vec<String>,
    /// Where its keys are.
    pub keys: KeysFrom,
    /// How often the keys are fetched.
    pub refresh: Duration,
    /// How far its clock may be from ours.
    pub clock_skew_max: Duration,
    /// The claim that its people and programs are called by.
    pub name_claim: String,
    /// Which claims give which roles.
    pub roles: Vec<RoleMapping>,
}

/// Where an issuer's keys are, as a JSON Web Key Set (RFC 7517).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysFrom {
    /// In a file.
    File(PathBuf),
    /// On a web server, over HTTPS.
    Url {
        /// Its URL.
        url: String,
        /// The file of the authorities that may vouch for the server, PEM; `None`: the system's.
        ca_file: Option<PathBuf>,
    },
}

/// One claim that gives a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleMapping {
    /// The claim: its name, or its path with dots, as in `realm_access.roles`.
    pub claim: String,
    /// What the claim must be, or have among its values.
    pub value: String,
    /// What that gives.
    pub role: Role,
    /// The only fabric that it gives it for; `None`: all.
    pub fabric: Option<FabricId>,
    /// What the names of the secrets begin with that it gives it for; `None`: all.
    pub secret_prefix: Option<Arc<str>>,
}

/// The issuers of an installation, before anything was asked of them.
#[derive(Debug)]
pub struct Prepared(Vec<(IssuerSettings, Source, Option<keys::Keys>)>);

/// The issuers whose tokens are taken. By default none.
#[derive(Debug, Default)]
pub struct Oidc(Vec<Issuer>);

#[derive(Debug)]
struct Issuer {
    settings: IssuerSettings,
    /// What errors say of where rights come from.
    origin: Arc<str>,
    ring: Ring,
}

/// Tells whether a text has the shape of a signed JWT.
pub(super) fn looks_like_jwt(presented: &str) -> bool {
    presented.bytes().filter(|byte| *byte == b'.').count() == 2
}

impl Prepared {
    /// Reads the files that the settings name. Asks no server.
    ///
    /// # Errors
    /// Returns [`OidcError`] with the first file that cannot be used.
    pub fn open(settings: &[IssuerSettings]) -> Result<Self, OidcError> {
        let open = |settings: &IssuerSettings| {
            let source = Source::open(&settings.keys)?;
            let keys = source.read_now()?;
            Ok((settings.clone(), source, keys))
        };
        settings.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// Begins to keep the keys fresh. Must be called within a runtime; does not wait for a server.
    #[must_use]
    pub fn start(self) -> Oidc {
        let start = |(settings, source, keys): (IssuerSettings, Source, _)| {
            let origin = claims::origin(&settings);
            let ring = Ring::start(settings.issuer.clone(), source, keys, settings.refresh);
            Issuer { settings, origin, ring }
        };
        Oidc(self.0.into_iter().map(start).collect())
    }
}

impl Oidc {
    /// Returns the issuers, as they are called in tokens.
    pub(super) fn issuers(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|issuer| issuer.settings.issuer.as_str())
    }

    /// Returns who presents a token.
    pub(super) async fn admit(&self, text: &str, now: Timestamp) -> Result<Principal, Rejected> {
        let presented = Presented::read(text)?;
        let issuer = self.0.iter().find(|issuer| issuer.settings.issuer == presented.issuer);
        let issuer = issuer.ok_or(Rejected::Issuer)?;
        let key = issuer.ring.find(&presented.kid).await?;
        let claims = presented.verify(&key, &issuer.settings, now)?;
        claims::principal(&claims, &issuer.settings, &issuer.origin)
    }
}
