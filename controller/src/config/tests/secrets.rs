use super::*;
use crate::reference::{Reference, ReferenceSettings};

const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

fn full() -> String {
    format!(
        r#"
[secrets]
dir = "secrets"
poll = "30s"
vault-suffix = "vault.example:8443"
resource = "https://vault.azure.net"
authority = "https://login.example"
ca-file = "ca.pem"
address = "10.0.0.4"

[tls.certificate.key-vault.vault]
name = "my-key-vault"
directory-id = "{TENANT}"
credentials = {{ service-principal-local-secret-name = "aio-akv-sp" }}

[tls.certificate.key-vault.vault-cert]
name = "server"

[tls.ca-chain]
secret-name = "chain"
"#
    )
}

#[test]
fn references_and_where_they_lead_are_read_with_paths_relative_to_the_file() {
    let config = parse(&full()).unwrap();
    let expect = ReferenceSettings {
        dir: Some("/etc/keyturn/secrets".into()),
        poll: Duration::from_secs(30),
        vault_suffix: "vault.example:8443".to_owned(),
        resource: Some("https://vault.azure.net".to_owned()),
        authority: Some("https://login.example".to_owned()),
        ca_file: Some("/etc/keyturn/ca.pem".into()),
        address: Some("10.0.0.4".parse().unwrap()),
    };
    assert_eq!(config.secrets, expect);
    let shown = |reference: &Option<Reference>| reference.as_ref().unwrap().to_string();
    let certificate = "`vault-cert` `server` (latest) in the key vault `my-key-vault`";
    assert_eq!(shown(&config.tls.certificate), certificate);
    assert_eq!(shown(&config.tls.ca_chain), "local secret `chain`");
    let nothing = parse("").unwrap();
    assert_eq!(nothing.secrets, ReferenceSettings::default());
    assert_eq!(nothing.tls, TlsConfig::default());
}

#[test]
fn references_read_the_same_again_when_the_configuration_is_rendered() {
    for text in ["", &full()] {
        let config = parse(text).unwrap();
        let rendered = config.effective(Path::new("/elsewhere"));
        let again = parse(&rendered).unwrap();
        assert_eq!((again.secrets, again.tls), (config.secrets, config.tls), "{rendered}");
    }
}

#[test]
fn a_local_secret_without_a_folder_for_them_is_refused() {
    let text = full().replace("dir = \"secrets\"\n", "");
    check(
        &text,
        "line 10, column 6, key `tls.certificate`: expected `dir` in [secrets]: a local secret is \
         named, got none",
    );
    let managed = text
        .replace("service-principal-local-secret-name = \"aio-akv-sp\"", "managed-identity = {}");
    let managed = managed.replace("[tls.ca-chain]\nsecret-name = \"chain\"\n", "");
    assert!(parse(&managed).is_ok());
}

/// What is written instead of what, and what is said of that.
const FLAWS: [(&str, &str, &str); 8] = [
    (
        "[tls.ca-chain]",
        "[tls.ca-chian]",
        "line 19, column 6, key `tls.ca-chian`: expected a key of [tls], got `ca-chian`; did you \
         mean `ca-chain`?",
    ),
    (
        "poll = \"30s\"",
        "poll = \"1s\"",
        "line 4, column 8, key `secrets.poll`: expected a duration, 10s to 1d, got `1s`",
    ),
    (
        "\"vault.example:8443\"",
        "\"vault.example/a\"",
        "line 5, column 16, key `secrets.vault-suffix`: expected the domain of vaults, with a port \
         if need be, as in \"vault.azure.net\", got `vault.example/a`",
    ),
    (
        "\"vault.example:8443\"",
        "\"a@vault.example\"",
        "line 5, column 16, key `secrets.vault-suffix`: expected the domain of vaults, with a port \
         if need be, as in \"vault.azure.net\", got `a@vault.example`",
    ),
    (
        "https://login.example",
        "http://login.example",
        "line 7, column 13, key `secrets.authority`: expected https://HOST or https://HOST:PORT, \
         got `http://login.example`",
    ),
    (
        "10.0.0.4",
        "vault.example",
        "line 9, column 11, key `secrets.address`: expected an IP address, got `vault.example`",
    ),
    (
        "vault-cert",
        "vault-secret",
        "line 16, column 1, key `tls.certificate.key-vault.vault-secret`: expected `vault-cert`, \
         which is what this place takes, got `vault-secret`",
    ),
    (
        "dir = ",
        "dri = ",
        "line 3, column 1, key `secrets.dri`: expected a key of [secrets], got `dri`; did you mean \
         `dir`?",
    ),
];

#[test]
fn what_is_wrong_with_secrets_is_told_with_its_place() {
    for (from, to, expect) in FLAWS {
        check(&full().replacen(from, to, 1), expect);
    }
    let chain_only = "[secrets]\ndir = \"a\"\n[tls]\nca-chain = { secret-name = \"chain\" }";
    check(
        chain_only,
        "line 3, column 1, key `tls.certificate`: expected where the certificate is: { key-vault } \
         or { secret-name }, got nothing: the key is missing",
    );
}
