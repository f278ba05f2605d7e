use super::super::hashicorp;
use super::*;
use crate::document::{self, DocumentError};

const APPROLE: &str = r#"
uri = "https://vault.example:8200"
mount = "network"
prefix = "keyturn/lab"
namespace = "teams/east"
login = "approle"
role-id-file = "role-id"
secret-id-file = "/run/secrets/secret-id"
ca-file = "vault.pem"
address = "192.0.2.1"
id = "/subscriptions/1/resourceGroups/a/providers/Microsoft.KeyVault/vaults/b"
"#;

const KUBERNETES: &str = r#"
uri = "https://vault.example"
mount = "teams/secret"
login = "kubernetes"
auth-mount = "clusters/east"
role = "keyturn"
"#;

const TOKEN: &str = r#"
uri = "https://vault.example"
mount = "secret/"
login = "token"
token-file = "token"
"#;

fn read(text: &str) -> Result<HashicorpConfig, DocumentError> {
    let config = hashicorp::parse(document::parse("keyturn.toml", text)?)?;
    Ok(hashicorp::place(config, Path::new(BASE)))
}

fn refused(text: &str, expect: &str) {
    let error = read(text).unwrap_err().to_string();
    assert!(error.contains(expect), "{text}{error}");
}

#[test]
fn settings_read_the_same_again_when_they_are_rendered() {
    for text in [APPROLE, KUBERNETES, TOKEN] {
        let config = read(text).unwrap();
        let lines = hashicorp::pairs(&config).into_iter();
        let rendered: String = lines.map(|(key, value)| format!("{key} = {value:?}\n")).collect();
        assert_eq!(read(&rendered).unwrap(), config, "{rendered}");
    }
    let text = format!("{:?}", read(APPROLE).unwrap());
    for path in ["/etc/keyturn/role-id", "\"/run/secrets/secret-id", "/etc/keyturn/vault.pem"] {
        assert!(text.contains(path), "{text}");
    }
    assert!(format!("{:?}", read(KUBERNETES).unwrap()).contains("/var/run/secrets/kubernetes.io/"));
    assert_eq!(read(TOKEN).unwrap().settings.mount, "secret");
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_what_mends_it() {
    for (from, to, expect) in [
        ("uri", "url", "did you mean `uri`?"),
        ("https://vault.example:8200", "http://vault.example:8200", "key `uri`: expected where"),
        ("https://vault.example:8200", "https://vault.example/ui", "key `uri`: expected where"),
        ("\"network\"", "\"net work\"", "key `mount`: expected where the engine is mounted"),
        ("keyturn/lab", "../lab", "key `prefix`: expected the path of a folder"),
        ("\"approle\"", "\"app-role\"", "did you mean `approle`?"),
        ("role-id-file = \"role-id\"", "", "`role-id-file` and `secret-id-file` beside"),
        ("\"approle\"", "\"token\"", "nothing but `token-file` for this `login`"),
        ("\"approle\"", "\"kubernetes\"", "nothing but `role` and `token-file` for this"),
        ("192.0.2.1", "vault", "key `address`: expected an IP address"),
    ] {
        assert!(APPROLE.contains(from), "{from}");
        refused(&APPROLE.replacen(from, to, 1), expect);
    }
    refused(
        &KUBERNETES.replace("role = \"keyturn\"", ""),
        "`role` beside `login = \"kubernetes\"`",
    );
    refused(&TOKEN.replace("token-file = \"token\"", ""), "`token-file` beside `login");
    refused("mount = \"a\"", "key `uri`: expected where the vault is");
}
