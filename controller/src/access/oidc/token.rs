//! One token: what it names, and whether it is what it says.

use std::collections::HashSet;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, dangerous, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::keys::Key;
use super::{IssuerSettings, TOKEN_BYTES_MAX};
use crate::access::Rejected;
use crate::model::Timestamp;

/// The claims of a token.
pub(super) type Claims = Map<String, Value>;

/// A token of which nothing is believed yet.
#[derive(Debug)]
pub(super) struct Presented<'t> {
    text: &'t str,
    /// The name of the key that it says it is signed with.
    pub(super) kid: String,
    /// The issuer that it says it is from.
    pub(super) issuer: String,
}

#[derive(Deserialize)]
struct Named {
    iss: String,
}

impl<'t> Presented<'t> {
    /// Reads what a token names. Whatever could not pass later is refused here, so that it makes no
    /// work.
    pub(super) fn read(text: &'t str) -> Result<Self, Rejected> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(Rejected::TooLong);
        }
        let header = decode_header(text).map_err(|_source| Rejected::Malformed)?;
        if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
            return Err(Rejected::Algorithm);
        }
        // Nothing is understood that a token could insist on (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(Rejected::Malformed);
        }
        let named: Named =
            dangerous::insecure_decode_claims(text).map_err(|_source| Rejected::Malformed)?;
        let kid = header.kid.ok_or(Rejected::Key)?;
        Ok(Self { text, kid, issuer: named.iss })
    }

    /// Checks signature, issuer, audience and times, and returns the claims.
    pub(super) fn verify(
        &self,
        key: &Key,
        settings: &IssuerSettings,
        now: Timestamp,
    ) -> Result<Claims, Rejected> {
        let mut validation = Validation::new(key.algorithm);
        validation.iss = Some(HashSet::from([settings.issuer.clone()]));
        validation.aud = Some(settings.audiences.iter().cloned().collect());
        validation.set_required_spec_claims(&["iss", "aud"]);
        // The library reads a clock of its own; ours is an input, and checks both times.
        validation.validate_exp = false;
        let data = decode::<Claims>(self.text, &key.key, &validation)
            .map_err(|error| rejected(error.kind()))?;
        check_times(&data.claims, settings, now)?;
        Ok(data.claims)
    }
}

fn rejected(kind: &ErrorKind) -> Rejected {
    match kind {
        ErrorKind::InvalidSignature => Rejected::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidKeyFormat => Rejected::Algorithm,
        ErrorKind::InvalidIssuer => Rejected::Issuer,
        ErrorKind::InvalidAudience => Rejected::Audience,
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => Rejected::Claim("aud"),
        _ => Rejected::Malformed,
    }
}

/// A token without an end is none: nobody could take it back.
fn check_times(claims: &Claims, settings: &IssuerSettings, now: Timestamp) -> Result<(), Rejected> {
    let seconds = |claim: &'static str| match claims.get(claim) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(Rejected::Claim(claim)),
    };
    // Milliseconds of the next centuries are exact in a float.
    let now = now.0 as f64 / 1_000.0;
    let skew = settings.clock_skew_max.as_secs_f64();
    let expires = seconds("exp")?.ok_or(Rejected::Claim("exp"))?;
    if expires + skew <= now {
        return Err(Rejected::Expired);
    }
    match seconds("nbf")? {
        Some(begins) if begins > now + skew => Err(Rejected::TooEarly),
        _ => Ok(()),
    }
}
