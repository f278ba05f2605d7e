//! What is answered to whoever asks for a token.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{IdentityError, MARGINS, Token};
use crate::remote;

/// The largest answer, in bytes. Tokens with many groups have some 10 KiB.
const BYTES_MAX: usize = 64 << 10;

/// A token as it is given. IMDS writes numbers as texts, Entra ID as numbers.
#[derive(Deserialize)]
struct Given {
    #[serde(deserialize_with = "secret")]
    access_token: Zeroizing<String>,
    #[serde(default, deserialize_with = "number")]
    expires_in: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    expires_on: Option<u64>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(from).map(Zeroizing::new)
}

fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    })
}

/// Reads the answer to a request for a token. `now` is the wall clock, in seconds since 1970.
pub(super) async fn read(
    place: &str,
    response: Response,
    now: u64,
) -> Result<Token, IdentityError> {
    let status = response.status();
    let reach = |source: reqwest::Error| IdentityError::Reach {
        place: place.to_owned(),
        source: source.without_url(),
    };
    let wrong = |got| IdentityError::Answer { place: place.to_owned(), got };
    let body = remote::body(response, BYTES_MAX).await.map_err(reach)?;
    let body = body.ok_or_else(|| wrong("a longer answer"))?;
    if status != StatusCode::OK {
        return Err(refusal(place, status, &body));
    }
    let given: Given = serde_json::from_slice(&body).map_err(|_source| wrong("another answer"))?;
    let life = life(&given, now).ok_or_else(|| wrong("one without an end"))?;
    if life.is_zero() {
        return Err(wrong("one that has ended"));
    }
    Token::new("Bearer ", &given.access_token, life, MARGINS).ok_or_else(|| wrong("no token"))
}

/// How long a token is good. The seconds that remain are believed before a date, which depends on
/// two clocks; the date counts where it is earlier (IMDS keeps tokens, and may tell the seconds from
/// when they were made), unless it says that a new token has ended before it was given.
fn life(given: &Given, now: u64) -> Option<Duration> {
    let by_date = given.expires_on.map(|end| end.saturating_sub(now));
    let seconds = match (given.expires_in, by_date) {
        (Some(told), Some(by_date)) if by_date > 0 => told.min(by_date),
        (Some(told), _) => told,
        (None, by_date) => by_date?,
    };
    Some(Duration::from_secs(seconds.min(7 * 86_400)))
}

fn refusal(place: &str, status: StatusCode, body: &[u8]) -> IdentityError {
    let nothing = Refusal { error: String::new(), error_description: String::new() };
    let said = serde_json::from_slice(body).unwrap_or(nothing);
    IdentityError::Refused {
        place: place.to_owned(),
        status: status.as_u16(),
        code: remote::shown(&said.error),
        message: remote::shown(&said.error_description),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life_of(json: &str, now: u64) -> Option<u64> {
        life(&serde_json::from_str(json).unwrap(), now).map(|life| life.as_secs())
    }

    #[test]
    fn a_tokens_life_is_what_both_ways_to_say_it_allow() {
        let both = r#"{"access_token": "t", "expires_in": "86399", "expires_on": "1000"}"#;
        // As many seconds as the date leaves, if the clocks agree.
        assert_eq!(life_of(both, 400), Some(600));
        // A clock that is ahead does not make every token useless.
        assert_eq!(life_of(both, 5_000), Some(86_399));
        assert_eq!(life_of(r#"{"access_token": "t", "expires_in": 3599}"#, 0), Some(3_599));
        assert_eq!(life_of(r#"{"access_token": "t", "expires_on": 1000}"#, 1_100), Some(0));
        assert_eq!(life_of(r#"{"access_token": "t"}"#, 0), None);
        assert_eq!(life_of(r#"{"access_token": "t", "expires_in": "soon"}"#, 0), None);
    }
}
