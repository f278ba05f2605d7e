//! A Linux device with the accounts that the shipped secrets template wants of a management switch,
//! and the files that declare it.

use rand::RngExt;

use crate::linux::Linux;
use crate::site::Site;

/// The device's name.
pub const DEVICE: &str = "mgmt-01";

/// The accounts, which are the template's profiles without a feature flag.
pub const USERS: [&str; 5] = ["admin", "AzureOperatorRO", "AzureOperatorRW", "TelcoRO", "TelcoRW"];

/// The accounts that may change the others, as the template says.
pub const ADMINISTRATORS: [&str; 3] = ["admin", "AzureOperatorRW", "TelcoRW"];

/// The accounts with the passwords that they were born with.
#[derive(Debug)]
pub struct Accounts(Vec<(&'static str, String)>);

impl Accounts {
    /// Makes the accounts on a system, and declares the device in the site's `fabric.toml` and
    /// `passwords.toml`; `way` is the inventory's line that says how it is reached.
    ///
    /// # Panics
    /// When that fails.
    #[track_caller]
    #[must_use]
    pub fn make(linux: &Linux, site: &Site, way: &str) -> Self {
        let random: u64 = rand::rng().random();
        let born = |user: &'static str| (user, format!("Born.With-{random:016x}.{user}"));
        let accounts = Self(USERS.into_iter().map(born).collect());
        let pairs: Vec<(&str, &str)> = accounts.all().collect();
        linux.add_accounts(&pairs, &ADMINISTRATORS);
        site.write("fabric.toml", &inventory(way));
        let lines = pairs.iter().map(|(user, password)| format!("{user} = \"{password}\"\n"));
        site.write("passwords.toml", &format!("[profiles]\n{}", lines.collect::<String>()));
        accounts
    }

    /// Returns the accounts and the passwords that they were born with.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(user, password)| (*user, password.as_str()))
    }

    /// Returns the password that an account was born with.
    ///
    /// # Panics
    /// When there is no such account.
    #[must_use]
    pub fn born_with(&self, user: &str) -> &str {
        let found = self.all().find(|(name, _password)| *name == user);
        found.expect("an account that was made").1
    }
}

/// Returns an inventory with this one device.
fn inventory(way: &str) -> String {
    format!(
        "[fabric]\n\
         id = \"/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/lab/providers/\
         Microsoft.ManagedNetworkFabric/networkFabrics/real\"\n\
         location = \"local\"\n\
         current-passwords-file = \"passwords.toml\"\n\n\
         [[devices]]\n\
         name = \"{DEVICE}\"\n\
         role = \"Management\"\n\
         platform = \"linux\"\n\
         serial-number = \"Debian;openssh-server;12;REAL0001\"\n\
         {way}\n"
    )
}
