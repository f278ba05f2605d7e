//! Request bodies: bounded in size and in time, JSON.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::StatusCode;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use zeroize::Zeroize;

use super::answer::ApiError;

/// The largest body of an ordinary request, in bytes.
pub(super) const ORDINARY_BYTES_MAX: usize = 64 << 10;

/// How long a body may take: a slow caller must not hold a place for ever.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Reads a body of at most `bytes_max` bytes.
pub(super) async fn read(body: Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(TIME_MAX, to_bytes(body, bytes_max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_source)) => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestContentTooLarge",
            format!("The request body is cut off or has more than {bytes_max} bytes."),
        )),
        Err(_elapsed) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "RequestTimeout",
            format!("The request body did not arrive within {} s.", TIME_MAX.as_secs()),
        )),
    }
}

/// Overwrites a body that held passwords, where nobody else has a hand on it.
pub(super) fn wipe(bytes: Bytes) {
    if let Ok(mut bytes) = bytes.try_into_mut() {
        bytes.as_mut().zeroize();
    }
}

/// Parses a body as JSON. The message says what is wrong and where, without what was sent.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map(|Object(body)| body).map_err(|error: serde_json::Error| {
        let (line, column) = (error.line(), error.column());
        let what = match error.classify() {
            serde_json::error::Category::Data => "does not have the fields that it should have",
            _ => "is not JSON",
        };
        let message = format!("The request content {what} (line {line}, column {column}).");
        ApiError::new(StatusCode::BAD_REQUEST, "InvalidRequestContent", message)
    })
}

/// A JSON object, and nothing else: without it an array of a struct's values in their order would be
/// taken for the struct, and an empty one for a body that says nothing.
#[derive(Debug, Default)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

/// Reads a field that must be an object.
pub(super) fn object<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Object::deserialize(from).map(|Object(object)| object)
}

/// Reads a field that must be an object or null.
pub(super) fn object_or_null<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<Object<T>>::deserialize(from).map(|object| object.map(|Object(object)| object))
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Outer {
        text: String,
        #[serde(default)]
        inner: Option<Object<Inner>>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Inner {
        number: u8,
    }

    impl PartialEq for Object<Inner> {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }

    #[test]
    fn only_an_object_is_taken_for_one() {
        let parsed: Outer = parse(br#" {"text": "a", "inner": {"number": 7}}"#).unwrap();
        assert_eq!(
            parsed,
            Outer { text: "a".to_owned(), inner: Some(Object(Inner { number: 7 })) }
        );
        for text in [r#"["a"]"#, "[]", r#"{"text": "a", "inner": [7]}"#, "7", "null", "{}{}"] {
            assert!(parse::<Outer>(text.as_bytes()).is_err(), "{text}");
        }
    }
}
