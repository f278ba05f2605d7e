use super::*;

#[test]
fn unknown_keys_are_refused_with_the_nearest_right_one() {
    check(
        "[fabric]",
        "[fabrics]",
        "line 2, column 2, key `fabrics`: expected a key of an inventory, got `fabrics`; did you \
         mean `fabric`?",
    );
    check(
        "location",
        "locatoin",
        "line 4, column 1, key `fabric.locatoin`: expected a key of a fabric, got `locatoin`; did \
         you mean `location`?",
    );
    check(
        "serial-number",
        "serial_number",
        "line 12, column 1, key `devices[0].serial_number`: expected a key of a device, got \
         `serial_number`; did you mean `serial-number`?",
    );
    check(
        "baud",
        "bauds",
        "line 31, column 35, key `devices[2].serial.bauds`: expected a key of a serial path, got \
         `bauds`; did you mean `baud`?",
    );
    check(
        "{ terminal-server",
        "{ server",
        "line 15, column 13, key `devices[0].console.server`: expected a key of a console path, \
         got `server`",
    );
    check(
        "failures-max",
        "failure-max",
        "line 33, column 13, key `devices[2].lockout.failure-max`: expected a key of a lockout \
         policy, got `failure-max`; did you mean `failures-max`?",
    );
    let error = check(
        "host-key",
        "hostkey",
        "line 14, column 46, key `devices[0].ssh.hostkey`: expected a key of an SSH path, got \
         `hostkey`; did you mean `host-key`?",
    );
    assert_eq!(error.hint(), Some("use one of `address`, `port`, `host-key`"));
}

const WRONG_VALUES: &[(&str, &str, &str)] = &[
    (
        "\"local\"",
        "\"\"",
        "line 4, column 12, key `fabric.location`: expected a location of 1 to 64 characters, got \
         ``",
    ),
    (
        "\"true\"",
        "true",
        "line 5, column 35, key `fabric.feature-flags.\"MethodDv1.5\"`: expected a flag's value \
         in quotes, as in \"true\", got true",
    ),
    (
        "= \"true\"",
        "= \"true\", methoddv1 = { 5 = \"x\" }",
        "line 5, column 55, key `fabric.feature-flags.methoddv1`: expected a flag's value in \
         quotes, as in \"true\", got a table",
    ),
    (
        "\"ce-01\"",
        "\"1\"",
        "line 9, column 8, key `devices[0].name`: expected a device's name: 3 to 128 letters, \
         digits, `-` and `_`, a letter first, got `1`",
    ),
    (
        "\"CE\"",
        "\"ce\"",
        "line 10, column 8, key `devices[0].role`: expected a device role, got `ce`; did you mean \
         `CE`?",
    ),
    (
        "Arista;DCS-7280PR3-24;12.05;SIM0001",
        "SIM0001",
        "line 12, column 17, key `devices[0].serial-number`: expected \
         `Make;Model;HardwareRevisionId;SerialNumber`, got `SIM0001`",
    ),
    (
        "\"ce-a\"",
        "\" \"",
        "line 13, column 20, key `devices[0].redundancy-group`: expected a group's name of 1 to \
         64 characters, got ` `",
    ),
    (
        "\"127.0.0.1\"",
        "\"127.0.0.256\"",
        "line 14, column 19, key `devices[0].ssh.address`: expected a host name or an IP address, \
         got `127.0.0.256`",
    ),
    (
        "\"127.0.0.1\"",
        "\"-oProxyCommand=x\"",
        "line 14, column 19, key `devices[0].ssh.address`: expected a host name or an IP address, \
         got `-oProxyCommand=x`",
    ),
    (
        "40001",
        "0",
        "line 14, column 39, key `devices[0].ssh.port`: expected a TCP port, 1 to 65535, got 0",
    ),
    (
        "40001",
        "\"40001\"",
        "line 14, column 39, key `devices[0].ssh.port`: expected a TCP port, 1 to 65535, got \
         `40001`",
    ),
    (
        "\"port01\"",
        "\"a:b\"",
        "line 15, column 47, key `devices[0].console.port`: expected the line's name on the \
         terminal server: 1 to 32 letters, digits, `_`, `-` and `.`, got `a:b`",
    ),
    (
        "115200",
        "1",
        "line 31, column 42, key `devices[2].serial.baud`: expected bits per second, 300 to \
         4000000, got 1",
    ),
    (
        "\"serial/ts-01\"",
        "\"\"",
        "line 31, column 19, key `devices[2].serial.path`: expected the line's device file, got ``",
    ),
    (
        "[\"serial\", \"ssh\"]",
        "[]",
        "line 32, column 9, key `devices[2].paths`: expected at least one way: ssh, serial or \
         console, got a list",
    ),
    (
        "\"serial\", \"ssh\"",
        "\"serial\", \"shs\"",
        "line 32, column 20, key `devices[2].paths[1]`: expected a way to the device, got `shs`; \
         did you mean `ssh`?",
    ),
    (
        "failures-max = 3",
        "failures-max = 0",
        "line 33, column 28, key `devices[2].lockout.failures-max`: expected refused logins, 1 to \
         255, got 0",
    ),
    (
        "\"15m\"",
        "900",
        "line 33, column 40, key `devices[2].lockout.window`: expected a duration: a whole number \
         with its unit (ms, s, m, h, d), as in \"90s\", got 900",
    ),
    (
        "\"15m\"",
        "\"0s\"",
        "line 33, column 40, key `devices[2].lockout.window`: expected more than 0s, at most 30d, \
         got `0ms`",
    ),
    (
        "role = \"TS\"\n",
        "",
        "line 25, column 1, key `devices[2].role`: expected the device's role: CE, ToR, NPB, \
         Management or TS, got nothing: the key is missing",
    ),
];

#[test]
fn wrong_values_are_refused_with_what_was_expected_and_got() {
    let error = parse(&good().replacen("networkFabrics", "networkDevices", 1)).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("key `fabric.id`: expected the fabric's ARM id: /sub"), "{error}");
    assert!(error.contains("/networkFabrics/<name>, got `/subscriptions/"), "{error}");
    for (from, to, expect) in WRONG_VALUES {
        check(from, to, expect);
    }
}

#[test]
fn host_keys_that_could_not_match_are_refused() {
    let at = "line 22, column 51, key `devices[1].ssh.host-key`:";
    let expected = "expected a host key in one line, as `ssh-keyscan` prints it after the \
                    address: its kind and base64, got";
    let quoted = format!("\"{KEY}\" }}\nconsole");
    let with = |key: &str| format!("\"{key}\" }}\nconsole");
    check(&quoted, &with("ssh-ed25519"), &format!("{at} {expected} `ssh-ed25519`"));
    check(
        &quoted,
        &with("ssh-ed25519 !"),
        &format!("{at} {expected} something else than base64 after the kind"),
    );
    check(
        &quoted,
        &with("ssh-ed25519 AAAAB3NzaC1yc2EAAAADAQAB"),
        &format!("{at} {expected} a key of kind `ssh-rsa`"),
    );
    check(
        &quoted,
        &with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5"),
        &format!("{at} {expected} a key that is cut off"),
    );
    check(&quoted, &with("ssh-ed25519 AAAA"), &format!("{at} {expected} a key that is cut off"));
    check(
        &quoted,
        &with("ssh-ed25518 AAAA"),
        &format!(
            "{at} expected a known kind of host key, got `ssh-ed25518`; did you mean \
             `ssh-ed25519`?"
        ),
    );
}

#[test]
fn names_of_nothing_are_refused_with_the_nearest() {
    let error = check(
        "\"arista-eos\"",
        "\"arista\"",
        "line 11, column 12, key `devices[0].platform`: expected a known platform, got `arista`; \
         did you mean `arista-eos`?",
    );
    assert_eq!(error.hint(), Some("use one of `arista-eos`, `opengear`, `linux`"));
    check(
        "\"TS-01\"",
        "\"ts-02\"",
        "line 15, column 31, key `devices[0].console.terminal-server`: expected a device of this \
         inventory with role TS, got `ts-02`; did you mean `ts-01`?",
    );
    check(
        "\"TS-01\"",
        "\"ce-02\"",
        "line 15, column 31, key `devices[0].console.terminal-server`: expected a device of this \
         inventory with role TS, got `ce-02`",
    );
}

#[test]
fn ways_that_lead_nowhere_are_refused() {
    let ssh = format!("ssh = {{ address = \"::1\", port = 40003, host-key = \"{KEY}\" }}\n");
    let paths = "paths = [\"serial\", \"ssh\"]\n";
    let error = parse(&good().replace(&ssh, "").replace(paths, "")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "read fabric.toml, line 15, column 31, key `devices[0].console.terminal-server`: expected \
         a terminal server with an `ssh` path, got `TS-01`, which has none"
    );
    check(
        "[\"serial\", \"ssh\"]",
        "[\"console\"]",
        "line 32, column 9, key `devices[2].paths`: expected ways that the device has: the key \
         `console`, got nothing: the key is missing",
    );
    check(
        "[\"serial\", \"ssh\"]",
        "[\"serial\", \"serial\"]",
        "line 32, column 9, key `devices[2].paths`: expected each way once, got `serial` twice",
    );
    let serial = "serial = { path = \"serial/ts-01\", baud = 115200 }\n";
    let own = "console = { terminal-server = \"ts-01\", port = \"port09\" }\n";
    check(
        serial,
        &format!("{serial}{own}"),
        "line 32, column 31, key `devices[2].console.terminal-server`: expected another device \
         with role TS, got `ts-01`, the device itself",
    );
    let none = good().replace(&ssh, "").replace(serial, "").replace(paths, "");
    let devices =
        none.replace("console = { terminal-server = \"TS-01\", port = \"port01\" }\n", "");
    let devices =
        devices.replace("console = { terminal-server = \"ts-01\", port = \"port02\" }\n", "");
    let error = parse(&devices).unwrap_err();
    assert_eq!(
        error.to_string(),
        "read fabric.toml, line 23, column 1, key `devices[2]`: expected at least one way to the \
         device: `ssh`, `serial` or `console`, got none"
    );
    let error = parse(&devices.replace("lockout", &format!("{own}lockout"))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "read fabric.toml, line 23, column 1, key `devices[2]`: expected a way to the terminal \
         server that needs no other: `ssh` or `serial`, got `console` only"
    );
}

#[test]
fn what_may_belong_to_one_device_only_is_refused_twice() {
    check(
        "\"ce-02\"",
        "\"CE-01\"",
        "line 18, column 8, key `devices[1].name`: expected a name that no other device has, got \
         `ce-01`, as devices[0] (`ce-01`)",
    );
    check(
        "\"ce-02.lab.example\"",
        "\"127.0.0.1\", port = 40001",
        "line 22, column 19, key `devices[1].ssh.address`: expected an address and port that no \
         other device has, got `127.0.0.1 port 40001`, as devices[0] (`ce-01`)",
    );
    check(
        "\"ce-02.lab.example\"",
        "\"::ffff:127.0.0.1\", port = 40001",
        "line 22, column 19, key `devices[1].ssh.address`: expected an address and port that no \
         other device has, got `127.0.0.1 port 40001`, as devices[0] (`ce-01`)",
    );
    check(
        "\"port02\"",
        "\"PORT01\"",
        "line 23, column 47, key `devices[1].console.port`: expected a line that no other device \
         has, got `port01 of ts-01`, as devices[0] (`ce-01`)",
    );
    let serial = "console = { terminal-server = \"ts-01\", port = \"port02\" }";
    check(
        serial,
        "serial = { path = \"serial/ts-01\" }",
        "line 31, column 19, key `devices[2].serial.path`: expected a line that no other device \
         has, got `/lab/serial/ts-01`, as devices[1] (`ce-02`)",
    );
}

#[test]
fn an_inventory_without_devices_is_refused() {
    let head = good().split("[[devices]]").next().unwrap().to_owned();
    let error = parse(&head).unwrap_err().to_string();
    assert_eq!(
        error,
        "read fabric.toml, line 1, column 1, key `devices`: expected at least one device: \
         [[devices]], got nothing: the key is missing"
    );
    let error = parse(&format!("devices = []\n{head}")).unwrap_err().to_string();
    assert_eq!(
        error,
        "read fabric.toml, line 1, column 11, key `devices`: expected at least one device: \
         [[devices]], got an empty list"
    );
}
