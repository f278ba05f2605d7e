use aws_lc_rs::hmac;

use super::issuer::{Signer, encode, key_set, unsigned};
use super::*;
use crate::access::{Right, Scope};

struct Site {
    _dir: tempfile::TempDir,
    oidc: Oidc,
    rsa: Signer,
    p256: Signer,
}

/// An issuer with one key of each kind, in a file.
fn site() -> Site {
    let dir = tempfile::tempdir().unwrap();
    let (rsa, p256) = (Signer::rsa("r1"), Signer::p256("e1"));
    let file = dir.path().join("jwks.json");
    std::fs::write(&file, key_set(&[rsa.published(), p256.published()])).unwrap();
    let oidc = Prepared::open(&[settings(KeysFrom::File(file))]).unwrap().start();
    Site { _dir: dir, oidc, rsa, p256 }
}

impl Site {
    async fn admit(&self, token: &str) -> Result<Principal, Rejected> {
        self.oidc.admit(token, Timestamp(NOW * 1_000)).await
    }

    async fn rejected(&self, token: &str) -> Rejected {
        self.admit(token).await.unwrap_err()
    }
}

#[tokio::test]
async fn tokens_of_both_algorithms_are_taken() {
    let site = site();
    for signer in [&site.rsa, &site.p256] {
        let who = site.admit(&signer.token(&claims())).await.unwrap();
        assert!(who.may(Right::Operate, Scope::Everything));
        assert!(!who.may(Right::Reveal, Scope::Visible));
        assert!(!who.may(Right::Administer, Scope::Visible));
    }
}

#[tokio::test]
async fn roles_add_up_each_on_its_own_scope() {
    let site = site();
    let east: FabricId = FABRIC.parse().unwrap();
    let mut both = claims_with("roles", json!(["Other", "Operator"]));
    both["realm_access"] = json!({"roles": ["reveal-east"]});
    let who = site.admit(&site.p256.token(&both)).await.unwrap();
    assert!(who.may(Right::Operate, Scope::Everything));
    assert!(who.may(Right::Reveal, Scope::Fabric(&east)));
    assert!(!who.may(Right::Reveal, Scope::Everything));
    // A claim with dots in its name, one with spaces in its value, and a single text.
    let mut flat = claims_with("roles", json!("Operator"));
    flat["realm_access.roles"] = json!("reveal-east");
    let who = site.admit(&site.p256.token(&flat)).await.unwrap();
    assert!(who.may(Right::Operate, Scope::Everything) && who.may(Right::Reveal, Scope::Visible));
    let mut scope = claims_with("roles", json!("Operator Reader"));
    scope["scp"] = json!("openid Keyturn.Read");
    let who = site.admit(&site.p256.token(&scope)).await.unwrap();
    assert!(who.may(Right::Read, Scope::Everything) && !who.may(Right::Operate, Scope::Visible));
}

#[tokio::test]
async fn without_a_role_somebody_is_known_may_nothing_and_is_told_what_was_looked_for() {
    let site = site();
    for roles in [json!(["operator"]), json!([7, null]), json!({"Operator": true}), Value::Null] {
        let who = site.admit(&site.p256.token(&claims_with("roles", roles))).await.unwrap();
        assert!(!who.may(Right::Read, Scope::Visible));
        let more = who.more_rights();
        assert!(more.contains("`roles` = `Operator` (operator)"), "{more}");
        let on_east = format!("`realm_access.roles` = `reveal-east` (secret-reader of {FABRIC}");
        assert!(more.to_lowercase().contains(&on_east.to_lowercase()), "{more}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_claims_of_a_token_is_told_apart() {
    let site = site();
    let cases = [
        ("exp", json!(NOW - 60), Rejected::Expired),
        ("exp", json!(-5), Rejected::Expired),
        ("exp", Value::Null, Rejected::Claim("exp")),
        ("exp", json!("2040-01-01"), Rejected::Claim("exp")),
        ("nbf", json!(NOW + 61), Rejected::TooEarly),
        ("nbf", json!("now"), Rejected::Claim("nbf")),
        ("iss", json!("https://login.example/other/v2.0"), Rejected::Issuer),
        ("iss", json!("https://login.example/tenant/v2.0/"), Rejected::Issuer),
        ("iss", json!([ISSUER]), Rejected::Malformed),
        ("iss", Value::Null, Rejected::Malformed),
        ("aud", json!("api://other"), Rejected::Audience),
        ("aud", json!(["api://other", "x"]), Rejected::Audience),
        ("aud", json!([]), Rejected::Audience),
        ("aud", json!(7), Rejected::Claim("aud")),
        ("aud", Value::Null, Rejected::Claim("aud")),
        ("sub", Value::Null, Rejected::Claim("sub")),
        ("sub", json!(""), Rejected::Claim("sub")),
        ("sub", json!(7), Rejected::Claim("sub")),
        ("sub", json!("x".repeat(256)), Rejected::Claim("sub")),
    ];
    for (name, value, expect) in cases {
        let token = site.rsa.token(&claims_with(name, value.clone()));
        assert_eq!(site.rejected(&token).await, expect, "{name} = {value}");
    }
    let taken = [
        ("exp", json!(NOW - 59)),
        ("exp", json!(f64::from(1_800_000_000_i32) + 0.5)),
        ("nbf", json!(NOW + 60)),
        ("nbf", Value::Null),
        ("aud", json!(["x", "keyturn"])),
        ("sub", json!("x".repeat(255))),
    ];
    for (name, value) in taken {
        let token = site.p256.token(&claims_with(name, value.clone()));
        assert!(site.admit(&token).await.is_ok(), "{name} = {value}");
    }
}

#[tokio::test]
async fn the_key_decides_how_it_signs_and_never_the_token() {
    let site = site();
    let header = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid});
    // Unsigned, in every spelling.
    for alg in ["none", "None", "NONE", ""] {
        let token = format!("{}.", unsigned(&header(alg, "r1"), &claims()));
        assert_eq!(site.rejected(&token).await, Rejected::Malformed, "{alg}");
    }
    // The public key, which everybody knows, as a shared secret.
    let message = unsigned(&header("HS256", "r1"), &claims());
    let published = site.rsa.published();
    for secret in [published["n"].as_str().unwrap().to_owned(), published.to_string()] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signature = encode(hmac::sign(&key, message.as_bytes()).as_ref());
        let token = format!("{message}.{signature}");
        assert_eq!(site.rejected(&token).await, Rejected::Algorithm);
    }
    // The one kind of key as if it were the other, and good keys used otherwise.
    for (alg, kid) in [("ES256", "r1"), ("RS512", "r1"), ("PS256", "r1"), ("HS256", "r1")] {
        let token = site.rsa.token_with(&header(alg, kid), &claims());
        assert_eq!(site.rejected(&token).await, Rejected::Algorithm, "{alg}");
    }
    let token = site.p256.token_with(&header("RS256", "e1"), &claims());
    assert_eq!(site.rejected(&token).await, Rejected::Algorithm);
    // The name of a good key over the signature of another one.
    let stranger = Signer::p256("e1");
    assert_eq!(site.rejected(&stranger.token(&claims())).await, Rejected::Signature);
}

#[tokio::test]
async fn nothing_in_a_header_leads_to_another_key() {
    let site = site();
    let stranger = Signer::p256("e1");
    let header = json!({
        "alg": "ES256", "kid": "e1", "jwk": stranger.published(), "jku": "https://evil.example/",
        "x5u": "https://evil.example/",
    });
    assert_eq!(site.rejected(&stranger.token_with(&header, &claims())).await, Rejected::Signature);
    let critical = json!({"alg": "ES256", "kid": "e1", "crit": ["b64"], "b64": false});
    let token = site.p256.token_with(&critical, &claims());
    assert_eq!(site.rejected(&token).await, Rejected::Malformed);
    let nameless = json!({"alg": "ES256"});
    assert_eq!(site.rejected(&site.p256.token_with(&nameless, &claims())).await, Rejected::Key);
}

#[tokio::test]
async fn a_changed_cut_or_endless_token_is_refused() {
    let site = site();
    let token = site.rsa.token(&claims());
    let parts: Vec<&str> = token.split('.').collect();
    let other = encode(claims_with("sub", json!("root")).to_string().as_bytes());
    let changed = format!("{}.{other}.{}", parts[0], parts[2]);
    assert_eq!(site.rejected(&changed).await, Rejected::Signature);
    let unsigned = format!("{}.{}.", parts[0], parts[1]);
    assert_eq!(site.rejected(&unsigned).await, Rejected::Signature);
    for cut in 0..token.len() {
        assert!(site.admit(&token[..cut]).await.is_err(), "{cut}");
    }
    for rubbish in ["..", "a.b.c", "e30.e30.e30", "\u{fe0f}.\u{0}.x"] {
        assert_eq!(site.rejected(rubbish).await, Rejected::Malformed, "{rubbish:?}");
    }
    let long = site.rsa.token(&claims_with("groups", json!("x".repeat(TOKEN_BYTES_MAX))));
    assert_eq!(site.rejected(&long).await, Rejected::TooLong);
}

#[tokio::test]
async fn names_are_unambiguous_and_clean() {
    let site = site();
    let named = async |sub: &str, name: Value| {
        let mut claims = claims_with("preferred_username", name);
        claims["sub"] = json!(sub);
        site.admit(&site.p256.token(&claims)).await.unwrap()
    };
    let alice = named("0a1b", json!("alice")).await;
    assert_eq!(alice.to_string(), format!("alice (subject 0a1b, issuer {ISSUER})"));
    let same = named("0a1b", json!("bob")).await;
    assert_eq!(alice.key(), same.key(), "who changes their name is nobody else");
    assert_eq!(named("0a1b", Value::Null).await.to_string(), format!("0a1b (issuer {ISSUER})"));
    let liar = named("x", json!("owner (token 1\u{1b}[2J\n\u{202e}")).await.to_string();
    assert_eq!(liar, format!("owner ?token 1??2J?? (subject x, issuer {ISSUER})"));
    let long = named("x", json!("y".repeat(1_000))).await.to_string();
    assert!(long.len() < 150, "{long}");
    let subjects = ["a b", "a\tb", "a%20b", "a) (token 1", "a\n", "a", "A", "ä", "a, issuer x"];
    let mut keys = std::collections::BTreeSet::new();
    for subject in subjects {
        let who = named(subject, Value::Null).await;
        assert!(who.to_string().chars().all(|c| c.is_ascii_graphic() || c == ' '), "{who}");
        assert!(keys.insert(who.key().to_owned()), "{who}");
    }
}
