use super::*;
use crate::config::RemoteVaultConfig;

const PRIMARY: &str = r#"
[vault]
retention-time = "120d"

[vault.azure-key-vault]
uri = "https://kv.vault.azure.net/"
key-vault-id = "/subscriptions/1/resourceGroups/2/providers/Microsoft.KeyVault/vaults/kv"
identity = "workload-identity"
client-id = "22222222-2222-3333-4444-555555555555"
token-file = "token"
"#;

const ARCHIVES: &str = r#"
[archive]
client-id = "22222222-2222-3333-4444-555555555555"

[[archive.vaults]]
[archive.vaults.azure-key-vault]
uri = "https://one.vault.azure.net"

[[archive.vaults]]
[archive.vaults.azure-key-vault]
uri = "https://two.vault.azure.net"
resource = "https://vault.example.net"
identity = "service-principal"
tenant-id = "contoso.example"
credentials-dir = "sp"
"#;

const OTHERS: &str = r#"
[vault.hashicorp-vault]
uri = "https://vault.example:8200"
mount = "secret"
prefix = "keyturn"
login = "approle"
role-id-file = "role-id"
secret-id-file = "secret-id"

[[archive.vaults]]
[archive.vaults.kubernetes]
namespace = "keyturn"

[[archive.vaults]]
[archive.vaults.kubernetes]
kubeconfig = "cluster.yaml"
context = "elsewhere"
"#;

#[test]
fn vaults_that_others_run_read_the_same_again_when_they_are_rendered() {
    for text in [PRIMARY, ARCHIVES, OTHERS] {
        let config = parse(text).unwrap();
        let rendered = config.effective(Path::new("/elsewhere"));
        let again = parse(&rendered).unwrap();
        assert_eq!(again.vault.remote, config.vault.remote, "{rendered}");
        assert_eq!(again.vault.retention, config.vault.retention, "{rendered}");
        assert_eq!(again.archive, config.archive, "{rendered}");
    }
    let uri = |vault: &RemoteVaultConfig| vault.to_string();
    let primary = parse(PRIMARY).unwrap().vault.remote;
    assert_eq!(primary.as_ref().map(uri).as_deref(), Some("https://kv.vault.azure.net"));
    let uris: Vec<String> = parse(ARCHIVES).unwrap().archive.vaults.iter().map(uri).collect();
    assert_eq!(uris, ["https://one.vault.azure.net", "https://two.vault.azure.net"]);
}

#[test]
fn a_vault_that_others_run_leaves_no_room_for_the_embedded_one() {
    let beside = |key: &str| PRIMARY.replacen("retention-time", key, 1);
    check(
        &beside("key-file = \"vault.key\"\nretention-time"),
        "line 2, column 1, key `vault`: expected either the embedded vault or one that others run, \
         got `key-file` beside `https://kv.vault.azure.net`",
    );
    let served = format!("{PRIMARY}\n[edge.key-vault]\nlisten = \"127.0.0.1:9443\"\n");
    check(
        &served,
        "line 12, column 2, key `edge`: expected the embedded vault, got \
         `https://kv.vault.azure.net`",
    );
}

#[test]
fn what_names_no_vault_is_told_with_its_place() {
    let flaws = [
        (
            PRIMARY.replace("https://kv", "http://kv"),
            "line 6, column 7, key `vault.azure-key-vault.uri`: expected the URI of a vault, as in \
             \"https://NAME.vault.azure.net\", got `http://kv.vault.azure.net/`",
        ),
        (
            ARCHIVES.replace("https://two", "https://one"),
            "line 9, column 1, key `archive.vaults[1]`: expected each vault once, got \
             `https://one.vault.azure.net` again",
        ),
        (
            format!("{OTHERS}\n[vault.kubernetes]\n"),
            "line 2, column 2, key `vault`: expected one kind of vault: `azure-key-vault`, \
             `hashicorp-vault` or `kubernetes`, got several",
        ),
        (
            "[[archive.vaults]]\n".to_owned(),
            "line 1, column 1, key `archive.vaults[0]`: expected one kind of vault: \
             `azure-key-vault`, `hashicorp-vault` or `kubernetes`, got none",
        ),
    ];
    for (text, expect) in flaws {
        check(&text, expect);
    }
}

const KEY: &str = "wrapped-key = { key-vault = { vault = { name = \"my-key-vault\", directory-id = \
                   \"72f988bf-86f1-41af-91ab-2d7cd011db47\", credentials = { managed-identity = {} \
                   } }, vault-key = { name = \"keyturn\" } } }";

fn with(line: &str) -> String {
    format!("[secrets]\ndir = \"secrets\"\n[vault]\n{line}\n")
}

#[test]
fn what_opens_the_vaults_key_is_read_and_reads_the_same_again() {
    let wrapped = parse(&with(KEY)).unwrap();
    let shown = wrapped.vault.wrapped_key.as_ref().unwrap().to_string();
    assert_eq!(shown, "`vault-key` `keyturn` (latest) in the key vault `my-key-vault`");
    let passphrase = parse(&with("passphrase = { secret-name = \"vault\" }")).unwrap();
    let shown = passphrase.vault.passphrase.as_ref().unwrap().to_string();
    assert_eq!(shown, "local secret `vault`");
    for config in [wrapped, passphrase] {
        let again = parse(&config.effective(Path::new("/elsewhere"))).unwrap();
        let opened =
            |config: &Config| (config.vault.passphrase.clone(), config.vault.wrapped_key.clone());
        assert_eq!(opened(&again), opened(&config));
    }
}

#[test]
fn what_is_wrong_with_what_opens_the_vaults_key_is_told() {
    let both = format!("passphrase-file = \"a\"\n{KEY}");
    for (line, expect) in [
        (both.as_str(), "got `passphrase-file` and `wrapped-key`"),
        (&KEY.replace("vault-key", "vault-secret"), "expected `vault-key`, which is what this"),
        (&KEY.replace(", vault-key = { name = \"keyturn\" }", ""), "`vault-key`, and nothing else"),
        ("wrapped-key = { secret-name = \"a\" }", "expected a key of `wrapped-key`"),
        ("wraped-key = {}", "did you mean `wrapped-key`?"),
        ("passphrase = \"nine tall giraffes\"", "key `vault.passphrase`: expected a table"),
    ] {
        let error = parse(&with(line)).unwrap_err();
        assert!(error.contains(expect) && !error.contains("giraffe"), "{line}\n{error}");
    }
}
