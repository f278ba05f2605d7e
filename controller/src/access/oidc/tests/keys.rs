use super::issuer::{Signer, encode, key_set};
use super::*;
use crate::access::oidc::keys::Keys;

fn with(key: &Value, name: &str, value: Value) -> Value {
    let mut key = key.clone();
    key[name] = value;
    key
}

fn parse(keys: &[Value]) -> Result<Keys, KeysError> {
    Keys::parse(key_set(keys).as_bytes())
}

#[test]
fn keys_for_other_purposes_are_left_out() {
    let (rsa, p256) = (Signer::rsa("r1").published(), Signer::p256("e1").published());
    let others = [
        with(&rsa, "use", json!("enc")),
        with(&rsa, "key_ops", json!(["encrypt"])),
        with(&rsa, "alg", json!("RS512")),
        with(&rsa, "alg", json!("RSA-OAEP")),
        with(&rsa, "alg", json!("ES256")),
        with(&rsa, "kid", Value::Null),
        with(&rsa, "n", json!(encode(&[0xff; 255]))),
        with(&rsa, "n", json!(encode(&[[0; 128], [0xff; 128]].concat()))),
        with(&rsa, "n", json!(encode(&[0x7f; 256]))),
        with(&rsa, "n", json!(encode(&[0xff; 1025]))),
        with(&rsa, "n", json!("not base64!")),
        with(&rsa, "e", Value::Null),
        with(&rsa, "kty", json!(7)),
        with(&p256, "crv", json!("P-384")),
        with(&p256, "x", json!(encode(&[1; 31]))),
        with(&p256, "alg", json!("RS256")),
        json!({"kty": "oct", "kid": "s1", "k": "c2VjcmV0", "alg": "HS256"}),
        json!({"kty": "OKP", "kid": "o1", "crv": "Ed25519", "x": "AAAA"}),
        json!("a text"),
    ];
    for other in others {
        let beside = with(&other_name(&rsa), "kid", json!("good"));
        let keys = parse(&[other.clone(), beside]).unwrap();
        assert_eq!(keys.names(), "good", "{other}");
        let error = parse(std::slice::from_ref(&other)).unwrap_err();
        assert!(matches!(error, KeysError::Nothing { .. }), "{other}: {error}");
    }
    let all =
        parse(&[with(&rsa, "alg", json!("RS256")), with(&p256, "key_ops", json!(["verify"]))]);
    assert_eq!(all.unwrap().names(), "e1 r1");
}

fn other_name(key: &Value) -> Value {
    with(key, "kid", json!("other"))
}

#[test]
fn a_set_that_cannot_be_trusted_is_refused_as_a_whole() {
    let p256 = Signer::p256("e1").published();
    let twice = parse(&[p256.clone(), Signer::rsa("e1").published()]).unwrap_err();
    assert_eq!(twice.to_string(), "tell the keys apart: two are called `e1`");
    let private = parse(&[Signer::rsa("r1").published(), with(&p256, "d", json!("AA"))]);
    assert_eq!(private.unwrap_err().to_string(), "take `e1`: it is a private key");
    let many: Vec<Value> = (0..101).map(|at| with(&p256, "kid", json!(at.to_string()))).collect();
    assert!(matches!(parse(&many), Err(KeysError::TooMany { count: 101 })));
    assert_eq!(parse(&many[..100]).unwrap().names().split(' ').count(), 100);
    for text in ["", "<html>", "[]", "{}", "{\"keys\": 7}", "{\"keys\": [\u{1}]}"] {
        assert!(matches!(Keys::parse(text.as_bytes()), Err(KeysError::Form)), "{text}");
    }
    let nothing = parse(&[]).unwrap_err();
    assert_eq!(nothing.to_string(), "find a key for RS256 or ES256");
    let short = with(&Signer::rsa("r\n1").published(), "n", json!(encode(&[0xff; 128])));
    let short = parse(&[short]).unwrap_err();
    let expect = "find a key for RS256 or ES256; `r?1`: it is shorter than 2048 bits";
    assert_eq!(short.to_string(), expect);
}
