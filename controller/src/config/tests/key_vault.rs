use super::*;

const LEAST: &str = "[edge.key-vault]\nlisten = \"127.0.0.1:9443\"\n";

const FULL: &str = r#"
[edge.key-vault]
listen = "[::]:443"
uri = "https://kv.vault.example.net"
authorization = "https://login.example/tenant"
resource = "https://vault.example.net"
retention = "7d"
reads-max = 100
writes-max = 10
"#;

#[test]
fn the_key_vault_api_is_served_where_the_configuration_says_so() {
    assert_eq!(parse("[edge]").unwrap().key_vault, None);
    let usual = KeyVaultConfig::at("127.0.0.1:9443".parse().unwrap());
    assert_eq!(parse(LEAST).unwrap().key_vault, Some(usual));
    let full = parse(FULL).unwrap().key_vault.unwrap();
    assert_eq!((full.reads_max, full.writes_max), (100, 10));
    assert_eq!(full.retention, Duration::from_secs(7 * 24 * 3_600));
    assert_eq!(full.host().as_deref(), Some("kv.vault.example.net"));
    for text in [LEAST, FULL] {
        let config = parse(text).unwrap();
        let rendered = config.effective(Path::new("/elsewhere"));
        assert_eq!(parse(&rendered).unwrap().key_vault, config.key_vault, "{rendered}");
    }
}

#[test]
fn what_tokens_are_for_follows_from_the_vaults_name() {
    let cases = [
        ("https://kv.vault.example.net", "https://vault.example.net"),
        ("https://kv.vault.example.net/", "https://vault.example.net"),
        ("https://kv.example", "https://kv.example"),
        ("https://localhost:9443", "https://localhost:9443"),
        ("https://192.0.2.1:9443", "https://192.0.2.1:9443"),
        ("https://[2001:db8::1]:9443", "https://[2001:db8::1]:9443"),
    ];
    let config = KeyVaultConfig::at("127.0.0.1:9443".parse().unwrap());
    for (uri, wanted) in cases {
        assert_eq!(config.resource(uri), wanted, "{uri}");
    }
    assert_eq!(config.uri(1234), "https://localhost:1234");
    assert_eq!(config.host(), None);
}

#[test]
fn what_is_wrong_with_the_key_vault_api_is_told_with_its_place() {
    let flaws = [
        (
            "listen = \"127.0.0.1:9443\"",
            "listn = \"127.0.0.1:9443\"",
            "line 2, column 1, key `edge.key-vault.listn`: expected a key of [edge.key-vault], got \
             `listn`; did you mean `listen`?",
        ),
        (
            "127.0.0.1:9443",
            "0.0.0.0:9443",
            "line 1, column 1, key `edge.key-vault`: expected `uri` beside a `listen` that others \
             reach: by what they know this vault, got none",
        ),
        (
            "\"127.0.0.1:9443\"",
            "\"127.0.0.1:9443\"\nuri = \"http://kv.example\"",
            "line 3, column 7, key `edge.key-vault.uri`: expected an https URL without a user in \
             it, got `http://kv.example`",
        ),
        (
            "\"127.0.0.1:9443\"",
            "\"127.0.0.1:9443\"\nretention = \"1d\"",
            "line 3, column 13, key `edge.key-vault.retention`: expected a duration, 7d to 90d, \
             got `1d`",
        ),
    ];
    for (from, to, expect) in flaws {
        check(&LEAST.replace(from, to), expect);
    }
}
