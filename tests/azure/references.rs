//! References to credentials, followed to a simulated vault and to folders.

use std::sync::Arc;

use controller::reference::{
    KeyVaultReference, Kind, LocalName, Reference, ReferenceError, Resolver, VaultCredentials,
    VaultReference,
};
use fixtures::key_vault::{Fault, TENANT, VAULT};

use crate::world::{PACE, World, certificate, now, pkcs12};

fn resolver(world: &World) -> Resolver {
    Resolver::new(world.secrets(), PACE, Arc::new(now))
}

fn local(name: &str) -> Reference {
    Reference::Local(LocalName::new(name).unwrap())
}

fn object(kind: Kind, name: &str, version: Option<&str>) -> Reference {
    let principal = LocalName::new("akv-sp").unwrap();
    Reference::KeyVault(Box::new(KeyVaultReference {
        vault: VaultReference {
            name: VAULT.to_owned(),
            directory: TENANT.to_owned(),
            credentials: VaultCredentials::ServicePrincipal(principal),
        },
        kind,
        name: name.to_owned(),
        version: version.map(str::to_owned),
    }))
}

#[tokio::test]
async fn a_secret_is_got_by_its_version_or_the_newest() {
    let world = World::start().await;
    let first = world.azure.put("users", "one", "");
    let _second = world.azure.put("users", "two", "");
    let resolver = resolver(&world);
    for (version, expect) in [(None, "two"), (Some(first.as_str()), "one")] {
        let text = resolver.text(&object(Kind::Secret, "users", version), "any").await.unwrap();
        assert_eq!(text.as_str(), expect);
    }
    // One vault is asked as one identity: one token.
    assert_eq!(world.azure.asked("token"), 1);
}

#[tokio::test]
async fn a_certificate_is_got_with_its_key_from_a_vault_and_from_a_folder() {
    let world = World::start().await;
    let (leaf, key, root) = certificate();
    // Key Vault puts the key first.
    let _version = world.azure.put("server", &format!("{key}{leaf}"), "application/x-pem-file");
    world.local("server-tls", &[("tls.crt", &leaf), ("tls.key", &key), ("ca.crt", &root)]);
    let resolver = resolver(&world);
    let remote = resolver.certificate(&object(Kind::Certificate, "server", None)).await.unwrap();
    let here = resolver.certificate(&local("server-tls")).await.unwrap();
    assert_eq!(remote.chain, here.chain);
    assert_eq!(remote.key.secret_der(), here.key.secret_der());
    assert_eq!(resolver.chain(&local("server-tls")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_certificate_in_a_file_of_pkcs_12_is_got_as_openssl_writes_it() {
    let world = World::start().await;
    let resolver = resolver(&world);
    let server = object(Kind::Certificate, "server", None);
    for options in [&[][..], &["-legacy"], &["-legacy", "-keypbe", "PBE-SHA1-3DES", "-nomac"]] {
        let made = certificate();
        let (leaf, key, root) = &made;
        let _version = world.azure.put("server", &pkcs12(&made, options), "application/x-pkcs12");
        let got = resolver.certificate(&server).await.unwrap();
        world.local("server-tls", &[("tls.crt", &format!("{leaf}{root}")), ("tls.key", key)]);
        let here = resolver.certificate(&local("server-tls")).await.unwrap();
        assert_eq!(got.chain, here.chain, "{options:?}");
        assert_eq!(got.key.secret_der(), here.key.secret_der(), "{options:?}");
    }
    let error = resolver.text(&object(Kind::Secret, "server", None), "any").await.unwrap_err();
    assert!(error.to_string().contains("expected a text, got PKCS #12"), "{error}");
    let above = pkcs12(&certificate(), &["-nokeys"]);
    let _version = world.azure.put("server", &above, "application/x-pkcs12");
    let error = resolver.certificate(&server).await.unwrap_err();
    assert!(error.hint().unwrap().contains("with its key"), "{error}");
    assert_eq!(resolver.chain(&object(Kind::CaChain, "server", None)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_there_and_is_something_else_is_told_without_it() {
    let world = World::start().await;
    let _version = world.azure.put("server", "MIIKCanary", "application/x-pkcs12");
    let _version = world.azure.put("text", "Canary-4711", "");
    world.local("half", &[("tls.crt", &certificate().0)]);
    let resolver = resolver(&world);
    let check = async |reference: Reference, expect: &str| {
        let error = resolver.certificate(&reference).await.unwrap_err();
        let text = format!("{error} {error:?} {}", error.hint().unwrap_or_default());
        assert!(text.contains(expect) && !text.contains("Canary"), "{text}");
    };
    check(object(Kind::Certificate, "server", None), "PKCS #12 in base64").await;
    let _version = world.azure.put("server", "Q2FuYXJ5", "application/x-pkcs12");
    check(object(Kind::Certificate, "server", None), "application/x-pem-file").await;
    check(object(Kind::Certificate, "text", None), "expected certificates (PEM), got none").await;
    check(object(Kind::Certificate, "absent", None), "NotFound").await;
    check(local("half"), "no file `tls.key`").await;
    check(local("nowhere"), "secrets/nowhere").await;
}

#[tokio::test]
async fn a_service_principal_that_is_missing_or_refused_is_named() {
    let world = World::start().await;
    let _version = world.azure.put("users", "one", "");
    let users = object(Kind::Secret, "users", None);
    world.azure.set_client_secret("another");
    let resolver = resolver(&world);
    let error = resolver.text(&users, "any").await.unwrap_err();
    assert!(error.hint().unwrap().contains("`clientsecret`"), "{error}");
    // A new secret is taken up without a restart.
    world.local("akv-sp", &[("clientsecret", "another")]);
    assert_eq!(resolver.text(&users, "any").await.unwrap().as_str(), "one");
    let nowhere = Resolver::new(
        controller::reference::ReferenceSettings { dir: None, ..world.secrets() },
        PACE,
        Arc::new(now),
    );
    let error = nowhere.text(&users, "any").await.unwrap_err();
    assert!(matches!(error, ReferenceError::NoFolder { .. }), "{error}");
}

#[tokio::test]
async fn what_became_of_a_reference_is_kept_by_its_place() {
    let world = World::start().await;
    let _version = world.azure.put("users", "one", "");
    let (resolver, users) = (resolver(&world), object(Kind::Secret, "users", None));
    let fetch = async || {
        let fetched = resolver.text(&users, "any").await;
        resolver.note("a.place", &users, fetched.as_ref().err());
        resolver.states().remove("a.place").unwrap()
    };
    let good = fetch().await;
    assert!(good.fetched.is_some() && good.failure.is_none());
    world.azure.faults().set(Fault::Status(403));
    let bad = fetch().await;
    assert_eq!(bad.fetched, good.fetched);
    assert!(bad.failure.unwrap().contains("403"));
    world.azure.faults().clear();
    assert_eq!(fetch().await.failure, None);
}
