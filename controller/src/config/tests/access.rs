use super::*;
use crate::access::Role;

const FABRIC: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/lab\
                      /providers/Microsoft.ManagedNetworkFabric/networkFabrics/east";

fn full() -> String {
    format!(
        r#"
[secrets]
dir = "secrets"

[access]
admin-token = {{ secret-name = "owner" }}

[[access.token]]
name = "ci"
token = {{ secret-name = "ci-token" }}
role = "operator"
fabric = "{FABRIC}"

[[access.token]]
name = "web"
token = {{ secret-name = "web-token" }}
role = "vault-secrets-user"
secret-prefix = "web-"

[archive]
identity = "service-principal"
credentials-secret-name = "aio-akv-sp"
"#
    )
}

#[test]
fn tokens_that_are_elsewhere_are_read_with_what_they_are_for() {
    let config = parse(&full()).unwrap();
    assert_eq!(config.tokens.admin.unwrap().to_string(), "local secret `owner`");
    let [ci, web] = &config.tokens.others[..] else { panic!("{:?}", config.tokens.others) };
    assert_eq!((ci.name.as_str(), ci.grant.role), ("ci", Role::Operator));
    assert_eq!(ci.grant.fabric, Some(FABRIC.parse().unwrap()));
    assert_eq!(web.token.to_string(), "local secret `web-token`");
    assert_eq!(web.grant.secret_prefix.as_deref(), Some("web-"));
    assert_eq!(parse("[access]").unwrap().tokens, TokensConfig::default());
}

#[test]
fn a_local_secret_is_found_below_the_folder_of_all_of_them() {
    let config = parse(&full()).unwrap();
    let crate::identity::Principal::Application { credential, .. } =
        config.archive.identity.principal
    else {
        panic!("no application")
    };
    let folder = "/etc/keyturn/secrets/aio-akv-sp".into();
    assert_eq!(credential, crate::identity::Credential::Folder(folder));
}

#[test]
fn tokens_read_the_same_again_when_they_are_rendered() {
    let config = parse(&full()).unwrap();
    let rendered = config.effective(Path::new("/elsewhere"));
    let again = parse(&rendered).unwrap();
    assert_eq!((again.tokens, again.archive), (config.tokens, config.archive), "{rendered}");
}

/// What is written instead of what, and what is said of that.
const FLAWS: [(&str, &str, &str); 8] = [
    ("name = \"web\"", "name = \"ci\"", "a name only once, got `ci`"),
    ("name = \"web\"", "name = \"\"", "a name: 1 to 64 printable ASCII characters"),
    ("role = \"operator\"", "role = \"owner\"", "expected a role, got `owner`"),
    ("admin-token", "admin-tokn", "did you mean `admin-token`?"),
    ("token = { secret-name = \"ci-token\" }", "", "where the token is"),
    ("secret-name = \"ci-token\"", "secret-name = \"CI\"", "the name of a local secret"),
    ("dir = \"secrets\"", "", "`dir` in [secrets]: a local secret is named"),
    (
        "credentials-secret-name",
        "credentials-dir = \"a\"\ncredentials-secret-name",
        "either `credentials-dir` or `credentials-secret-name`, got both",
    ),
];

#[test]
fn what_is_wrong_with_tokens_is_told() {
    for (from, to, expect) in FLAWS {
        let text = full().replacen(from, to, 1);
        assert_ne!(text, full(), "{from}");
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains(expect), "{text}\n{error}");
    }
}
