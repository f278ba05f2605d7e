//! Real accounts behind a real `agetty` and `login`, rotated by the platform `linux` over a serial
//! line, and checked at that same login prompt.
//!
//! The accounts live in namespaces of their own (see `harness::linux`): the tests need root and the
//! packages `util-linux`, `login` and `sudo`, and say so where something is missing.

use std::time::Duration;

use harness::accounts::{Accounts, DEVICE, USERS};
use harness::line::{Line, Side};
use harness::linux::Linux;
use harness::process::Running;
use harness::site::{Server, Site};

/// How long `login` may take to answer: its fail delay with a margin.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// A device on a serial line, adopted by a running daemon. In the order in which it is taken down.
struct Desk {
    _server: Server,
    line: Line,
    _getty: Running,
    accounts: Accounts,
    _linux: Linux,
    site: Site,
}

impl Desk {
    fn adopt() -> Self {
        let site = Site::new("");
        let linux = Linux::up(site.dir());
        let line = Line::new();
        let way = format!("serial = {{ path = \"{}\", baud = 9600 }}", line.path.display());
        let accounts = Accounts::make(&linux, &site, &way);
        let getty = line.getty(&linux, site.dir());
        let server = site.serve();
        let _applied = site.keyturn(&["fabric", "apply", "-f", "fabric.toml"]).expect(0);
        assert_eq!(site.statuses(DEVICE), ["InSync"]);
        Self { _server: server, line, _getty: getty, accounts, _linux: linux, site }
    }

    /// Rotates, and returns the new passwords.
    fn rotate(&self) -> Vec<String> {
        let _rotated = self.site.keyturn(&["fabric", "rotate-password", "real"]).expect(0);
        assert_eq!(self.site.statuses(DEVICE), ["InSync"]);
        USERS.iter().map(|user| self.site.reveal(DEVICE, user).value).collect()
    }

    /// Types a name and a password at the login prompt, as a person does.
    fn log_in(&mut self, user: &str, password: &str) {
        self.line.transcript.wait_for("login: ", ANSWER_MAX);
        self.line.type_in(&format!("{user}\r"));
        self.line.transcript.wait_for("Password: ", ANSWER_MAX);
        self.line.type_in(&format!("{password}\r"));
    }

    /// Expects that no password was ever shown, and that each that Keyturn typed answered a
    /// password prompt.
    fn expect_unseen(&self, passwords: &[String]) {
        let shown = self.line.transcript.text(Side::Shown);
        let born = self.accounts.all().map(|(_user, born)| born);
        let all: Vec<&str> = born.chain(passwords.iter().map(String::as_str)).collect();
        assert!(!all.iter().any(|password| shown.contains(password)), "the line showed a password");
        let prompts: Vec<String> =
            all.iter().flat_map(|password| self.line.transcript.prompts_before(password)).collect();
        assert!(prompts.len() >= 3, "adoption, rotation and its proof each log in: {prompts:?}");
        assert!(prompts.iter().all(|prompt| prompt == "Password: "), "{prompts:?}");
        self.site.expect_unsaid(all);
    }
}

#[test]
fn a_rotation_over_a_serial_line_leaves_new_passwords_at_a_real_login_prompt() {
    let mut desk = Desk::adopt();
    let new = desk.rotate();
    for (user, password) in USERS.iter().zip(&new) {
        desk.log_in(user, password);
        desk.line.transcript.wait_for("$ ", ANSWER_MAX);
        desk.line.type_in("id -un\r");
        // The shell may have drawn its line anew before it.
        let answer = format!("\r{user}\r\n");
        harness::wait::until("`id` to name the user", ANSWER_MAX, || {
            desk.line.transcript.text(Side::Shown).contains(&answer).then_some(())
        });
        desk.line.transcript.wait_for("$ ", ANSWER_MAX);
        desk.line.type_in("exit\r");
    }
    let born = desk.accounts.born_with("admin").to_owned();
    desk.log_in("admin", &born);
    desk.line.transcript.wait_for("login: ", ANSWER_MAX);
    assert!(desk.line.transcript.text(Side::Shown).contains("Login incorrect"));
    desk.expect_unseen(&new);
}

#[test]
fn what_is_left_on_the_line_never_has_a_password_typed_at_a_login_prompt() {
    let mut desk = Desk::adopt();
    let mut all = Vec::new();
    // A name half typed, as after a crash: the next name would be appended to it.
    desk.line.transcript.wait_for("login: ", ANSWER_MAX);
    desk.line.type_in("exit");
    desk.line.transcript.wait_for("exit", ANSWER_MAX);
    all.extend(desk.rotate());
    // A name whose password was never typed: the next name would be taken for it.
    desk.line.transcript.wait_for("login: ", ANSWER_MAX);
    desk.line.type_in("TelcoRO\r");
    desk.line.transcript.wait_for("Password: ", ANSWER_MAX);
    all.extend(desk.rotate());
    // A session that nobody has left, with a line half typed in it.
    let password = desk.site.reveal(DEVICE, "TelcoRO").value;
    desk.log_in("TelcoRO", &password);
    desk.line.transcript.wait_for("$ ", ANSWER_MAX);
    desk.line.type_in("echo half");
    desk.line.transcript.wait_for("half", ANSWER_MAX);
    all.extend(desk.rotate());
    desk.expect_unseen(&all);
}
