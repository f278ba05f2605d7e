//! Broken files: the inventory, the configuration, the secrets template, a platform.

use harness::simulated::Simulated;
use harness::site::Site;

use super::{adopt, everything_known, expect_unsaid, file};

/// The template and a platform file as they ship.
const TEMPLATE: &str = include_str!("../../../controller/templates/default.toml");
const PLATFORM: &str = include_str!("../../../agent/platforms/linux.toml");

/// One thing wrong: a text, what stands there instead, and what must be said besides the line.
type Flaw = (&'static str, &'static str, &'static [&'static str]);

const INVENTORY: &[Flaw] = &[
    ("serial-number", "serial-nummer", &["serial-nummer", "did you mean `serial-number`?"]),
    ("\"arista-eos\"", "\"arista-eso\"", &["platform", "did you mean `arista-eos`?"]),
    ("role = \"CE\"", "role = \"CEE\"", &["role", "did you mean `CE`?"]),
    ("\"ts-01\", port", "\"ts-1\", port", &["terminal-server", "did you mean `ts-01`?"]),
    ("127.0.0.1", "127.0.0.1:22", &["address", "a host name or an IP address"]),
    ("ssh-ed25519 ", "ssh-ed25519", &["host-key"]),
    ("feature-flags", "feature-flag", &["feature-flag", "did you mean `feature-flags`?"]),
    ("[fabric]", "[fabric", &[]),
];

const CONFIG: &str = "listen = \"127.0.0.1:0\"\n\n[rotation]\ndevice-timeout = \"90s\"\n";

const CONFIGURATION: &[Flaw] = &[
    ("device-timeout", "device-timout", &["device-timout", "did you mean `device-timeout`?"]),
    ("\"90s\"", "90", &["rotation.device-timeout", "got 90"]),
    ("\"90s\"", "\"90\"", &["rotation.device-timeout"]),
    ("\"90s\"", "\"2h\"", &["rotation.device-timeout", "5s to 1h"]),
    ("127.0.0.1:0", "localhost", &["listen", "an IP address and a port"]),
    ("[rotation]", "[rotations]", &["rotations", "did you mean `rotation`?"]),
];

const PROFILES: &[Flaw] = &[
    ("privilege = \"admin\"", "privilege = \"root\"", &["privilege", "admin"]),
    ("roles = [\"CE\"", "roles = [\"Router\"", &["roles", "CE"]),
    ("secret-type = ", "secret-tipe = ", &["did you mean `secret-type`?"]),
    ("[policy]\nlength = 24", "[policy]\nlength = 12", &["128 bits", "`length`"]),
];

const PLATFORMS: &[Flaw] = &[
    ("settle =", "setle =", &["setle", "did you mean `settle`?"]),
    ("{new:sha512-crypt}", "{new:sha512}", &["{new:sha512}", "new:sha512-crypt"]),
    ("prompt = '^[^\\r\\n]{0,80}# ?$'", "prompt = '('", &["prompt"]),
    ("[operations.logout]", "[operations.log-out]", &["log-out", "did you mean `logout`?"]),
];

/// Puts a flaw into a text, and returns what must be said, the line among it.
fn put(text: &str, (from, to, says): &Flaw) -> (String, Vec<String>) {
    let at = text.find(from).unwrap_or_else(|| panic!("no `{from}` to be spoiled"));
    let line = text[..at].matches('\n').count() + 1;
    let mut says: Vec<String> = says.iter().map(|text| (*text).to_owned()).collect();
    says.push(format!("line {line}"));
    (text.replacen(from, to, 1), says)
}

fn texts(says: &[String]) -> Vec<&str> {
    says.iter().map(String::as_str).collect()
}

#[test]
fn a_broken_inventory_is_named_by_line_key_and_nearest_name_and_changes_nothing() {
    let site = Site::new("");
    let lab = Simulated::up(&site, 3, &[]);
    let _server = site.serve();
    adopt(&site, &lab);
    let known = everything_known(&site);
    for flaw in INVENTORY {
        let (text, says) = put(&lab.inventory(), flaw);
        std::fs::write(lab.path("broken.toml"), text).expect("the lab's directory is ours");
        let said = site.keyturn(&["fabric", "apply", "-f", &file(&lab, "broken.toml")]).expect(1);
        let _named = said.says(&["broken.toml"]).says(&texts(&says));
        assert_eq!(everything_known(&site), known, "{flaw:?}");
    }
    expect_unsaid(&site, &lab);
}

#[test]
fn broken_passwords_are_named_without_a_value_and_change_nothing() {
    let site = Site::new("");
    let lab = Simulated::up(&site, 2, &[]);
    let _server = site.serve();
    let known = everything_known(&site);
    let passwords = std::fs::read_to_string(lab.path("passwords.toml")).expect("the lab wrote it");
    let flaws: &[Flaw] = &[
        ("admin =", "amdin =", &["amdin", "did you mean `admin`?"]),
        ("[profiles]", "[profile]", &["did you mean `profiles`?"]),
        ("admin = \"", "admin = ", &[]),
    ];
    for flaw in flaws {
        let (text, says) = put(&passwords, flaw);
        let file = file(&lab, "fabric.toml");
        let args = ["fabric", "apply", "-f", &file, "--passwords-stdin"];
        let _named = site.keyturn_with(&args, &text).expect(1).says(&texts(&says));
        assert_eq!(everything_known(&site), known, "{flaw:?}");
    }
    expect_unsaid(&site, &lab);
}

#[test]
fn a_broken_configuration_is_named_and_nothing_is_made() {
    let site = Site::new(CONFIG);
    for flaw in CONFIGURATION {
        let (text, says) = put(CONFIG, flaw);
        site.write("config.toml", &text);
        let said = site.serve_in_vain().expect(1);
        let _named = said.says(&["config.toml"]).says(&texts(&says));
        assert!(!site.path("data").exists(), "{flaw:?} made a data directory");
    }
}

#[test]
fn a_broken_template_or_platform_file_is_named_and_the_daemon_does_not_start() {
    let site = Site::new("secrets-template = \"template.toml\"\n");
    for flaw in PROFILES {
        let (text, says) = put(TEMPLATE, flaw);
        site.write("template.toml", &text);
        let said = site.serve_in_vain().expect(1);
        let _named = said.says(&["template.toml"]).says(&texts(&says));
    }
    let site = Site::new("[agent]\nplatforms-dir = \"platforms\"\n");
    std::fs::create_dir(site.path("platforms")).expect("a directory of our own");
    for flaw in PLATFORMS {
        let (text, says) = put(PLATFORM, flaw);
        site.write("platforms/site.toml", &text);
        let said = site.serve_in_vain().expect(1);
        let _named = said.says(&["site.toml"]).says(&texts(&says));
    }
}

#[test]
fn a_policy_that_a_platform_cannot_take_names_both() {
    let site = Site::new("secrets-template = \"template.toml\"\n");
    site.write("template.toml", &TEMPLATE.replacen("length = 24", "length = 120", 1));
    let said = site.serve_in_vain().expect(1);
    let _named = said.says(&["admin", "platform"]);
}
