//! Puts a job together: accounts, ways to the device, sealed passwords.

mod opened;

use std::collections::BTreeSet;

use protocol::credential::{Label, Phase};
use protocol::id::{PasswordSet, ProfileName, ResourceName, SecretVersion};
use protocol::job::{Access, Account, Job, JobId, Lockout, Path, Probe, Rules, Work};
use protocol::report::{Reason, Stop};
use protocol::seal::Binding;

pub(super) use self::opened::Opened;
use self::opened::not_opened;
use super::{Executor, Run};
use crate::inventory::{DeviceSpec, PathKind};
use crate::model::{Device, Fabric, Secret};
use crate::naming::SecretName;

/// A job without its passwords, and what they are called in the vault.
struct Draft {
    work: Work,
    accounts: Vec<Account>,
    access: Access,
    epoch: protocol::id::Epoch,
    values: Vec<Value>,
    /// Those of them that were disproved.
    retired: BTreeSet<(ProfileName, PasswordSet)>,
    terminal_server: Vec<(PasswordSet, SecretName, SecretVersion)>,
}

impl Executor {
    /// Puts a job for one device together that tries no candidates.
    ///
    /// # Errors
    /// Returns the reason for which there can be no job; nothing was sent then.
    pub(super) async fn job(
        &self,
        run: &Run,
        name: &ResourceName,
        step: u32,
        work: Work,
    ) -> Result<Job, Stop> {
        let opened = self.open(run, name, work).await?;
        self.sealed(run, name, step, opened, Vec::new())
    }

    /// Opens the passwords of a job for one device, as far as they are there.
    ///
    /// # Errors
    /// Returns the reason for which there can be no job.
    pub(super) async fn open(
        &self,
        run: &Run,
        name: &ResourceName,
        work: Work,
    ) -> Result<Opened, Stop> {
        let draft = self.inner.journal.read(|fabric| draft(fabric, name, work))?;
        let opened = run.values.open(&draft.wanted()).await;
        draft.with(opened.map_err(|error| not_opened(&error, ""))?)
    }

    /// Puts a job together from the passwords that were opened for it.
    ///
    /// # Errors
    /// Returns the reason for which there can be no job; nothing was sent then.
    pub(super) fn sealed(
        &self,
        run: &Run,
        name: &ResourceName,
        step: u32,
        opened: Opened,
        probes: Vec<Probe>,
    ) -> Result<Job, Stop> {
        let device = self.inner.journal.read(|fabric| fabric.device_id(name));
        let fabric = self.inner.journal.read(|fabric| fabric.id.clone());
        let Opened { draft, bundle, .. } = opened;
        let binding =
            Binding { device: &device, operation: run.operation, step, epoch: draft.epoch };
        let sealed = self
            .inner
            .agent
            .seal(&bundle, &binding)
            .map_err(|error| bad_job(&format!("failed to {error}")))?;
        Ok(Job {
            id: JobId(uuid::Uuid::new_v4()),
            operation: run.operation,
            step,
            fabric,
            device,
            epoch: draft.epoch,
            access: draft.access,
            accounts: draft.accounts,
            probes,
            work: draft.work,
            rules: self.rules(run),
            sealed,
        })
    }

    fn rules(&self, run: &Run) -> Rules {
        let settings = self.inner.settings;
        let milliseconds =
            |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Rules {
            time_max_ms: milliseconds(settings.device_time_max),
            commit_timer_ms: milliseconds(settings.commit_timer),
            verification: settings.verification,
            save: run.kind.is_maintenance(),
            quiet: true,
        }
    }
}

/// One password of a device: whose, of which set, and where it is.
type Value = (ProfileName, PasswordSet, SecretName, SecretVersion);

fn draft(fabric: &Fabric, name: &ResourceName, work: Work) -> Result<Draft, Stop> {
    let device =
        fabric.devices.get(name).ok_or_else(|| bad_job("the fabric has no such device"))?;
    let mut accounts = Vec::with_capacity(device.secrets.len());
    let mut values: Vec<Value> = Vec::new();
    let mut retired = BTreeSet::new();
    for (profile, secret) in in_order(device) {
        let account = account(profile, secret, work);
        for set in account.candidates.iter().copied().chain(account.target) {
            let seen = |(of, had, ..): &Value| of == profile && *had == set;
            if values.iter().rev().take_while(|(of, ..)| of == profile).any(seen) {
                continue;
            }
            let (place, version) = fabric.located(name, profile, set).ok_or_else(|| {
                bad_job(&format!("password set {set} has no version of `{profile}`"))
            })?;
            if secret.credential.labels.get(&set) == Some(&Label::Retired) {
                retired.insert((profile.clone(), set));
            }
            values.push((profile.clone(), set, place, version));
        }
        accounts.push(account);
    }
    let (paths, terminal_server) = paths(fabric, name, &device.spec)?;
    if paths.is_empty() {
        return Err(bad_job("the inventory names no way to the device"));
    }
    let lockout = device.spec.lockout.as_ref().map(|lockout| Lockout {
        failures_max: lockout.failures_max,
        window_ms: u64::try_from(lockout.window.as_millis()).unwrap_or(u64::MAX),
    });
    let access = Access { platform: device.spec.platform.clone(), paths, lockout };
    let epoch = fabric.epoch;
    Ok(Draft { work, accounts, access, epoch, values, retired, terminal_server })
}

/// The least privileged accounts first; last the one that the session uses: a privileged one that
/// has spent nothing of its login budget and is not in doubt for itself.
fn in_order(device: &Device) -> Vec<(&ProfileName, &Secret)> {
    let mut secrets: Vec<(&ProfileName, &Secret)> = device.secrets.iter().collect();
    secrets.sort_by_key(|(profile, secret)| {
        let usable = secret.credential.attempts == 0 && secret.credential.phase != Phase::Drift;
        (secret.privileged, usable, std::cmp::Reverse(*profile))
    });
    secrets
}

fn account(profile: &ProfileName, secret: &Secret, work: Work) -> Account {
    let credential = &secret.credential;
    let mut candidates = credential.candidates();
    let waits = matches!(credential.phase, Phase::Staged | Phase::Exposed | Phase::Waiting);
    let target = credential.pending.filter(|_set| work == Work::Apply && waits);
    if work != Work::Settle {
        // The pending version leads the candidates while the outcome of an earlier try is unknown;
        // by now it is known that the device runs the current one.
        candidates.sort_by_key(|set| Some(*set) != credential.current);
    }
    Account {
        profile: profile.clone(),
        user: secret.user.to_string(),
        privileged: secret.privileged,
        candidates,
        target,
        overwrite: credential.reconcile,
    }
}

type TerminalServerValues = Vec<(PasswordSet, SecretName, SecretVersion)>;

fn paths(
    fabric: &Fabric,
    name: &ResourceName,
    spec: &DeviceSpec,
) -> Result<(Vec<Path>, TerminalServerValues), Stop> {
    let mut paths = Vec::new();
    let mut values = Vec::new();
    for kind in spec.path_order() {
        match kind {
            PathKind::Ssh => paths.extend(spec.ssh.as_ref().map(|ssh| Path::Ssh {
                address: ssh.address.clone(),
                port: ssh.port,
                host_key: ssh.host_key.clone(),
            })),
            PathKind::Serial => paths.extend(spec.serial.as_ref().map(|serial| Path::Serial {
                path: serial.path.display().to_string(),
                baud: serial.baud,
            })),
            PathKind::Console => {
                let Some(console) = &spec.console else { continue };
                let (path, candidates) =
                    console_path(fabric, &console.terminal_server, &console.port).ok_or_else(
                        || bad_job(&format!("the terminal server of `{name}` has no SSH")),
                    )?;
                paths.push(path);
                values = candidates;
            }
        }
    }
    Ok((paths, values))
}

/// The way through a terminal server: its SSH, its privileged account, and that account's
/// passwords, the likeliest first.
fn console_path(
    fabric: &Fabric,
    terminal_server: &ResourceName,
    port: &str,
) -> Option<(Path, TerminalServerValues)> {
    let server = fabric.devices.get(terminal_server)?;
    let ssh = server.spec.ssh.as_ref()?;
    let (profile, secret) = server.secrets.iter().find(|(_profile, secret)| secret.privileged)?;
    let mut candidates = secret.credential.candidates();
    candidates.retain(|set| secret.credential.labels.get(set) != Some(&Label::Retired));
    let values = candidates.into_iter().filter_map(|set| {
        let (place, version) = fabric.located(terminal_server, profile, set)?;
        Some((set, place, version))
    });
    let path = Path::Console {
        terminal_server: fabric.device_id(terminal_server),
        address: ssh.address.clone(),
        port: ssh.port,
        host_key: ssh.host_key.clone(),
        user: format!("{}:{port}", secret.user),
    };
    Some((path, values.collect()))
}

pub(super) fn bad_job(detail: &str) -> Stop {
    Stop { reason: Reason::BadJob, detail: detail.to_owned() }
}
