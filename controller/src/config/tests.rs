use super::*;

mod access;
mod archive;
mod hashicorp;
mod key_vault;
mod kubernetes;
mod oidc;
mod secrets;
mod vault;

const BASE: &str = "/etc/keyturn";

fn parse(text: &str) -> Result<Config, String> {
    let config = Config::parse("keyturn.toml", Path::new(BASE), text, &Flags::default());
    config.map_err(|error| error.to_string())
}

fn check(text: &str, expect: &str) {
    assert_eq!(parse(text), Err(format!("read keyturn.toml, {expect}")), "{text}");
}

#[test]
fn without_a_file_everything_has_a_default() {
    let config = Config::without_file(&Flags::default());
    assert_eq!(config, Config { data_dir: "keyturn-data".into(), ..parse("").unwrap() });
    insta::assert_snapshot!(config.effective(Path::new("/work-dir")), @r#"
    listen = "127.0.0.1:7443"
    data-dir = "/work-dir/keyturn-data"
    # secrets-template = "…"   # the built-in template

    [store]
    path = "/work-dir/keyturn-data/store.db"

    [vault]
    path = "/work-dir/keyturn-data/vault.db"
    # key-file = "…"   # the systemd credential, else vault.key in the data directory
    # passphrase-file = "…"   # the systemd credential, else asked for, if the key takes one
    retention-versions-min = 10
    retention-time = "90d"

    [rotation]
    password-sets-max = 3
    device-timeout = "90s"
    quiet-time = "30s"
    commit-timer = "5m"
    canary = true
    wave-growth = 4
    wave-max = 1000
    halt-failures-min = 3
    halt-failures-percent = 34
    retries-max = 2
    retry-backoff = "2s"
    verification = "readback+login"

    [agent]
    sessions-max = 4096
    # platforms-dir = "…"   # the built-in platforms only

    [secrets]
    # dir = "…"   # no local secrets
    poll = "5m"
    vault-suffix = "vault.azure.net"
    # resource = "…"   # what a vault says
    # authority = "…"   # AZURE_AUTHORITY_HOST, else the public cloud
    # ca-file = "…"   # the system's authorities
    # address = "…"   # what names resolve to

    # [tls]   # a certificate of Keyturn's own authority

    # [[access.oidc]]   # local tokens only

    # [edge.key-vault]   # not served

    [archive]
    identity = "managed-identity"
    "#);
}

const FULL: &str = r#"
listen = "[::]:8443"
data-dir = "data"
secrets-template = "/srv/we\"ird.toml"

[store]
path = "journal.db"

[vault]
path = "/secret/vault.db"
key-file = "keys/vault.key"
passphrase-file = "keys/passphrase"

[rotation]
password-sets-max = 5
device-timeout = "120s"
quiet-time = "121s"
commit-timer = "10m"
canary = false
wave-growth = 10
wave-max = 50
halt-failures-min = 3
halt-failures-percent = 100
retries-max = 0
retry-backoff = "1500ms"
verification = "login-all"

[agent]
sessions-max = 40
platforms-dir = "platforms"
"#;

#[test]
fn a_file_is_read_with_paths_relative_to_it() {
    let config = parse(FULL).unwrap();
    assert_eq!(config.listen, "[::]:8443".parse().unwrap());
    assert_eq!(config.data_dir, Path::new("/etc/keyturn/data"));
    assert_eq!(config.secrets_template.as_deref(), Some(Path::new("/srv/we\"ird.toml")));
    assert_eq!(config.store.path, Path::new("/etc/keyturn/journal.db"));
    assert_eq!(config.vault.path, Path::new("/secret/vault.db"));
    let keys = Path::new("/etc/keyturn/keys");
    assert_eq!(config.vault.key_file, Some(keys.join("vault.key")));
    assert_eq!(config.vault.passphrase_file, Some(keys.join("passphrase")));
    assert_eq!(config.agent.platforms_dir.as_deref(), Some(Path::new("/etc/keyturn/platforms")));
    assert_eq!(config.agent.sessions_max, 40);
    let expect = RotationConfig {
        password_sets_max: 5,
        device_timeout: Duration::from_secs(120),
        quiet_time: Duration::from_secs(121),
        commit_timer: Duration::from_secs(600),
        canary: false,
        wave_growth: 10,
        wave_max: 50,
        halt_failures_min: 3,
        halt_failures_percent: 100,
        retries_max: 0,
        retry_backoff: Duration::from_millis(1_500),
        verification: Verification::LoginAll,
    };
    assert_eq!(config.rotation, expect);
}

#[test]
fn the_effective_configuration_reads_the_same_again() {
    for text in ["", FULL, "[rotation]\ndevice-timeout = \"200s\""] {
        let config = parse(text).unwrap();
        let again = parse(&config.effective(Path::new("/elsewhere"))).unwrap();
        let place = |path: &Path| Path::new("/elsewhere").join(path);
        assert_eq!(again.data_dir, place(&config.data_dir));
        assert_eq!(again.store.path, place(&config.store.path));
        assert_eq!((&again.rotation, &again.agent), (&config.rotation, &config.agent));
        assert_eq!(again.effective(Path::new("/third")), config.effective(Path::new("/elsewhere")));
    }
}

#[test]
fn flags_go_before_the_file() {
    let flags =
        Flags { data_dir: Some("here".into()), listen: Some("127.0.0.1:0".parse().unwrap()) };
    let config = Config::parse("f", Path::new(BASE), "data-dir = \"there\"", &flags).unwrap();
    assert_eq!(config.data_dir, Path::new("here"));
    assert_eq!(config.store.path, Path::new("here/store.db"));
    assert_eq!(config.listen.port(), 0);
}

#[test]
fn times_that_depend_on_the_device_timeout_follow_it() {
    let rotation = parse("[rotation]\ndevice-timeout = \"200s\"").unwrap().rotation;
    assert_eq!(rotation.commit_timer, Duration::from_secs(400));
    check(
        "[rotation]\nquiet-time = \"900ms\"",
        "line 2, column 14, key `rotation.quiet-time`: expected a duration, 1s to 1h, got `900ms`",
    );
    check(
        "[rotation]\ncommit-timer = \"1m\"",
        "line 2, column 16, key `rotation.commit-timer`: expected more than `device-timeout`, \
         which is 90s, got `1m`",
    );
    check(
        "[rotation]\ncommit-timer = \"5m\"\ndevice-timeout = \"10m\"",
        "line 2, column 16, key `rotation.commit-timer`: expected more than `device-timeout`, \
         which is 10m, got `5m`",
    );
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_right_one() {
    check(
        "listne = \"\"",
        "line 1, column 1, key `listne`: expected a key of the configuration, got `listne`; did \
         you mean `listen`?",
    );
    check(
        "data_dir = \"\"",
        "line 1, column 1, key `data_dir`: expected a key of the configuration, got `data_dir`; \
         did you mean `data-dir`?",
    );
    check(
        "[rotation]\nwave-size = 3",
        "line 2, column 1, key `rotation.wave-size`: expected a key of [rotation], got \
         `wave-size`; did you mean `wave-max`?",
    );
    check(
        "[vault]\nkey = \"x\"",
        "line 2, column 1, key `vault.key`: expected a key of [vault], got `key`; did you mean \
         `key-file`?",
    );
    check(
        "[store]\nfile = \"x\"",
        "line 2, column 1, key `store.file`: expected a key of [store], got `file`",
    );
    check(
        "[agent]\nsession-max = 3",
        "line 2, column 1, key `agent.session-max`: expected a key of [agent], got `session-max`; \
         did you mean `sessions-max`?",
    );
}

const OUT_OF_BOUNDS: &[(&str, &str, &str, &str)] = &[
    ("password-sets-max = 1", "21", "password sets, 2 to 10", "1"),
    ("password-sets-max = \"3\"", "21", "password sets, 2 to 10", "`3`"),
    ("device-timeout = \"1s\"", "18", "a duration, 5s to 1h", "`1s`"),
    (
        "device-timeout = 90",
        "18",
        "a duration: a whole number with its unit (ms, s, m, h, d), as in \"90s\"",
        "90",
    ),
    (
        "device-timeout = \"90\"",
        "18",
        "a duration: a whole number with its unit (ms, s, m, h, d), as in \"90s\"",
        "`90`",
    ),
    ("canary = \"yes\"", "10", "true or false", "`yes`"),
    ("wave-growth = 1", "15", "a factor, 2 to 100", "1"),
    ("wave-max = 0", "12", "devices, 1 to 1000000", "0"),
    ("halt-failures-percent = 101", "25", "percent, 1 to 100", "101"),
    ("halt-failures-min = -1", "21", "devices, 1 to 1000000", "-1"),
    ("retries-max = 11", "15", "retries, 0 to 10", "11"),
    ("retry-backoff = \"1ms\"", "17", "a duration, 100ms to 10m", "`1ms`"),
    (
        "verification = \"login\"",
        "16",
        "a kind of verification",
        "`login`; did you mean `login-all`?",
    ),
];

#[test]
fn values_out_of_bounds_are_refused_with_the_bounds() {
    for (line, column, expected, got) in OUT_OF_BOUNDS {
        let key = line.split(' ').next().unwrap();
        check(
            &format!("[rotation]\n{line}"),
            &format!(
                "line 2, column {column}, key `rotation.{key}`: expected {expected}, got {got}"
            ),
        );
    }
    check(
        "listen = \"7443\"",
        "line 1, column 10, key `listen`: expected an IP address and a port, as in \
         \"127.0.0.1:7443\" or \"[::]:7443\", got `7443`",
    );
    check(
        "data-dir = \"\"",
        "line 1, column 12, key `data-dir`: expected the path of a folder, got ``",
    );
    check(
        "[agent]\nsessions-max = 1",
        "line 2, column 16, key `agent.sessions-max`: expected sessions, 2 to 10000, got 1",
    );
    check("store = 3", "line 1, column 9, key `store`: expected a table: [store], got 3");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Path::new("/nowhere/keyturn.toml"), &Flags::default()).unwrap_err();
    assert_eq!(error.to_string(), "read the configuration from /nowhere/keyturn.toml");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keyturn.toml");
    std::fs::write(&path, "data-dir = \"data\"\nlisten = 1\n").unwrap();
    let error = Config::load(&path, &Flags::default()).unwrap_err();
    assert!(error.to_string().contains("line 2, column 10, key `listen`"), "{error}");
    std::fs::write(&path, "data-dir = \"data\"\n").unwrap();
    let config = Config::load(&path, &Flags::default()).unwrap();
    assert_eq!(config.data_dir, dir.path().join("data"));
}
