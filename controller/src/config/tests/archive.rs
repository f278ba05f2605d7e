use super::*;

const APPLICATION: &str = r#"
[archive]
identity = "service-principal"
tenant-id = "11111111-2222-3333-4444-555555555555"
credentials-dir = "aio-akv-sp"
authority = "https://login.example"
ca-file = "azure.pem"
address = "192.0.2.1"
"#;

const FEDERATED: &str = r#"
[archive]
identity = "workload-identity"
client-id = "22222222-2222-3333-4444-555555555555"
token-file = "/var/run/secrets/token"
"#;

#[test]
fn identities_for_customers_vaults_read_the_same_again_when_they_are_rendered() {
    let user = "[archive]\nclient-id = \"22222222-2222-3333-4444-555555555555\"\n";
    for text in ["", "[archive]\n", user, APPLICATION, FEDERATED] {
        let config = parse(text).unwrap();
        let rendered = config.effective(Path::new("/elsewhere"));
        assert_eq!(parse(&rendered).unwrap().archive, config.archive, "{rendered}");
    }
    let way = parse(APPLICATION).unwrap().archive.identity.way;
    assert_eq!(way.ca_file.as_deref(), Some(Path::new("/etc/keyturn/azure.pem")));
}

#[test]
fn what_is_wrong_with_an_identity_is_told_with_its_place() {
    let flaws = [
        (
            "service-principal",
            "service-princpal",
            "line 3, column 12, key `archive.identity`: expected a kind of identity, got \
             `service-princpal`; did you mean `service-principal`?",
        ),
        (
            "credentials-dir = \"aio-akv-sp\"\n",
            "",
            "line 2, column 1, key `archive`: expected `credentials-dir` or \
             `credentials-secret-name` beside a service principal, got none",
        ),
        (
            "service-principal",
            "managed-identity",
            "line 2, column 1, key `archive`: expected `credentials-dir` beside `identity = \
             \"service-principal\"` alone, got another identity",
        ),
        (
            "authority = \"https://login.example\"",
            "resource = \"https://vault.azure.net\"",
            "line 2, column 1, key `archive`: expected `resource` beside the `uri` of the one vault \
             that it is trusted with, under [archive.vaults.azure-key-vault], got \
             `https://vault.azure.net` for any vault",
        ),
    ];
    for (from, to, expect) in flaws {
        check(&APPLICATION.replace(from, to), expect);
    }
}
