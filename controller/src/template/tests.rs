use super::*;

const GOOD: &str = r#"
[policy]
length = 24

[[profiles]]
name = "admin"
secret-type = "Admin user password"
roles = ["CE", "ToR"]
privilege = "admin"

[[profiles]]
name = "TelcoRO1"
user = "telco.ro1"
roles = ["CE"]
privilege = "read-only"
feature-flag = "MethodDv1.5"
scope = "device"
policy = { length = 25, require = ["upper", "lower", "digit", "symbol"], exclude = "O0" }
"#;

fn flags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Replaces one text of the good template by another and expects an error.
fn check(from: &str, to: &str, expect: &str) {
    assert!(GOOD.contains(from), "{from}");
    let error = SecretsTemplate::parse("t.toml", &GOOD.replacen(from, to, 1)).unwrap_err();
    assert_eq!(error.to_string(), format!("read t.toml, {expect}"));
    assert_eq!(error.fault(), crate::error::Fault::Operator);
}

#[test]
fn a_template_is_read_with_its_defaults() {
    let template = SecretsTemplate::parse("t.toml", GOOD).unwrap();
    let [admin, telco] = template.profiles.as_slice() else { panic!("two profiles") };
    assert_eq!((admin.user.as_str(), admin.scope), ("admin", Scope::Fabric));
    assert_eq!(admin.policy, PasswordPolicy::default());
    assert_eq!(telco.user, "telco.ro1");
    assert_eq!(telco.secret_type.as_str(), "TelcoRO1 user password");
    assert_eq!((telco.scope, telco.policy.length), (Scope::Device, 25));
    assert_eq!(telco.policy.excluded, "O0");
    assert_eq!(telco.policy.required.len(), 4);
    assert!(admin.privileged() && !telco.privileged());
    assert_eq!(template.profile(&ProfileName::new("TELCOro1").unwrap()), Some(telco));
}

#[test]
fn the_built_in_template_has_the_documents_profiles() {
    let template = SecretsTemplate::builtin().unwrap();
    let names = |role, flags: &BTreeMap<String, String>| -> Vec<String> {
        template.applicable(role, flags).map(|profile| profile.name.to_string()).collect()
    };
    let five = ["admin", "AzureOperatorRO", "AzureOperatorRW", "TelcoRO", "TelcoRW"];
    for role in [DeviceRole::CE, DeviceRole::ToR, DeviceRole::NPB, DeviceRole::Management] {
        assert_eq!(names(role, &flags(&[])), five);
        let all = names(role, &flags(&[("MethodDv1.5", "true")]));
        assert_eq!(all.len(), 21);
        assert!(["TelcoRO14", "TelcoRW2"].iter().all(|name| all.iter().any(|has| has == name)));
    }
    assert_eq!(names(DeviceRole::TS, &flags(&[("MethodDv1.5", "true")])), ["TerminalServer"]);
    let profile = |name: &str| template.profile(&ProfileName::new(name).unwrap()).unwrap();
    let server = profile("TerminalServer");
    assert_eq!((server.user.as_str(), server.privilege), ("root", Privilege::Admin));
    let types = [
        ("admin", "Admin user password"),
        ("AzureOperatorRO", "AzureOperatorRO user password"),
        ("TelcoRW2", "TelcoRW2 user password"),
        ("TerminalServer", "Terminal Server password"),
    ];
    for (name, secret_type) in types {
        assert_eq!(profile(name).secret_type.as_str(), secret_type);
    }
    let privileged: Vec<&str> = template
        .profiles
        .iter()
        .filter(|profile| profile.privileged())
        .map(|profile| profile.name.as_str())
        .collect();
    let expect = ["admin", "AzureOperatorRW", "TelcoRW", "TelcoRW1", "TelcoRW2", "TerminalServer"];
    assert_eq!(privileged, expect);
    let default = PasswordPolicy::default();
    assert!(template.profiles.iter().all(|profile| profile.policy == default));
}

#[test]
fn a_feature_flag_is_on_by_its_value() {
    let template = SecretsTemplate::parse("t.toml", GOOD).unwrap();
    let cases = [
        ("MethodDv1.5", "true", true),
        ("MethodDv1.5", "TRUE", true),
        ("methoddV1.5", "1", true),
        ("MethodDv1.5", "On", true),
        ("MethodDv1.5", "false", false),
        ("MethodDv1.5", "0", false),
        ("MethodDv1.5", "", false),
        ("MethodDv1.5", "yes", false),
        ("MethodD", "true", false),
    ];
    for (name, value, on) in cases {
        let count = template.applicable(DeviceRole::CE, &flags(&[(name, value)])).count();
        assert_eq!(count == 2, on, "{name} = {value}");
    }
}

#[test]
fn keys_that_do_not_exist_are_refused_with_the_nearest() {
    check(
        "[policy]",
        "[polcy]",
        "line 2, column 2, key `polcy`: expected a key of a secrets template, got `polcy`; did \
         you mean `policy`?",
    );
    check(
        "secret-type",
        "secret_type",
        "line 7, column 1, key `profiles[0].secret_type`: expected a key of a user profile, got \
         `secret_type`; did you mean `secret-type`?",
    );
    check(
        "{ length",
        "{ lenght",
        "line 18, column 12, key `profiles[1].policy.lenght`: expected a key of a password \
         policy, got `lenght`; did you mean `length`?",
    );
}

const WRONG_VALUES: &[(&str, &str, &str)] = &[
    (
        "name = \"admin\"\n",
        "",
        "line 5, column 1, key `profiles[0].name`: expected a user profile's name: 1 to 32 \
         letters, digits, `_` and `-`, a letter first, got nothing: the key is missing",
    ),
    (
        "\"admin\"\nsecret",
        "\"1st\"\nsecret",
        "line 6, column 8, key `profiles[0].name`: expected a user profile's name: 1 to 32 \
         letters, digits, `_` and `-`, a letter first, got `1st`",
    ),
    (
        "telco.ro1",
        "a b",
        "line 13, column 8, key `profiles[1].user`: expected an account's name: 1 to 32 letters, \
         digits, `_`, `-` and `.`, a letter or `_` first, got `a b`",
    ),
    (
        "Admin user password",
        " x",
        "line 7, column 15, key `profiles[0].secret-type`: expected 1 to 128 printable characters \
         without a space at either end, got ` x`",
    ),
    (
        "\"CE\", \"ToR\"",
        "\"CE\", \"TOR\"",
        "line 8, column 16, key `profiles[0].roles[1]`: expected a device role, got `TOR`; did \
         you mean `ToR`?",
    ),
    (
        "\"CE\", \"ToR\"",
        "\"CE\", \"CE\"",
        "line 8, column 16, key `profiles[0].roles[1]`: expected a list of device roles, each \
         once, got `CE`",
    ),
    (
        "[\"CE\", \"ToR\"]",
        "[]",
        "line 8, column 9, key `profiles[0].roles`: expected at least one device role, got an \
         empty list",
    ),
    (
        "[\"CE\", \"ToR\"]",
        "\"CE\"",
        "line 8, column 9, key `profiles[0].roles`: expected a list of device roles, got `CE`",
    ),
    (
        "\"read-only\"",
        "\"readonly\"",
        "line 15, column 13, key `profiles[1].privilege`: expected a privilege, got `readonly`; \
         did you mean `read-only`?",
    ),
    (
        "\"device\"",
        "\"devise\"",
        "line 17, column 9, key `profiles[1].scope`: expected a scope, got `devise`; did you mean \
         `device`?",
    ),
    (
        "\"digit\"",
        "\"digits\"",
        "line 18, column 54, key `profiles[1].policy.require[2]`: expected a character class, got \
         `digits`; did you mean `digit`?",
    ),
    (
        "length = 24",
        "length = 300",
        "line 3, column 10, key `policy.length`: expected a length in characters, 1 to 256, got \
         300",
    ),
];

#[test]
fn wrong_values_are_refused_with_what_was_expected() {
    for (from, to, expect) in WRONG_VALUES {
        check(from, to, expect);
    }
}

#[test]
fn profiles_that_could_be_taken_for_each_other_are_refused() {
    check(
        "\"TelcoRO1\"",
        "\"Admin\"",
        "line 12, column 8, key `profiles[1].name`: expected a name that no other profile has, \
         got `Admin`, as of profile `admin`",
    );
    check(
        "\"telco.ro1\"",
        "\"admin\"",
        "line 13, column 8, key `profiles[1].user`: expected an account on these roles that no \
         other profile has, got `admin`, as of profile `admin`",
    );
    check(
        "user = \"telco.ro1\"",
        "secret-type = \"Admin user password\"",
        "line 13, column 15, key `profiles[1].secret-type`: expected a secret type on these roles \
         that no other profile has, got `Admin user password`, as of profile `admin`",
    );
}

#[test]
fn a_role_that_nothing_could_rotate_is_refused() {
    check(
        "roles = [\"CE\"]",
        "roles = [\"CE\", \"TS\"]",
        "line 14, column 9, key `profiles[1].roles`: expected a profile for role `TS` of \
         privilege `admin` or `read-write` and without a feature flag, got none in the whole \
         template",
    );
    check(
        "privilege = \"admin\"",
        "privilege = \"admin\"\nfeature-flag = \"x\"",
        "line 8, column 9, key `profiles[0].roles`: expected a profile for role `CE` of privilege \
         `admin` or `read-write` and without a feature flag, got none in the whole template",
    );
    let empty = SecretsTemplate::parse("t.toml", "profiles = []").unwrap_err().to_string();
    assert_eq!(
        empty,
        "read t.toml, line 1, column 12, key `profiles`: expected at least one profile: \
         [[profiles]], got an empty list"
    );
}

#[test]
fn policies_that_could_be_guessed_are_refused_with_the_numbers() {
    check(
        "length = 25",
        "length = 21",
        "line 18, column 10, key `profiles[1].policy`: expected a policy with 128 bits of entropy \
         or more, got 124.5 bits: 21 characters out of 63",
    );
    check(
        "length = 24",
        "length = 21",
        "line 2, column 1, key `policy`: expected a policy with 128 bits of entropy or more, got \
         126.1 bits: 21 characters out of 65",
    );
    check(
        "\"O0\"",
        "\"0123456789\"",
        "line 18, column 10, key `profiles[1].policy`: expected a policy with 128 bits of entropy \
         or more, got none of class `digit` among 55 characters",
    );
    let error = SecretsTemplate::parse("t.toml", &GOOD.replacen("24", "16", 1)).unwrap_err();
    assert_eq!(error.hint(), Some("set `length` in the policy of `admin` to 22 or more"));
    let enough = SecretsTemplate::parse("t.toml", &GOOD.replacen("24", "22", 1));
    assert!(enough.is_ok());
}

#[test]
fn rules_count_only_the_devices_that_have_the_profile() {
    let template = SecretsTemplate::parse("t.toml", GOOD).unwrap();
    let limits = |platform: &str, length_max| PlatformLimits {
        platform: platform.to_owned(),
        length_min: 8,
        length_max,
        allowed: "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789".to_owned(),
        first_letter_only: false,
        hash_kinds: Vec::new(),
    };
    let (wide, narrow) = (limits("wide", 64), limits("narrow", 8));
    let admin = &template.profiles[0];
    let rules = admin.rules([(DeviceRole::CE, &wide), (DeviceRole::TS, &narrow)]).unwrap();
    assert_eq!((rules.length(), rules.rest().len()), (24, 62));
    let error = admin.rules([(DeviceRole::CE, &wide), (DeviceRole::ToR, &narrow)]).unwrap_err();
    assert!(error.to_string().contains("platform `narrow`"), "{error}");
    assert!(template.check_platforms(std::slice::from_ref(&wide)).is_err());
    let error = template.check_platforms(&[wide, narrow]).unwrap_err().to_string();
    assert_eq!(
        error,
        "fit the password policy of profile `admin` to platform `narrow`: the policy makes 24 \
         characters, the platform takes 8 to 8"
    );
}
