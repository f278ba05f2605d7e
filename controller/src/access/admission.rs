//! Whom a token lets in: one that was made here, or one of an OpenID Connect provider.

use std::sync::Arc;

use super::oidc::{self, Oidc};
use super::tokens::PREFIX;
use super::{Principal, Tokens};
use crate::model::Timestamp;

/// Tells why nobody is let in by a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// No such token was made, or it was revoked.
    Unknown,
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    TooEarly,
    /// It is longer than [`oidc::TOKEN_BYTES_MAX`].
    TooLong,
    /// It is no signed JWT, or it wants something to be understood that is not.
    Malformed,
    /// It names another algorithm than its key is for.
    Algorithm,
    /// Nobody trusts its issuer here.
    Issuer,
    /// It is for somebody else.
    Audience,
    /// It names a key that its issuer does not publish.
    Key,
    /// Its signature is wrong.
    Signature,
    /// It lacks a claim that every token must have.
    Claim(&'static str),
    /// The issuer's keys could not be had for so long that nothing of it is believed now.
    NoKeys,
}

impl Rejected {
    /// Returns a sentence for whoever sent the token, without its full stop. It says nothing of the
    /// token's text.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Unknown => "The access token is invalid",
            Self::Expired => "The access token has expired",
            Self::TooEarly => "The access token is not valid yet",
            Self::TooLong => "The access token is too long",
            Self::Malformed => "The access token is malformed",
            Self::Algorithm => "The access token is not signed as its key is meant for",
            Self::Issuer => "The access token is from an issuer that is not trusted here",
            Self::Audience => "The access token is for another audience",
            Self::Key => "The access token is signed by a key that its issuer does not publish",
            Self::Signature => "The access token has a wrong signature",
            Self::Claim("exp") => "The access token has no claim 'exp' that can be read",
            Self::Claim("nbf") => "The access token has a claim 'nbf' that cannot be read",
            Self::Claim("sub") => "The access token has no claim 'sub' that can be used",
            Self::Claim("aud") => "The access token has no claim 'aud' that can be read",
            Self::Claim(_) => "The access token lacks a claim",
            Self::NoKeys => "The keys of the access token's issuer are not available",
        }
    }
}

impl Rejected {
    /// Returns what mends it, where that is more than to send a token of those that are taken.
    #[must_use]
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Unknown | Self::NoKeys => None,
            Self::Expired | Self::TooEarly => Some(
                "get a new token; if it is new, compare the clocks of its maker and of the daemon",
            ),
            Self::Issuer | Self::Audience => Some(
                "compare the token's `iss` and `aud` with `issuer` and `audience` in the daemon's \
                 configuration",
            ),
            Self::Key => Some(
                "get a new token; if it is new, the daemon's log says whether its issuer's keys \
                 could be had",
            ),
            Self::Claim(_) => Some("let the issuer put that claim into its access tokens"),
            Self::TooLong | Self::Malformed | Self::Algorithm | Self::Signature => Some(
                "send the issuer's access token as it is; it must be a JWT that is signed by RS256 \
                 or ES256, of at most 16 KiB",
            ),
        }
    }
}

/// Whom this installation lets in.
#[derive(Clone, Debug)]
pub struct Admission {
    tokens: Arc<Tokens>,
    oidc: Arc<Oidc>,
}

impl Admission {
    /// Lets in whoever has a local token or one of these issuers.
    #[must_use]
    pub fn new(tokens: Arc<Tokens>, oidc: Oidc) -> Self {
        Self { tokens, oidc: Arc::new(oidc) }
    }

    /// Lets in whoever has a local token.
    #[must_use]
    pub fn local(tokens: Arc<Tokens>) -> Self {
        Self::new(tokens, Oidc::default())
    }

    /// Returns the local tokens.
    #[must_use]
    pub fn tokens(&self) -> &Arc<Tokens> {
        &self.tokens
    }

    /// Returns the issuers whose tokens are taken, as they are called in the tokens.
    pub fn issuers(&self) -> impl Iterator<Item = &str> {
        self.oidc.issuers()
    }

    /// Returns who presents a token. Waits, within bounds, where an issuer has to be asked for its
    /// keys.
    ///
    /// # Errors
    /// Returns [`Rejected`].
    pub async fn admit(&self, presented: &str, now: Timestamp) -> Result<Principal, Rejected> {
        match self.tokens.admit(presented, now) {
            // The owner's token may be of any shape, so that only what is not local can be a JWT.
            Err(Rejected::Unknown) if self.is_foreign(presented) => {
                self.oidc.admit(presented, now).await
            }
            decided => decided,
        }
    }

    fn is_foreign(&self, presented: &str) -> bool {
        let trusts_anybody = self.oidc.issuers().next().is_some();
        trusts_anybody && !presented.starts_with(PREFIX) && oidc::looks_like_jwt(presented)
    }
}
