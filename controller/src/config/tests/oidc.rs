use super::*;
use crate::access::Role;
use crate::access::oidc::{IssuerSettings, KeysFrom, RoleMapping};

const FABRIC: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/lab\
                      /providers/Microsoft.ManagedNetworkFabric/networkFabrics/east";

const LEAST: &str = r#"
[[access.oidc]]
issuer = "https://keycloak.example/realms/net"
audience = "keyturn"
jwks-file = "jwks.json"
roles = [{ value = "ops", role = "operator" }]
"#;

/// One issuer with everything said, and a second one.
fn full() -> String {
    format!(
        r#"
[[access.oidc]]
issuer = "https://login.example/tenant/v2.0"
audience = ["api://keyturn", "keyturn"]
jwks-url = "https://login.example/tenant/discovery/v2.0/keys"
ca-file = "ca.pem"
refresh = "15m"
clock-skew-max = "5s"
name-claim = "preferred_username"

[[access.oidc.roles]]
claim = "groups"
value = "1\"2"
role = "secret-reader"
fabric = "{FABRIC}"
{LEAST}"#
    )
}

#[test]
fn issuers_are_read_with_defaults_and_paths_relative_to_the_file() {
    let role = |claim: &str, value: &str, role, fabric: Option<&str>| RoleMapping {
        claim: claim.to_owned(),
        value: value.to_owned(),
        role,
        fabric: fabric.map(|id| id.parse().unwrap()),
        secret_prefix: None,
    };
    let one = IssuerSettings {
        issuer: "https://login.example/tenant/v2.0".to_owned(),
        audiences: vec!["api://keyturn".to_owned(), "keyturn".to_owned()],
        keys: KeysFrom::Url {
            url: "https://login.example/tenant/discovery/v2.0/keys".to_owned(),
            ca_file: Some("/etc/keyturn/ca.pem".into()),
        },
        refresh: Duration::from_secs(900),
        clock_skew_max: Duration::from_secs(5),
        name_claim: "preferred_username".to_owned(),
        roles: vec![role("groups", "1\"2", Role::SecretReader, Some(FABRIC))],
    };
    let two = IssuerSettings {
        issuer: "https://keycloak.example/realms/net".to_owned(),
        audiences: vec!["keyturn".to_owned()],
        keys: KeysFrom::File("/etc/keyturn/jwks.json".into()),
        refresh: Duration::from_secs(3_600),
        clock_skew_max: Duration::from_secs(60),
        name_claim: "sub".to_owned(),
        roles: vec![role("roles", "ops", Role::Operator, None)],
    };
    assert_eq!(parse(&full()).unwrap().oidc, [one, two]);
    assert_eq!(parse("[access]").unwrap().oidc, []);
}

#[test]
fn issuers_read_the_same_again_when_they_are_rendered() {
    for text in [LEAST, &full()] {
        let config = parse(text).unwrap();
        let rendered = config.effective(Path::new("/elsewhere"));
        let again = parse(&rendered).unwrap();
        assert_eq!(again.oidc, config.oidc, "{rendered}");
    }
}

const JWKS: &str = "jwks-file = \"jwks.json\"";

/// What is written instead of what, and what is said of that.
const FLAWS: [(&str, &str, &str); 11] = [
    (
        "role = \"operator\"",
        "role = \"operator\", secret-prefix = \"web-\"",
        "line 6, column 62, key `access.oidc[0].roles[0].secret-prefix`: expected the role \
         `vault-secrets-user` or `vault-secrets-officer` beside it, got `web-`",
    ),
    (
        "issuer",
        "isuer",
        "line 3, column 1, key `access.oidc[0].isuer`: expected a key of [[access.oidc]], got \
         `isuer`; did you mean `issuer`?",
    ),
    (
        "value",
        "vale",
        "line 6, column 12, key `access.oidc[0].roles[0].vale`: expected a key of \
         [[access.oidc.roles]], got `vale`; did you mean `value`?",
    ),
    (
        "\"operator\"",
        "\"operater\"",
        "line 6, column 34, key `access.oidc[0].roles[0].role`: expected a role, got `operater`; \
         did you mean `operator`?",
    ),
    (
        JWKS,
        "jwks-url = \"http://login.example/keys\"",
        "line 5, column 12, key `access.oidc[0].jwks-url`: expected an https URL without a user \
         in it, got `http://login.example/keys`",
    ),
    (
        JWKS,
        "jwks-url = \"https://a:b@login.example/keys\"",
        "line 5, column 12, key `access.oidc[0].jwks-url`: expected an https URL without a user \
         in it, got `https://a:b@login.example/keys`",
    ),
    (
        JWKS,
        "jwks-file = \"a\"\njwks-url = \"https://login.example/keys\"",
        "line 6, column 12, key `access.oidc[0].jwks-url`: expected either `jwks-file` or \
         `jwks-url`, got both",
    ),
    (
        JWKS,
        "jwks-file = \"a\"\nca-file = \"ca.pem\"",
        "line 6, column 11, key `access.oidc[0].ca-file`: expected `jwks-url` beside it, got \
         `jwks-file`",
    ),
    (
        JWKS,
        "",
        "line 2, column 1, key `access.oidc[0]`: expected `jwks-file` or `jwks-url`, got neither",
    ),
    (
        JWKS,
        "jwks-file = \"a\"\nrefresh = \"30s\"",
        "line 6, column 11, key `access.oidc[0].refresh`: expected a duration, 1m to 12h, got \
         `30s`",
    ),
    (
        JWKS,
        "jwks-file = \"a\"\nclock-skew-max = \"1h\"",
        "line 6, column 18, key `access.oidc[0].clock-skew-max`: expected a duration, 1s to 5m, \
         got `1h`",
    ),
];

#[test]
fn what_is_wrong_with_an_issuer_is_told_with_its_place() {
    for (from, to, expect) in FLAWS {
        check(&LEAST.replace(from, to), expect);
    }
    check(
        &format!("{LEAST}{LEAST}"),
        "line 8, column 1, key `access.oidc[1]`: expected an issuer only once, got \
         `https://keycloak.example/realms/net`",
    );
}

#[test]
fn an_issuer_without_what_it_needs_is_refused() {
    let cases = [
        ("issuer = \"https://keycloak.example/realms/net\"", ""),
        ("https://keycloak.example/realms/net", "keycloak"),
        ("https://keycloak.example/realms/net", "https://keycloak.example/\\\"realms"),
        ("https://keycloak.example/realms/net", "https://keycloak.example/a b"),
        ("audience = \"keyturn\"", ""),
        ("audience = \"keyturn\"", "audience = []"),
        ("audience = \"keyturn\"", "audience = [\"\"]"),
        ("audience = \"keyturn\"", "audience = 7"),
        ("roles = [{ value = \"ops\", role = \"operator\" }]", ""),
        ("[{ value = \"ops\", role = \"operator\" }]", "[]"),
        ("value = \"ops\", ", ""),
        ("value = \"ops\"", "value = \"o\\u0007ps\""),
        (", role = \"operator\"", ""),
        ("role = \"operator\"", "role = \"operator\", fabric = \"east\""),
        ("[[access.oidc]]", "[access.oidc]"),
    ];
    for (from, to) in cases {
        let text = LEAST.replace(from, to);
        assert_ne!(text, LEAST, "{from}");
        assert!(parse(&text).is_err(), "{text}");
    }
}
