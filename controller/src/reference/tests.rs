use super::*;
use crate::document;

const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const VERSION: &str = "0123456789abcdef0123456789abcdef";

fn full() -> String {
    format!(
        "a = {{ key-vault = {{ vault = {{ name = \"my-key-vault\", directory-id = \"{TENANT}\", \
         credentials = {{ service-principal-local-secret-name = \"aio-akv-sp\" }} }}, vault-cert = \
         {{ name = \"my-server-certificate\", version = \"latest\" }} }} }}"
    )
}

fn parse(text: &str) -> Result<Reference, String> {
    let read = || {
        let mut table = document::parse("keyturn.toml", text)?.table("a document", &["a"])?;
        Reference::parse(table.required("a", "a reference")?, "`a`", Kind::Certificate)
    };
    read().map_err(|error: document::DocumentError| error.to_string())
}

fn object(reference: &Reference) -> &KeyVaultReference {
    let Reference::KeyVault(object) = reference else { panic!("{reference}") };
    object
}

#[test]
fn the_documents_example_is_read() {
    let reference = parse(&full()).unwrap();
    let expect = KeyVaultReference {
        vault: VaultReference {
            name: "my-key-vault".to_owned(),
            directory: TENANT.to_owned(),
            credentials: VaultCredentials::ServicePrincipal(LocalName::new("aio-akv-sp").unwrap()),
        },
        kind: Kind::Certificate,
        name: "my-server-certificate".to_owned(),
        version: None,
    };
    assert_eq!(object(&reference), &expect);
    let shown = "`vault-cert` `my-server-certificate` (latest) in the key vault `my-key-vault`";
    assert_eq!(reference.to_string(), shown);
    assert_eq!(
        parse("a = { secret-name = \"server-tls\" }").unwrap(),
        Reference::Local(LocalName::new("server-tls").unwrap())
    );
}

#[test]
fn no_version_and_the_word_latest_are_the_newest_one() {
    for version in ["", ", version = \"latest\""] {
        let text = full().replace(", version = \"latest\"", version);
        assert_eq!(object(&parse(&text).unwrap()).version, None);
    }
    let text = full().replace("latest", &VERSION.to_uppercase());
    assert_eq!(object(&parse(&text).unwrap()).version.as_deref(), Some(VERSION));
}

#[test]
fn references_read_the_same_again_when_they_are_rendered() {
    let principal = "service-principal-local-secret-name = \"aio-akv-sp\"";
    for credentials in [
        principal,
        "managed-identity = {}",
        "managed-identity = { client-id = \"00000000-0000-0000-0000-00000000c11e\" }",
        "managed-identity = { resource-id = \"/subscriptions/1/x\" }",
        "workload-identity = {}",
    ] {
        let reference = parse(&full().replace(principal, credentials)).unwrap();
        let rendered = format!("a = {}", reference.to_toml());
        assert_eq!(parse(&rendered).unwrap(), reference, "{rendered}");
    }
    let local = parse("a = { secret-name = \"server-tls\" }").unwrap();
    assert_eq!(parse(&format!("a = {}", local.to_toml())).unwrap(), local);
}

/// What is written instead of what, and what is said of that.
const FLAWS: [(&str, &str, &str); 13] = [
    ("key-vault =", "keyvault =", "a key of `a`, got `keyvault`; did you mean `key-vault`?"),
    (
        "directory-id",
        "directoryId",
        "a key of `vault`, got `directoryId`; did you mean `directory-id`?",
    ),
    ("vault-cert", "vault-certificate", "did you mean `vault-cert`?"),
    (
        "vault-cert",
        "vault-secret",
        "`vault-cert`, which is what this place takes, got `vault-secret`",
    ),
    (
        "vault-cert",
        "vault-secret = { name = \"a\" }, vault-cert",
        "exactly one of `vault-secret`, `vault-cert` and `vault-ca-chain-cert`, got another one too",
    ),
    (
        ", vault-cert = { name = \"my-server-certificate\", version = \"latest\" }",
        "",
        "exactly one of `vault-secret`, `vault-cert` and `vault-ca-chain-cert`, got none of them",
    ),
    ("\"latest\"", "\"newest\"", "a version: 32 hexadecimal digits, or `latest`, got `newest`"),
    ("my-server-certificate", "my_cert", "an object's name"),
    ("my-key-vault", "a/../b", "a vault's name"),
    ("my-key-vault", "my.key.vault", "a vault's name"),
    (TENANT, "contoso", "the directory (tenant) of the vault: a GUID, got `contoso`"),
    ("aio-akv-sp", "../aio", "the name of a local secret"),
    (
        "service-principal-local-secret-name = \"aio-akv-sp\"",
        "",
        "exactly one of `service-principal-local-secret-name`, `managed-identity` and \
         `workload-identity`, got 0 of them",
    ),
];

#[test]
fn what_is_wrong_with_a_reference_is_told() {
    for (from, to, expect) in FLAWS {
        let text = full().replacen(from, to, 1);
        assert_ne!(text, full(), "{from}");
        let error = parse(&text).unwrap_err();
        assert!(error.starts_with("read keyturn.toml, line 1, column "), "{error}");
        assert!(error.contains(expect), "{text}\n{error}");
    }
    let both = full().replace("key-vault = ", "secret-name = \"a\", key-vault = ");
    assert!(parse(&both).unwrap_err().contains("either `secret-name` or `key-vault`, got both"));
    assert!(parse("a = {}").unwrap_err().contains("`secret-name` or `key-vault`, got neither"));
}

#[test]
fn names_of_local_secrets_lead_to_no_other_folder() {
    for name in ["a", "aio-akv-sp", "tls.example.net", &"a".repeat(253)] {
        assert!(LocalName::new(name).is_some(), "{name}");
    }
    for name in ["", ".", "..", "a..b", ".a", "a.", "a/b", "A", "a_b", "-a", &"a".repeat(254)] {
        assert!(LocalName::new(name).is_none(), "{name}");
    }
}
