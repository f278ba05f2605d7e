use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use protocol::id::ProfileName;

use super::*;

fn profile(text: &str) -> ProfileName {
    ProfileName::new(text).unwrap()
}

const PASSWORDS: &str = r#"
[profiles]
admin = "Canary-Pass.01"
TelcoRO = 'Canary-Pass.02'

[devices.ce-02]
admin = "Canary-Pass.03"

[devices.ts-01]
TerminalServer = "Canary-\u0050ass.04"
"#;

const PROFILES: [&str; 3] = ["admin", "TelcoRO", "TerminalServer"];

fn passwords(text: &str) -> Result<CurrentPasswords, DocumentError> {
    CurrentPasswords::parse("p.toml", text, &parse(&good()).unwrap(), Some(&PROFILES))
}

#[test]
fn a_devices_own_password_goes_before_the_profiles() {
    let passwords = passwords(PASSWORDS).unwrap();
    let get = |device: &str, user: &str| {
        let password = passwords.get(&name(device), &profile(user));
        password.map(|password| password.expose().to_owned())
    };
    assert_eq!(get("ce-01", "admin").as_deref(), Some("Canary-Pass.01"));
    assert_eq!(get("CE-02", "Admin").as_deref(), Some("Canary-Pass.03"));
    assert_eq!(get("ce-02", "TelcoRO").as_deref(), Some("Canary-Pass.02"));
    assert_eq!(get("ts-01", "TerminalServer").as_deref(), Some("Canary-Pass.04"));
    assert_eq!(get("ce-01", "TerminalServer"), None);
    assert!(!passwords.is_empty());
    assert!(!format!("{passwords:?}").contains("Canary"), "{passwords:?}");
    assert!(CurrentPasswords::default().is_empty());
}

const BROKEN_PASSWORDS: &[(&str, &str, &str)] = &[
    (
        "admin = \"Canary-Pass.01\"",
        "admn = \"Canary-Pass.01\"",
        "line 3, column 1, key `profiles.admn`: expected a user profile of the secrets \
             template, got `admn`; did you mean `admin`?",
    ),
    (
        "[devices.ce-02]",
        "[devices.ce-2]",
        "line 6, column 10, key `devices.ce-2`: expected a device of the inventory, got \
             `ce-2`; did you mean `ce-02`?",
    ),
    (
        "[devices.ce-02]",
        "[devces.ce-02]",
        "line 6, column 2, key `devces`: expected a key of a file of passwords, got `devces`; \
             did you mean `devices`?",
    ),
    (
        "\"Canary-Pass.01\"",
        "\"\"",
        "line 3, column 9, key `profiles.admin`: expected a password: 1 to 256 bytes without \
             control characters, got an empty text",
    ),
    (
        "\"Canary-Pass.01\"",
        "\"Canary\\n\"",
        "line 3, column 9, key `profiles.admin`: expected a password: 1 to 256 bytes without \
             control characters, got a text with a control character in it",
    ),
    (
        "\"Canary-Pass.01\"",
        "[\"Canary\"]",
        "line 3, column 9, key `profiles.admin`: expected a password: 1 to 256 bytes without \
             control characters, got a list",
    ),
    (
        "\"Canary-Pass.01\"",
        "4711",
        "line 3, column 9, key `profiles.admin`: expected a password: 1 to 256 bytes without \
             control characters, got a number",
    ),
    ("\"Canary-Pass.01\"", "Canary-Pass.01", "line 3, column 9: expected TOML, got something else"),
    (
        "\"Canary-Pass.01\"",
        "\"Canary-Pass.01",
        "line 3, column 24: expected TOML, got something else",
    ),
    (
        "TelcoRO =",
        "Admin =",
        "line 4, column 1, key `profiles.Admin`: expected each profile once, got the same \
             name in another case",
    ),
    (
        "[devices.ts-01]",
        "[devices.CE-02]",
        "line 9, column 10, key `devices.CE-02`: expected each device once, got the same name \
             in another case",
    ),
];

#[test]
fn no_error_about_passwords_shows_one() {
    for (from, to, expect) in BROKEN_PASSWORDS {
        assert!(PASSWORDS.contains(*from), "{from}");
        let error = passwords(&PASSWORDS.replacen(*from, to, 1)).unwrap_err();
        assert_eq!(error.to_string(), format!("read p.toml, {expect}"));
        let all = format!("{error} {error:?} {:?}", error.hint());
        assert!(!all.contains("Canary") && !all.contains("4711"), "{all}");
    }
    let long = PASSWORDS.replacen("Canary-Pass.01", &"x".repeat(257), 1);
    assert!(passwords(&long).unwrap_err().to_string().ends_with("got a longer text"));
}

#[test]
fn a_file_that_others_may_use_is_refused_with_the_mend() {
    let inventory = parse(&good()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("passwords.toml");
    std::fs::write(&path, PASSWORDS).unwrap();
    for mode in [0o644, 0o640, 0o620, 0o601, 0o666] {
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = CurrentPasswords::load(&path, &inventory, None).unwrap_err();
        let expect = format!(
            "read passwords from {}: others than its owner may use the file (mode {mode:04o}, \
             expected 0600)",
            path.display()
        );
        assert_eq!(error.to_string(), expect);
        let hint = error.hint().unwrap();
        assert!(hint.contains(&format!("`chmod 600 {}`", path.display())), "{hint}");
    }
    for mode in [0o600, 0o400] {
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let passwords = CurrentPasswords::load(&path, &inventory, Some(&PROFILES)).unwrap();
        assert!(passwords.get(&name("ce-01"), &profile("admin")).is_some());
    }
}

#[test]
fn passwords_are_read_from_standard_input() {
    let inventory = parse(&good()).unwrap();
    // A reader that gives little at a time, as a pipe does.
    let slow = PASSWORDS.as_bytes().chunks(3).map(std::io::Cursor::new);
    let slow = slow.fold(Box::new(std::io::empty()) as Box<dyn std::io::Read>, |all, next| {
        Box::new(std::io::Read::chain(all, next))
    });
    let passwords = CurrentPasswords::read(slow, &inventory, Some(&PROFILES)).unwrap();
    assert!(passwords.get(&name("ce-01"), &profile("admin")).is_some());
    let error = CurrentPasswords::read(&b"x"[..], &inventory, None).unwrap_err().to_string();
    assert_eq!(error, "read standard input, line 1, column 2: expected TOML, got something else");
    let endless = std::io::repeat(b'#');
    let error = CurrentPasswords::read(endless, &inventory, None).unwrap_err().to_string();
    assert_eq!(error, "read standard input: it has more than 16777216 bytes");
    let big = "#".repeat(3 << 20) + "\n" + PASSWORDS;
    assert!(CurrentPasswords::read(big.as_bytes(), &inventory, None).is_ok());
}
