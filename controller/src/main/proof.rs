//! The demonstration's proof: every password that the API reveals, against what the simulated
//! devices would really accept, running and startup.

use std::collections::{BTreeMap, BTreeSet};

use controller::cli::Failure;
use controller::client::Client;
use fixtures::lab::Lab;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Reveals that are under way at once.
const AT_ONCE: usize = 16;

/// What was found, by role.
#[derive(Default)]
pub(crate) struct Proof {
    rows: BTreeMap<&'static str, Row>,
    /// Hashes of the values that were revealed.
    values: BTreeSet<[u8; 32]>,
    profiles: usize,
}

#[derive(Default)]
struct Row {
    devices: usize,
    secrets: usize,
    running: usize,
    startup: usize,
    /// Accounts that the factory's password still opens.
    factory: usize,
}

/// One account of one device.
struct Account<'l> {
    role: &'static str,
    device: &'l str,
    user: &'l str,
    factory: &'l str,
}

/// What was found of one account.
struct Found {
    role: &'static str,
    running: bool,
    startup: bool,
    factory: bool,
    value: [u8; 32],
}

/// Reveals every password of every device, and asks the lab whether it opens the device.
pub(crate) async fn prove(client: &Client, lab: &Lab, fabric: &str) -> Result<Proof, Failure> {
    let accounts: Vec<Account<'_>> = lab.names().flat_map(|name| accounts(lab, name)).collect();
    let mut proof = Proof { profiles: lab.factory().len(), ..Proof::default() };
    for name in lab.names() {
        proof.rows.entry(role(name)).or_default().devices += 1;
    }
    let base = fabric.rsplit_once("networkFabrics/").map_or("", |(base, _name)| base);
    let found = stream::iter(&accounts).map(|account| look(client, lab, base, account));
    let mut found = found.buffer_unordered(AT_ONCE);
    while let Some(found) = found.try_next().await? {
        proof.note(&found);
    }
    Ok(proof)
}

/// The accounts that the secrets template gives to a device.
fn accounts<'l>(lab: &'l Lab, device: &'l str) -> Vec<Account<'l>> {
    let role = role(device);
    let is_server = role == "TS";
    let made = lab.factory().iter().filter(|made| (made.profile == "TerminalServer") == is_server);
    made.map(|made| Account { role, device, user: &made.user, factory: &made.password }).collect()
}

fn role(device: &str) -> &'static str {
    match device.split('-').next() {
        Some("ce") => "CE",
        Some("tor") => "ToR",
        Some("npb") => "NPB",
        Some("mgmt") => "Management",
        _ => "TS",
    }
}

async fn look(
    client: &Client,
    lab: &Lab,
    base: &str,
    account: &Account<'_>,
) -> Result<Found, Failure> {
    let Account { role, device, user, factory } = *account;
    let doing = format!("check `{user}` on `{device}`");
    let body = json!({"deviceId": format!("{base}networkDevices/{device}"), "user": user});
    let revealed = client.post("/keyturn/v1/secrets:reveal", Some(&body)).await;
    let revealed = revealed.map_err(|error| Failure::client(&doing, &error))?.body;
    let value = revealed.get("value").and_then(Value::as_str).unwrap_or_default();
    let check = |value: &str| {
        let truth = lab.check(device, user, value);
        truth.map_err(|error| Failure::of(&doing, &error, Some(error.hint())))
    };
    let (truth, old) = (check(value)?, check(factory)?);
    Ok(Found {
        role,
        running: truth.running,
        startup: truth.startup,
        factory: old.running || old.startup,
        value: Sha256::digest(value.as_bytes()).into(),
    })
}

impl Proof {
    fn note(&mut self, found: &Found) {
        let row = self.rows.entry(found.role).or_default();
        row.secrets += 1;
        row.running += usize::from(found.running);
        row.startup += usize::from(found.startup);
        row.factory += usize::from(found.factory);
        self.values.insert(found.value);
    }

    /// Tells whether every revealed password opens its device, now and after a reboot, no factory
    /// password opens any, and there are as many different ones as there are profiles.
    pub(crate) fn is_complete(&self) -> bool {
        let row_is_complete = |row: &Row| {
            row.secrets > 0
                && row.running == row.secrets
                && row.startup == row.secrets
                && row.factory == 0
        };
        self.rows.values().all(row_is_complete) && self.values.len() == self.profiles
    }

    /// Lays the findings out for people.
    pub(crate) fn table(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(
            comfy_table::presets::UTF8_HORIZONTAL_ONLY
                .row_separator(comfy_table::LineStyle::none()),
        );
        let header = [
            "Role",
            "Devices",
            "Passwords",
            "Open it now",
            "After a reboot",
            "Factory's still open",
        ];
        table.set_header(header);
        let mut sum = Row::default();
        for (role, row) in &self.rows {
            table.add_row(row.cells(role));
            sum.devices += row.devices;
            sum.secrets += row.secrets;
            sum.running += row.running;
            sum.startup += row.startup;
            sum.factory += row.factory;
        }
        table.add_row(sum.cells("all"));
        table.trim_fmt()
    }
}

impl Row {
    fn cells(&self, role: &str) -> [String; 6] {
        let counts = [self.devices, self.secrets, self.running, self.startup, self.factory];
        let [devices, secrets, running, startup, factory] = counts.map(|count| count.to_string());
        [role.to_owned(), devices, secrets, running, startup, factory]
    }
}
