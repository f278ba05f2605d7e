//! Platform files: what they say, and how a wrong one is refused.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of a test panic as the test itself does"
)]

use agent::platform::{
    Filling, OperationKind, Platform, PlatformError, Platforms, Slot, SlotError, Template, rows,
};
use zeroize::Zeroizing;

const EOS: &str = include_str!("../platforms/arista-eos.toml");

#[test]
fn every_mode_reaches_every_mode_that_an_operation_starts_in() {
    for platform in Platforms::built_in().unwrap().iter() {
        for kind in [OperationKind::ReadHashes, OperationKind::SetPasswords, OperationKind::Logout]
        {
            let operation = platform.operation(kind).expect("a required operation");
            let Some(goal) = operation.mode else { continue };
            for (from, mode) in platform.modes_with_ids() {
                assert!(platform.way(from, goal).is_some(), "{}: {}", platform.name, mode.name);
            }
        }
    }
}

#[test]
fn every_known_prompt_belongs_to_exactly_one_mode_and_other_lines_to_none() {
    let platforms = Platforms::built_in().unwrap();
    let check = |platform: &str, line: &str, expect: Option<&str>| {
        let platform = platforms.find(platform).unwrap();
        let mode = platform.mode_of_prompt(line.as_bytes()).and_then(|id| platform.mode(id));
        assert_eq!(mode.map(|mode| mode.name.as_str()), expect, "{line}");
    };
    let eos = |line, expect| check("arista-eos", line, expect);
    eos("eos1>", Some("exec"));
    eos("eos1#", Some("privileged"));
    eos("eos1# ", Some("privileged"));
    eos("loc1-core01(s1)#", Some("privileged"));
    eos("loc1-core01(s2)#", Some("privileged"));
    eos("eos1(config)#", Some("configure"));
    eos("eos1(config-if-Et1)#", Some("configure"));
    eos("localhost(config-s-exampl)#", Some("session"));
    eos("localhost(some thing)(config-s-tacocat)#", Some("session"));
    eos("DUT.02:03:38(config-s-topoas-if-Et4.4019)#", Some("session"));
    eos("eos_switch(config-s-scrapl-qos-profile-CORE-EGRESS-QUEUING-txq-5)#", Some("session"));
    eos("localhost(config-s-sc-sg-tacacs+-my_group)#", Some("session"));
    eos("[admin@eos1 ~]$ ", Some("shell"));
    for line in [
        "<redacted>",
        "slot#2 busy",
        "Password: ",
        "",
        "% Invalid input",
        "! warning",
        "username a secret sha512 $6$x$y#",
        "--More--",
    ] {
        eos(line, None);
    }
    check("opengear", "# ", Some("root"));
    check("opengear", "$ ", Some("user"));
    check("opengear", "root@acm7004:~# ", Some("root"));
    check("opengear", "config.users.user1.username root", None);
    check("linux", "opadmin@vm:~$ ", Some("user"));
    check("linux", "cumulus@cumulus:mgmt:~$ ", Some("user"));
    check("linux", "root@cumulus:mgmt:~# ", Some("root"));
    check("linux", "vm login: ", None);
}

#[test]
fn rows_are_read_as_devices_write_them() {
    let platforms = Platforms::built_in().unwrap();
    let read = |platform: &str, kind, text: &str| {
        let platform = platforms.find(platform).unwrap();
        let operation = platform.operation(kind).unwrap();
        let found = rows(&operation.rows, text).into_iter().map(|row| {
            let hash =
                if row.nopassword { "nopassword".to_owned() } else { row.hash.unwrap_or_default() };
            let user = row.user.or(row.session).or(row.index).unwrap_or_default();
            let own = if row.own { "*" } else { "" };
            format!("{own}{user}|{}|{hash}", row.attributes.unwrap_or_default())
        });
        found.collect::<Vec<_>>()
    };
    let users = "!\nusername admin role network-admin secret sha512 $6$z$h\n\
        username vagrant privilege 15 role network-admin secret 5 $1$l$w\n\
        username arista privilege 15 role network-admin shell /bin/bash secret sha512 $6$a$b\n\
        username cvpadmin ssh-key ssh-rsa AAAA x@y\nusername open privilege 1 nopassword\nend";
    assert_eq!(
        read("arista-eos", OperationKind::ReadHashes, users),
        [
            "admin| role network-admin|$6$z$h",
            "vagrant| privilege 15 role network-admin|$1$l$w",
            "open| privilege 1|nopassword",
            "arista| privilege 15 role network-admin shell /bin/bash|$6$a$b",
        ]
    );
    let before_4_32 = "{\n \"sessions\": {\n  \"kt-1\": {\n   \"state\": \"pendingCommitTimer\",\n   \
        \"instances\": {}\n  },\n  \"kt-2\": {\n   \"instances\": {},\n   \"state\": \"pending\"\n  },\n  \
        \"job\": {\n   \"state\": \"completed\"\n  }\n },\n \"maxOpenSessions\": 5\n}";
    let pending = read("arista-eos", OperationKind::Pending, before_4_32);
    assert!(pending.contains(&"kt-1||".to_owned()), "{pending:?}");
    assert!(!pending.contains(&"job||".to_owned()), "{pending:?}");
    let from_4_32 = "{\"commitTimerSessionName\": \"kt-3\", \"commitTimerExpireTime\": 12.5, \
        \"sessions\": {\"kt-3\": {\"state\": \"committed\"}}}";
    assert_eq!(read("arista-eos", OperationKind::Pending, from_4_32), ["kt-3||"]);
    let who = "    Line      User        Host(s)       Idle        Location\n   \
        1 con 0    admin       idle      00:03:11  -\n*  2 vty 3    admin   idle 00:00:00 10.0.0.1";
    assert_eq!(read("arista-eos", OperationKind::Sessions, who), ["admin||", "*admin||"]);
    let index =
        "config.users.total 2\nconfig.users.user1.username root\nconfig.users.user2.username op";
    let platform = platforms.find("opengear").unwrap();
    let found = rows(&platform.operation(OperationKind::Index).unwrap().rows, index);
    assert_eq!(found.len(), 2);
    assert_eq!(found[1].index.as_deref(), Some("2"));
    let shadow =
        "root:*:19000:0:99999:7:::\nopadmin:$6$s$h:20000:0:99999:7:::\nopen::1:0:99999:7:::";
    assert_eq!(
        read("linux", OperationKind::ReadHashes, shadow),
        ["root||*", "opadmin||$6$s$h", "open||"]
    );
}

/// Breaks the EOS file in one place and expects the refusal.
fn check(from: &str, to: &str, line_has: &str, key: &str, expect: &str, hint: Option<&str>) {
    assert!(EOS.contains(from), "{from}");
    let text = EOS.replacen(from, to, 1);
    let error = Platform::parse("site.toml", &text).expect_err("a wrong file is refused");
    let PlatformError::File { file, line, key: found, expected, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(file, "site.toml");
    let content = text.lines().nth(line - 1).unwrap_or_default();
    assert!(content.contains(line_has), "line {line} is `{content}`: {error}");
    assert_eq!(found, key, "{error}");
    assert!(expected.contains(expect), "{error}");
    let hint_given = error.hint();
    match hint {
        Some(name) => assert_eq!(hint_given, Some(format!("did you mean `{name}`?")), "{error}"),
        None => assert!(hint_given.is_none(), "{hint_given:?}"),
    }
}

#[test]
fn a_wrong_file_is_refused_with_line_key_and_the_nearest_right_name() {
    check("pipeline = true", "pipelin = true", "pipelin", "pipelin", "pipeline", Some("pipeline"));
    check("exclude = [\"(config\"]", "exlude = []", "exlude", "exlude", "exclude", Some("exclude"));
    check(
        "{new:sha512-crypt}",
        "{new:sha512crypt}",
        "sha512crypt",
        "send",
        "nearest is `{new:sha512-crypt}`",
        Some("{new:sha512-crypt}"),
    );
    check(
        "send = \"configure session {session}\", to = \"session\"",
        "send = \"configure session {session}\", to = \"sesion\"",
        "sesion",
        "mode",
        "unknown name `sesion`",
        Some("session"),
    );
    check(
        "[operations.save]",
        "[operations.safe]",
        "safe",
        "operations.safe",
        "expected one of",
        Some("save"),
    );
}

#[test]
fn a_wrong_value_or_pattern_is_refused_with_what_was_expected() {
    check("settle = \"200ms\"", "settle = 200", "settle", "settle", "expected a string", None);
    check("settle = \"200ms\"", "settle = \"200\"", "settle", "settle", "duration", None);
    check("each = true", "each = false", "username {user}", "send", "needs `each = true`", None);
    check(
        "prompt = '^(?P<host>[\\w.\\-@()/: ]{1,63})> ?$'",
        "prompt = '^(['",
        "prompt = '^(['",
        "prompt",
        "byte pattern",
        None,
    );
    check("exact = '^{host}>'", "exact = '>'", "exact = '>'", "exact", "`^{host}`", None);
    check(
        "(?P<session>[\\w.\\-]+)\":\\s*\\{",
        "(?P<sesion>[\\w.\\-]+)\":\\s*\\{",
        "sesion",
        "rows",
        "unknown name `sesion`",
        Some("session"),
    );
    check(
        "\"aes256-cbc\"",
        "\"aes256cbc\"",
        "aes256cbc",
        "ciphers",
        "aes256-cbc",
        Some("aes256-cbc"),
    );
    check(
        ", commits = true, time-max = \"60s\" },\n]",
        " },\n]",
        "operations.set-passwords",
        "set-passwords",
        "commits = true",
        None,
    );
    check("scope = \"user\"", "scope = \"users\"", "lockout", "lockout", "user", Some("user"));
    check(
        "secret sha512 {new:sha512-crypt}",
        "secret 0 {new}",
        "secret 0",
        "send",
        "in the clear",
        None,
    );
    check("from = \"exec\"", "from = \"shell\"", "", "edges", "from `exec` to `privileged`", None);
}

#[test]
fn a_site_file_replaces_a_platform_of_the_same_name_and_says_so() {
    let mut platforms = Platforms::built_in().unwrap();
    let site = EOS.replace("settle = \"200ms\"", "settle = \"1s\"");
    assert_eq!(platforms.take("site.toml", &site).unwrap().as_deref(), Some("arista-eos.toml"));
    assert_eq!(platforms.find("arista-eos").unwrap().file, "site.toml");
    let other = EOS.replace("name = \"arista-eos\"", "name = \"arista-other\"");
    assert_eq!(platforms.take("other.toml", &other).unwrap(), None);
    assert!(platforms.take("bad.toml", "name = 1").is_err());
    let unknown = platforms.find("arista_eos").unwrap_err();
    assert_eq!(unknown.hint().as_deref(), Some("did you mean `arista-eos`?"));
}

struct Values;

impl Filling for Values {
    fn value(&self, slot: Slot) -> Option<Zeroizing<String>> {
        let value = match slot {
            Slot::User => "opadmin",
            Slot::Attributes => " privilege 15",
            Slot::Session => "two\nlines",
            _ => return None,
        };
        Some(Zeroizing::new(value.to_owned()))
    }
}

#[test]
fn slots_are_filled_and_other_braces_are_text() {
    let fill =
        |text: &str| Template::parse(text).unwrap().fill(&Values).map(|line| line.to_string());
    assert_eq!(fill("username {user}{attributes}").unwrap(), "username opadmin privilege 15");
    assert_eq!(fill("{ if {user}; }").unwrap(), "{ if opadmin; }");
    assert_eq!(fill("awk '{print $1}'").unwrap(), "awk '{print $1}'");
    assert_eq!(fill("{enable}").unwrap_err(), SlotError::Missing("enable"));
    assert_eq!(fill("{session}").unwrap_err(), SlotError::ControlCharacter("session"));
    let error = Template::parse("{usr}").unwrap_err();
    assert!(error.contains("nearest is `{user}`"), "{error}");
}
