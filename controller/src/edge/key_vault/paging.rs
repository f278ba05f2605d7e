//! Which part of a list is asked for, and where it goes on.
//!
//! A list goes on behind a secret that the caller may not be allowed to see. What says where is
//! sealed, with a key that lives as long as the process: whoever goes on with a list after a restart
//! is told to begin again.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use axum::http::{StatusCode, Uri};

use super::name::{bad, shown};
use crate::edge::answer::ApiError;

/// The most items of a page, and how many it has if nothing is said: Key Vault's own limit.
const PAGE_MAX: usize = 25;

/// What the seals are for.
const PURPOSE: &[u8] = b"keyturn list of secrets";

/// Seals where lists go on.
#[derive(Debug)]
pub(super) struct Paging(Option<LessSafeKey>);

/// Which part of a list is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) after: Option<String>,
    pub(super) count: usize,
    version: String,
}

impl Paging {
    /// Makes a key.
    pub(super) fn new() -> Self {
        let key = UnboundKey::new(&AES_256_GCM, &rand::random::<[u8; 32]>());
        Self(key.ok().map(LessSafeKey::new))
    }

    /// Reads a part off a query. Whatever version of the API is asked for is taken.
    pub(super) fn part(&self, uri: &Uri) -> Result<Part, ApiError> {
        let mut part = Part { after: None, count: PAGE_MAX, version: String::new() };
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        for (key, value) in pairs.map(|pairs| pairs.0).unwrap_or_default() {
            if key.eq_ignore_ascii_case("maxresults") {
                let count = value.parse().ok().filter(|count| (1..=PAGE_MAX).contains(count));
                part.count = count.ok_or_else(|| {
                    bad(format!("maxresults: expected 1 to {PAGE_MAX}, got {}", shown(&value)))
                })?;
            } else if key.eq_ignore_ascii_case("$skiptoken") {
                let after = self.open(&value).ok_or_else(|| {
                    bad("$skiptoken: expected one of this service since its start")
                        .hint("ask for the list from its beginning")
                })?;
                part.after = Some(after);
            } else if key.eq_ignore_ascii_case("api-version") {
                part.version = value;
            }
        }
        Ok(part)
    }

    /// Makes the URL of the next part of the list at `url`.
    pub(super) fn next(&self, part: &Part, url: &str, after: &str) -> Result<String, ApiError> {
        let failed = || {
            let message = "Where the list goes on could not be sealed.";
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message)
        };
        let token = self.seal(after).ok_or_else(failed)?;
        let mut next = reqwest::Url::parse(url).map_err(|_source| failed())?;
        next.query_pairs_mut()
            .append_pair("api-version", &part.version)
            .append_pair("$skiptoken", &token)
            .append_pair("maxresults", &part.count.to_string());
        Ok(next.to_string())
    }

    fn seal(&self, text: &str) -> Option<String> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = text.as_bytes().to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        let key = self.0.as_ref()?;
        key.seal_in_place_append_tag(unique, Aad::from(PURPOSE), &mut sealed).ok()?;
        Some(hex::encode([&nonce[..], &sealed].concat()))
    }

    fn open(&self, token: &str) -> Option<String> {
        let bytes = hex::decode(token).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let (nonce, mut sealed) = (Nonce::assume_unique_for_key(*nonce), sealed.to_vec());
        let opened = self.0.as_ref()?.open_in_place(nonce, Aad::from(PURPOSE), &mut sealed).ok()?;
        String::from_utf8(opened.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_list_goes_on_can_be_read_by_the_service_alone() {
        let paging = Paging::new();
        let uri = "/secrets?maxresults=1&api-version=7.5".parse().unwrap();
        let part = paging.part(&uri).unwrap();
        let url = paging.next(&part, "https://kv.example/secrets", "db-payroll").unwrap();
        assert!(!url.contains("payroll") && !url.contains(&hex::encode("payroll")), "{url}");
        let again = paging.part(&url.parse().unwrap()).unwrap();
        assert_eq!(again, Part { after: Some("db-payroll".to_owned()), ..part });
        let other = Paging::new().part(&url.parse().unwrap());
        assert!(other.is_err(), "{other:?}");
        for token in ["", "db-payroll", "00", &"0".repeat(80)] {
            let uri = format!("/secrets?$skiptoken={token}").parse().unwrap();
            assert!(paging.part(&uri).is_err(), "{token}");
        }
    }
}
