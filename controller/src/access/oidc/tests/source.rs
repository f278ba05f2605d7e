use super::issuer::{Signer, key_set};
use super::*;

fn open(keys: KeysFrom) -> Result<Prepared, OidcError> {
    Prepared::open(&[settings(keys)])
}

#[test]
fn a_file_that_is_missing_or_holds_no_keys_is_told_with_what_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("jwks.json");
    let error = open(KeysFrom::File(file.clone())).unwrap_err();
    assert!(matches!(error, OidcError::File { .. }), "{error}");
    assert!(error.hint().unwrap().contains("jwks_uri"));
    std::fs::write(&file, "<html>").unwrap();
    let error = open(KeysFrom::File(file.clone())).unwrap_err();
    assert!(matches!(error, OidcError::Keys { .. }), "{error}");
    let expect = "find a JSON Web Key Set: an object with the list `keys`";
    assert!(error.chain().ends_with(expect), "{}", error.chain());
    std::fs::write(&file, vec![b' '; (1 << 20) + 1]).unwrap();
    let error = open(KeysFrom::File(file)).unwrap_err();
    assert!(matches!(error, OidcError::TooLarge { .. }), "{error}");
}

#[test]
fn authorities_that_cannot_be_used_are_told_before_anything_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let from = KeysFrom::Url { url: "https://keys.example/".to_owned(), ca_file: Some(ca.clone()) };
    for text in
        [None, Some(""), Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")]
    {
        if let Some(text) = text {
            std::fs::write(&ca, text).unwrap();
        }
        let error = open(from.clone()).unwrap_err();
        assert!(matches!(error, OidcError::Authorities { .. }), "{text:?}: {error}");
        assert!(error.hint().unwrap().contains("ca-file"));
    }
}

#[tokio::test]
async fn a_file_is_read_again_for_an_unknown_key() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("jwks.json");
    let (old, new) = (Signer::p256("old"), Signer::p256("new"));
    std::fs::write(&file, key_set(&[old.published()])).unwrap();
    let oidc = open(KeysFrom::File(file.clone())).unwrap().start();
    let now = Timestamp(NOW * 1_000);
    std::fs::write(&file, key_set(&[new.published()])).unwrap();
    assert!(oidc.admit(&old.token(&claims()), now).await.is_ok(), "nobody has looked yet");
    assert!(oidc.admit(&new.token(&claims()), now).await.is_ok());
    assert_eq!(oidc.admit(&old.token(&claims()), now).await, Err(Rejected::Key));
}
