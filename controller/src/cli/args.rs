//! What can be written on the command line.

mod archive;
mod audit;
mod retention;
mod several;
mod values;
mod vault;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(super) use self::archive::ArchiveCommand;
pub(super) use self::audit::{AuditCommand, AuditExport, AuditVerify};
pub(super) use self::retention::{
    FabricList, FabricPurge, RetentionCommand, RetentionRelease, RetentionShow,
};
pub(super) use self::values::{
    AdminState, CommitStage, LockAction, LockType, PlanRequest, RebootType, TokenRole,
    UpgradeAction, spelling,
};
pub use self::vault::Vault;
pub(super) use self::vault::{AcceptRestored, BackUp, Rekey, Restore, VaultCommand};
use crate::duration;

/// Rotates the operator passwords of a network fabric, and always knows which password opens which
/// device.
#[derive(Debug, Parser)]
#[command(name = "keyturn", version, propagate_version = true, infer_subcommands = false)]
pub struct Keyturn {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Clone, Debug, Default, Args)]
pub struct Global {
    /// Where the daemon serves, for example https://127.0.0.1:7443 [default: the data directory's]
    #[arg(long, global = true, env = "KEYTURN_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// The daemon's certificate authority [default: ca.pem in the data directory]
    #[arg(long, global = true, env = "KEYTURN_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The file of the token [default: admin.token in the data directory]
    #[arg(long, global = true, env = "KEYTURN_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The daemon's data directory [default: /var/lib/keyturn for root, else
    /// ~/.local/share/keyturn]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// How results are written [default: table on a terminal, else json]
    #[arg(long, short, global = true, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The API's resources, `properties` flattened.
    Json,
    /// For people.
    Table,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon
    Serve(Serve),
    /// Show everything on a simulated fabric: adopt, rotate with a failing device, resync, check
    #[cfg(feature = "demo")]
    Demo(Demo),
    /// The embedded vault: back it up, restore it, change its key
    Vault(Vault),
    /// Ask a daemon.
    #[command(flatten)]
    Client(ClientCommand),
}

/// `keyturn serve`
#[derive(Debug, Args)]
pub struct Serve {
    /// Where HTTPS is served; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// A configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Check the configuration with all that it names, print it with its defaults, and end
    #[arg(long)]
    pub check: bool,
}

/// `keyturn demo`
#[cfg(feature = "demo")]
#[derive(Debug, Args)]
pub struct Demo {
    /// How many devices the simulated fabric has
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(5..=5000))]
    pub devices: u16,
    /// Leave the fabric and the daemon up at the end, until Ctrl-C
    #[arg(long)]
    pub stay: bool,
}

/// What to ask of a daemon.
#[derive(Clone, Debug, Subcommand)]
pub enum ClientCommand {
    /// Fabrics: declare, show, plan, rotate, resync, lock
    Fabric {
        /// What to do.
        #[command(subcommand)]
        command: FabricCommand,
    },
    /// Devices: show, resync, enable and disable
    Device {
        /// What to do.
        #[command(subcommand)]
        command: DeviceCommand,
    },
    /// Secrets: show what opens a device now
    Secret {
        /// What to do.
        #[command(subcommand)]
        command: SecretCommand,
    },
    /// Copies of secrets in the customer's own vault: how far they are, again, compared
    Archive {
        /// What to do.
        #[command(subcommand)]
        command: ArchiveCommand,
    },
    /// Old passwords: show what the vault keeps and why, purge what may go
    Retention {
        /// What to do.
        #[command(subcommand)]
        command: RetentionCommand,
    },
    /// Fabrics whose secrets have older names: show, rotate
    Legacy {
        /// What to do.
        #[command(subcommand)]
        command: LegacyCommand,
    },
    /// The audit: who did what; export it, and verify that nobody has changed it
    Audit {
        /// What to do.
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Tokens: make, list, revoke
    Token {
        /// What to do.
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Operations: list, show, wait
    Operation {
        /// What to do.
        #[command(subcommand)]
        command: OperationCommand,
    },
}

/// `keyturn fabric`
#[derive(Clone, Debug, Subcommand)]
pub enum FabricCommand {
    /// Declare a fabric and its devices, and verify the passwords that they have now
    Apply(Apply),
    /// List the fabrics, or deleted ones of which passwords are kept
    List(FabricList),
    /// Show a fabric, and how its last rotation went
    Show(FabricTarget),
    /// Show what a rotation or resync would do, without doing it
    Plan(Plan),
    /// Make a new password set and bring it to every device
    #[command(visible_alias = "rotate-passwords")]
    RotatePassword(OnFabric),
    /// Bring the newest password set to the devices that miss it
    #[command(visible_alias = "resync-passwords")]
    ResyncPassword(OnFabric),
    /// Lock or unlock a fabric
    LockFabric(LockFabric),
    /// Say what became of a commit of the fabric's configuration; nothing is rotated meanwhile
    CommitConfiguration(CommitConfiguration),
    /// Forget a fabric without devices; what these may still have is kept
    Delete(FabricTarget),
    /// Purge the passwords that a deleted fabric has left
    Purge(FabricPurge),
    /// Say what became of an upgrade of the fabric; nothing is rotated meanwhile
    #[command(disable_version_flag = true)]
    Upgrade(UpgradeFabric),
}

/// `keyturn token`
#[derive(Clone, Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it, this once
    Create(TokenCreate),
    /// List the tokens, without what they are
    List,
    /// Revoke a token
    Revoke(TokenRevoke),
}

/// `keyturn token create`
#[derive(Clone, Debug, Args)]
pub struct TokenCreate {
    /// What its holder may do
    #[arg(long, value_enum)]
    pub role: TokenRole,
    /// What it is called in lists and logs; the role's name if not given
    #[arg(long)]
    pub name: Option<String>,
    /// The ARM id of the only fabric that it is for
    #[arg(long, value_name = "ID")]
    pub fabric: Option<String>,
    /// What the names of the secrets begin with that it is for, with a role of the Key Vault API
    #[arg(long, value_name = "PREFIX")]
    pub secret_prefix: Option<String>,
    /// How long it lives
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = lifetime)]
    pub expires: Duration,
}

/// `keyturn token revoke`
#[derive(Clone, Debug, Args)]
pub struct TokenRevoke {
    /// The token's id, from `keyturn token list`
    pub id: String,
}

fn lifetime(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| format!("{error}; {}", error.hint()))
}

/// `keyturn device`
#[derive(Clone, Debug, Subcommand)]
pub enum DeviceCommand {
    /// List the devices
    List(DeviceList),
    /// Show a device and how far its secrets are
    Show(DeviceTarget),
    /// Bring the newest password set to one device
    #[command(visible_alias = "resync-passwords")]
    ResyncPassword(OnDevice),
    /// Take a device out of service, into replacement, or back
    UpdateAdminState(UpdateAdminState),
    /// Say that a device has been upgraded; Keyturn upgrades nothing
    #[command(disable_version_flag = true)]
    Upgrade(UpgradeDevice),
    /// Reboot a device, and verify its passwords when it is back
    Reboot(RebootDevice),
    /// Forget a device that is disabled, in RMA, or waits for its first password set
    Delete(DeviceTarget),
}

/// `keyturn secret`
#[derive(Clone, Debug, Subcommand)]
pub enum SecretCommand {
    /// Reveal what opens a device as one user now, and how that is known
    Show(SecretShow),
}

/// `keyturn operation`
#[derive(Clone, Debug, Subcommand)]
pub enum OperationCommand {
    /// List the operations, the newest first
    List,
    /// Show how an operation ended, or how far it is
    Show(OperationTarget),
    /// Wait until an operation has ended
    Wait(OperationTarget),
}

/// Which fabric.
#[derive(Clone, Debug, Default, Args)]
pub struct FabricTarget {
    /// The fabric's name or ARM id; may be left out if there is only one
    #[arg(value_name = "FABRIC", conflicts_with_all = ["ids", "resource_name"])]
    pub fabric: Option<String>,
    /// The fabrics' ARM ids: one or more, each by itself
    #[arg(
        long,
        value_name = "ID",
        num_args = 1..,
        conflicts_with_all = ["resource_group", "resource_name"]
    )]
    pub ids: Vec<String>,
    /// The fabric's resource group
    #[arg(long, short = 'g', value_name = "GROUP")]
    pub resource_group: Option<String>,
    /// The fabric's name
    #[arg(long, alias = "network-fabric-name", value_name = "NAME")]
    pub resource_name: Option<String>,
}

/// Which device.
#[derive(Clone, Debug, Default, Args)]
pub struct DeviceTarget {
    /// The device's name or ARM id
    #[arg(value_name = "DEVICE", conflicts_with_all = ["ids", "resource_name"])]
    pub device: Option<String>,
    /// The devices' ARM ids: one or more, each by itself
    #[arg(
        long,
        value_name = "ID",
        num_args = 1..,
        conflicts_with_all = ["resource_group", "resource_name"]
    )]
    pub ids: Vec<String>,
    /// The device's resource group
    #[arg(long, short = 'g', value_name = "GROUP")]
    pub resource_group: Option<String>,
    /// The device's name
    #[arg(long, alias = "network-device-name", value_name = "NAME")]
    pub resource_name: Option<String>,
}

/// `keyturn device list`
#[derive(Clone, Debug, Default, Args)]
pub struct DeviceList {
    /// Only this resource group
    #[arg(long, short = 'g', value_name = "GROUP")]
    pub resource_group: Option<String>,
    /// Only this fabric: its name or ARM id
    #[arg(long, value_name = "FABRIC")]
    pub fabric: Option<String>,
    /// Those that wait for their first password set
    #[arg(long)]
    pub bootstrap: bool,
}

/// `keyturn fabric apply`
#[derive(Clone, Debug, Args)]
pub struct Apply {
    /// The inventory (TOML)
    #[arg(long, short, value_name = "FILE")]
    pub file: PathBuf,
    /// Read the passwords that the devices have now from standard input, not from the file (0600)
    /// that the inventory names
    #[arg(long)]
    pub passwords_stdin: bool,
    /// Return when the fabric is declared, without waiting for the verification
    #[arg(long)]
    pub no_wait: bool,
}

/// `keyturn fabric plan`
#[derive(Clone, Debug, Args)]
pub struct Plan {
    /// Which fabric.
    #[command(flatten)]
    pub target: FabricTarget,
    /// What to plan
    #[arg(long, value_enum, default_value_t = PlanRequest::Rotate)]
    pub request: PlanRequest,
}

/// Something to do to a fabric.
#[derive(Clone, Debug, Args)]
pub struct OnFabric {
    /// Which fabric.
    #[command(flatten)]
    pub target: FabricTarget,
    /// Return when the operation is admitted
    #[arg(long)]
    pub no_wait: bool,
}

/// Something to do to a device.
#[derive(Clone, Debug, Args)]
pub struct OnDevice {
    /// Which device.
    #[command(flatten)]
    pub target: DeviceTarget,
    /// Return when the operation is admitted
    #[arg(long)]
    pub no_wait: bool,
}

/// What to do with a fabric whose secrets have older names.
#[derive(Clone, Debug, Subcommand)]
pub enum LegacyCommand {
    /// Show the older names, and which devices depend on them
    Show(FabricTarget),
    /// Rotate under the older names; only until a rotation has given current ones
    Rotate(OnFabric),
}

/// `keyturn fabric lock-fabric`
#[derive(Clone, Debug, Args)]
pub struct LockFabric {
    /// Which fabric.
    #[command(flatten)]
    pub target: FabricTarget,
    /// Lock or unlock
    #[arg(long, value_enum, ignore_case = true)]
    pub action: LockAction,
    /// What to lock
    #[arg(long, value_enum, ignore_case = true, default_value_t = LockType::Administrative)]
    pub lock_type: LockType,
}

/// `keyturn fabric commit-configuration`
#[derive(Clone, Debug, Args)]
pub struct CommitConfiguration {
    /// Which fabric.
    #[command(flatten)]
    pub target: FabricTarget,
    /// How far the commit is; without it, it has begun and ended
    #[arg(long, value_enum, ignore_case = true)]
    pub commit_stage: Option<CommitStage>,
}

/// `keyturn fabric upgrade`
#[derive(Clone, Debug, Args)]
pub struct UpgradeFabric {
    /// Which fabric.
    #[command(flatten)]
    pub target: FabricTarget,
    /// How far the upgrade is
    #[arg(long, value_enum, ignore_case = true)]
    pub action: UpgradeAction,
    /// The version that it leads to
    #[arg(long, required_if_eq("action", "Start"))]
    pub version: Option<String>,
}

/// `keyturn device update-admin-state`
#[derive(Clone, Debug, Args)]
pub struct UpdateAdminState {
    /// Which device.
    #[command(flatten)]
    pub target: DeviceTarget,
    /// What to do
    #[arg(long, value_enum, ignore_case = true)]
    pub state: AdminState,
    /// Return without waiting for the verification of a device that comes back
    #[arg(long)]
    pub no_wait: bool,
}

/// `keyturn device upgrade`
#[derive(Clone, Debug, Args)]
pub struct UpgradeDevice {
    /// Which device.
    #[command(flatten)]
    pub target: DeviceTarget,
    /// The version that it has now
    #[arg(long)]
    pub version: String,
}

/// `keyturn device reboot`
#[derive(Clone, Debug, Args)]
pub struct RebootDevice {
    /// Which device.
    #[command(flatten)]
    pub target: DeviceTarget,
    /// How; with ZTP its configuration is wiped
    #[arg(long, value_enum, ignore_case = true)]
    pub reboot_type: RebootType,
    /// Return when the operation is admitted
    #[arg(long)]
    pub no_wait: bool,
}

/// `keyturn secret show`
#[derive(Clone, Debug, Args)]
pub struct SecretShow {
    /// The device's name or ARM id
    #[arg(long, value_name = "DEVICE")]
    pub device: String,
    /// The user on the device, or the user profile
    #[arg(long, value_name = "USER")]
    pub user: String,
    /// The device's resource group
    #[arg(long, short = 'g', value_name = "GROUP")]
    pub resource_group: Option<String>,
    /// The fabric that it was deleted from or replaced in, which may be deleted itself
    #[arg(long, value_name = "FABRIC")]
    pub deleted_from: Option<String>,
}

/// Which operation.
#[derive(Clone, Debug, Args)]
pub struct OperationTarget {
    /// The operation's name, or its ARM id
    #[arg(value_name = "OPERATION")]
    pub operation: String,
}
