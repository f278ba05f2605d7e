//! What goes from the vault, and what is kept.
//!
//! The order, at whose every step a crash may come: it is durable in the journal that versions are
//! given up, and nothing refers to them any more; then each has its record in the audit; then the
//! vault purges them; then the journal says so. What is between the first and the last is done
//! again, which is harmless: a version's number is never used for another value.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use protocol::credential;
use protocol::id::{FabricId, ProfileName, ResourceName, SecretVersion};

use super::older::claimed;
use super::{Keeper, Service, ServiceError};
use crate::audit::Entry as Record;
use crate::journal::Entry;
use crate::model::{Event, Fabric, Located, Timestamp, Value};
use crate::naming::SecretName;
use crate::plan::guard::{self, Refusal};
use crate::plan::retention::{self, Case, Holder, Retention, Stay, Verdict};
use crate::vault::VaultError;

/// The pause between two looks at what may go. Nothing waits for it.
const PACE: Duration = Duration::from_secs(3600);

/// By how much the pause differs, so that many daemons do not meet at one vault.
const JITTER: Duration = Duration::from_secs(600);

/// What becomes of the values of a fabric, and of deleted ones that had its name before.
#[derive(Clone, Debug)]
pub struct Review {
    /// By what rule.
    pub retention: Retention,
    /// Every version, in the order of names.
    pub verdicts: Vec<Verdict>,
    /// What was given up and is still to be purged.
    pub purging: Vec<Located>,
}

/// A deleted fabric of which values are kept.
#[derive(Clone, Debug)]
pub struct DeletedFabric {
    /// The id that it had; another fabric may have it now.
    pub id: FabricId,
    /// When it was deleted.
    pub at: Timestamp,
    /// The devices whose hardware may have passwords of it, with their accounts.
    pub devices: BTreeMap<ResourceName, BTreeSet<String>>,
    /// How many versions are kept.
    pub versions: usize,
}

/// Which versions are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    /// What may go.
    Due,
    /// All that deleted fabrics have left.
    LeftBehind,
}

impl Service {
    /// Returns the devices that need a version of a secret, whosever it is; see
    /// [`retention::holders`]. While there is one, the version must not be disabled, deleted or
    /// purged.
    #[must_use]
    pub fn holders(&self, name: &SecretName, version: &SecretVersion) -> Vec<Holder> {
        let keepers = self.all_keepers().into_values();
        let held = |keeper: Keeper| {
            keeper.journal.read(|fabric| retention::holders(fabric, name, version))
        };
        keepers.flat_map(held).collect()
    }

    /// Says why a version of a secret stays, by every fabric that refers to it; `None` if none does.
    #[must_use]
    pub fn stays(&self, name: &SecretName, version: &SecretVersion) -> Option<Vec<Stay>> {
        let (retention, now) = (self.parts.retention, (self.parts.clock)());
        let located = (name.clone(), version.clone());
        let of = |keeper: Keeper| {
            keeper.journal.read(|fabric| {
                let case = Case { fabric, retention, now, elsewhere: &|_located| None };
                case.of(&located)
            })
        };
        let all: Vec<Vec<Stay>> = self.all_keepers().into_values().filter_map(of).collect();
        (!all.is_empty()).then(|| all.into_iter().flatten().collect())
    }

    /// Says of every value of a fabric, or of a deleted one, whether it may go and why it stays.
    ///
    /// # Errors
    /// Returns [`ServiceError::NotFound`].
    pub fn review(&self, id: &FabricId) -> Result<Review, ServiceError> {
        let keeper = self.any_keeper(id)?;
        let (retention, now) = (self.parts.retention, (self.parts.clock)());
        let all = keeper.journal.read(|fabric| {
            let values = fabric.eras().flat_map(Fabric::values);
            values.map(|value| value.located).collect::<BTreeSet<_>>()
        });
        let taken = self.taken(id, all);
        Ok(keeper.journal.read(|fabric| {
            let elsewhere = |located: &Located| taken.get(located).cloned();
            let case = Case { fabric, retention, now, elsewhere: &elsewhere };
            let purging = fabric.purging.iter().cloned().collect();
            Review { retention, verdicts: case.review(), purging }
        }))
    }

    /// Purges what may go of one fabric, or of a deleted one, and finishes what was begun. Returns
    /// the versions that are purged now.
    ///
    /// # Errors
    /// Returns [`ServiceError`]; what was given up by then is purged by a later call.
    pub async fn purge_due(&self, id: &FabricId) -> Result<Vec<Located>, ServiceError> {
        let keeper = self.any_keeper(id)?;
        self.check_newest()?;
        {
            let _alone = self.declaring.lock().await;
            self.give_up(&keeper, Choice::Due).await?;
        }
        self.finish(&keeper).await
    }

    /// Purges what deleted fabrics of this name have left; where devices may have it, only if that
    /// is forced. Returns the versions that are purged now.
    ///
    /// # Errors
    /// Returns [`ServiceError::NotFound`] where nothing is left, [`ServiceError::Refused`] where
    /// devices may have some of it, and otherwise as [`Service::purge_due`].
    pub async fn purge_deleted(
        &self,
        id: &FabricId,
        force: bool,
    ) -> Result<Vec<Located>, ServiceError> {
        let keeper = self.any_keeper(id)?;
        self.check_newest()?;
        {
            let _alone = self.declaring.lock().await;
            let refused = keeper.journal.read(|fabric| {
                let mut eras = fabric.eras().filter(|era| era.deleted);
                eras.next().is_some().then(|| refusal(fabric))
            });
            let not_found =
                || ServiceError::NotFound { what: "deleted fabric", id: id.to_string() };
            if let Some(refusal) = refused.ok_or_else(not_found)?.filter(|_refusal| !force) {
                return Err(ServiceError::Refused { refusal });
            }
            self.give_up(&keeper, Choice::LeftBehind).await?;
        }
        self.finish(&keeper).await
    }

    /// Takes an administrator's word that the hardware of a device that was deleted or replaced has
    /// no password of the fabric any more: it was wiped or destroyed. `gone_at` says which one, where
    /// several went under the name.
    ///
    /// # Errors
    /// Returns [`ServiceError::NotFound`] where no such device is gone, and
    /// [`ServiceError::Refused`] where it is not said which one of several is meant.
    pub async fn release_gone(
        &self,
        id: &FabricId,
        device: &ResourceName,
        gone_at: Option<Timestamp>,
    ) -> Result<(), ServiceError> {
        let keeper = self.any_keeper(id)?;
        let (at, device) = ((self.parts.clock)(), device.clone());
        let decide = move |fabric: &Fabric| {
            let gone_at = Some(which_gone(fabric, &device, gone_at)?);
            Ok((vec![Entry::Durable(Event::GoneReleased { device, gone_at, at })], ()))
        };
        keeper.journal.write(decide).await.map_err(|source| ServiceError::Journal { source })?
    }

    /// Returns the deleted fabrics of which values are kept, by id, the oldest first.
    #[must_use]
    pub fn deleted_fabrics(&self) -> Vec<DeletedFabric> {
        let deleted = |keeper: Keeper| {
            keeper.journal.read(|fabric| {
                let eras = fabric.former.iter().chain(std::iter::once(fabric));
                eras.filter(|era| era.deleted && !era.purged).map(shown).collect::<Vec<_>>()
            })
        };
        self.all_keepers().into_values().flat_map(deleted).collect()
    }

    /// Purges what may go of every fabric. What fails is told in the log and tried again the next
    /// time.
    pub async fn sweep(&self) {
        for id in self.all_keepers().into_keys() {
            match self.purge_due(&id).await {
                Ok(purged) if purged.is_empty() => {}
                Ok(purged) => {
                    tracing::info!(fabric = %id.name(), versions = purged.len(), "purged");
                }
                Err(error) => tracing::warn!(
                    fabric = %id.name(), error = %error, hint = error.hint(), "not purged"
                ),
            }
        }
    }

    /// Checks that vault and store are no older copies: what an older journal says of who needs a
    /// version may no longer be so.
    pub(super) fn check_newest(&self) -> Result<(), ServiceError> {
        self.parts.rollback.check().map_err(|source| ServiceError::Rollback { source })
    }

    /// Purges what may go at once, after every operation, and about every hour, for as long as
    /// somebody has the service. Starts a task.
    pub fn keep_sweeping(self: &Arc<Self>) {
        let (service, rested) = (Arc::downgrade(self), Arc::clone(&self.rested));
        tokio::spawn(async move {
            while let Some(service) = service.upgrade() {
                service.sweep().await;
                drop(service);
                let jitter = JITTER.mul_f64(rand::random::<f64>());
                // Either way it is time.
                let _elapsed = tokio::time::timeout(PACE + jitter, rested.notified()).await;
            }
        });
    }

    /// Decides what goes, in one commit with what follows from it for the devices' records. The
    /// caller holds `declaring`, so that nothing is adopted meanwhile.
    async fn give_up(&self, keeper: &Keeper, choice: Choice) -> Result<(), ServiceError> {
        let (retention, at) = (self.parts.retention, (self.parts.clock)());
        let chosen = move |case: &Case<'_>| match choice {
            Choice::Due => case.due(),
            Choice::LeftBehind => case.left_behind(),
        };
        let (id, wanted) = keeper.journal.read(|fabric| {
            let case = Case { fabric, retention, now: at, elsewhere: &|_located| None };
            (fabric.id.clone(), chosen(&case))
        });
        let mut wanted: BTreeSet<Located> = wanted.into_iter().collect();
        let taken = self.taken(&id, wanted.clone());
        wanted.retain(|located| !taken.contains_key(located));
        let orphans = self.orphans(keeper, &wanted).await?;
        if wanted.is_empty() && orphans.is_empty() {
            return Ok(());
        }
        let decide = move |fabric: &Fabric| {
            let case = Case { fabric, retention, now: at, elsewhere: &|_located| None };
            // Only what was asked about elsewhere, and may go still.
            let still = chosen(&case).into_iter().filter(|located| wanted.contains(located));
            let versions: Vec<Located> = still.chain(orphans).collect();
            Ok::<_, ServiceError>((given_up(fabric, &versions, at), ()))
        };
        keeper.journal.write(decide).await.map_err(|source| ServiceError::Journal { source })?
    }

    /// Purges what was given up. Returns what is purged now.
    async fn finish(&self, keeper: &Keeper) -> Result<Vec<Located>, ServiceError> {
        let purging: Vec<Located> =
            keeper.journal.read(|fabric| fabric.purging.iter().cloned().collect());
        if !purging.is_empty() {
            let records =
                purging.iter().map(|located| self.parts.auditor.write(self.purge_record(located)));
            let written = try_join_all(records).await;
            written.map_err(|source| ServiceError::Audit { source })?;
        }
        let mut purged = Vec::new();
        let mut failed = None;
        for (name, version) in purging {
            match self.parts.vault.purge(&name, &version).await {
                Ok(()) | Err(VaultError::NotFound { .. }) => purged.push((name, version)),
                Err(source) => {
                    // The others may go all the same, unless the vault itself does not answer.
                    let is_of_one = source.is_of_one_version();
                    failed = failed.or(Some(ServiceError::Vault { source }));
                    if !is_of_one {
                        break;
                    }
                }
            }
        }
        self.confirm(keeper, purged.clone()).await?;
        failed.map_or(Ok(purged), Err)
    }

    async fn confirm(&self, keeper: &Keeper, versions: Vec<Located>) -> Result<(), ServiceError> {
        let at = (self.parts.clock)();
        let decide = move |fabric: &Fabric| {
            let mut events = Vec::new();
            let purged: BTreeSet<&Located> = versions.iter().collect();
            let is_done = fabric.purging.iter().all(|located| purged.contains(located));
            if !versions.is_empty() {
                events.push(Event::Purged { versions, at });
            }
            let is_over = is_done && fabric.eras().all(|era| era.sets.is_empty());
            if fabric.deleted && !fabric.purged && is_over {
                events.push(Event::FabricPurged { at });
            }
            Ok::<_, ServiceError>((events.into_iter().map(Entry::Durable).collect(), ()))
        };
        let written = keeper.journal.write(decide).await;
        written.map_err(|source| ServiceError::Journal { source })??;
        if let Some(id) = keeper.journal.read(|f| f.purged.then(|| f.id.clone())) {
            self.deleted.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
        }
        Ok(())
    }

    fn purge_record(&self, (name, version): &Located) -> Record {
        let object = format!("{}/secrets/{name}/{version}", self.parts.vault.uri());
        let action = "Keyturn/passwords/purge/action";
        Record::requested("keyturn", action, &object, (self.parts.clock)())
    }

    /// Says which other fabrics refer to some of these versions.
    fn taken(&self, id: &FabricId, asked: BTreeSet<Located>) -> BTreeMap<Located, FabricId> {
        let mut others = self.all_keepers();
        others.remove(id);
        let find = |located: Located| {
            let (name, version) = &located;
            let refers = |keeper: &Keeper| {
                keeper.journal.read(|fabric| {
                    fabric.eras().any(|era| !era.values_at(name, version).is_empty())
                })
            };
            let found = others.iter().find(|(_id, keeper)| refers(keeper));
            let other = found.map(|(other, _keeper)| other.clone());
            other.map(|other| (located, other))
        };
        asked.into_iter().filter_map(find).collect()
    }

    /// Returns what lies under the names of a deleted fabric that is given up as a whole, and that
    /// no set refers to: what was made for a rotation that never began. Not what lies under a name
    /// that another fabric has taken over as an older one: it may have put it there a moment ago.
    async fn orphans(
        &self,
        keeper: &Keeper,
        going: &BTreeSet<Located>,
    ) -> Result<Vec<Located>, ServiceError> {
        let names = keeper.journal.read(|fabric| {
            let values: Vec<Value> = fabric.eras().flat_map(Fabric::values).collect();
            let all_go = values.iter().all(|value| going.contains(&value.located));
            if !fabric.deleted || fabric.purged || !all_go {
                return BTreeSet::new();
            }
            fabric.eras().flat_map(Fabric::own_secret_names).collect()
        });
        let mut orphans = Vec::new();
        for name in names.difference(&self.claimed_by_others(keeper)) {
            let versions = self.parts.vault.versions(name).await;
            let versions = versions.map_err(|source| ServiceError::Vault { source })?;
            let ours = versions.into_iter().filter(|info| !info.tag.is_of_client());
            let located = ours.map(|info| (name.clone(), info.version));
            orphans.extend(located.filter(|located| !going.contains(located)));
        }
        Ok(orphans)
    }

    /// Returns the names that all other fabrics have, had, or will have.
    fn claimed_by_others(&self, keeper: &Keeper) -> BTreeSet<SecretName> {
        let id = keeper.journal.read(|fabric| fabric.id.clone());
        let others = self.all_keepers().into_iter().filter(|(other, _keeper)| *other != id);
        let claimed = others.map(|(_other, keeper)| {
            let eras = |fabric: &Fabric| fabric.eras().flat_map(claimed).collect::<Vec<_>>();
            keeper.journal.read(eras)
        });
        claimed.flatten().collect()
    }

    fn all_keepers(&self) -> BTreeMap<FabricId, Keeper> {
        let mut all = self.deleted.read().unwrap_or_else(PoisonError::into_inner).clone();
        let fabrics = self.fabrics.read().unwrap_or_else(PoisonError::into_inner);
        all.extend(fabrics.iter().map(|(id, keeper)| (id.clone(), keeper.clone())));
        all
    }

    /// Returns the keeper of a fabric, or else of a deleted one of which something is left.
    pub(super) fn any_keeper(&self, id: &FabricId) -> Result<Keeper, ServiceError> {
        self.keeper(id).or_else(|not_found| {
            let deleted = self.deleted.read().unwrap_or_else(PoisonError::into_inner);
            deleted.get(id).cloned().ok_or(not_found)
        })
    }
}

/// The events by which versions are given up: no device's record mentions them any more.
fn given_up(fabric: &Fabric, versions: &[Located], at: Timestamp) -> Vec<Entry> {
    if versions.is_empty() {
        return Vec::new();
    }
    let (values, versions_given): (_, BTreeSet<&Located>) =
        (fabric.values(), versions.iter().collect());
    let going: Vec<&Value> =
        values.iter().filter(|value| versions_given.contains(&value.located)).collect();
    let mut entries = Vec::new();
    for (name, device) in &fabric.devices {
        let has = |value: &&&Value| fabric.secret_with(device, value).is_some();
        let forgotten =
            |value: &&Value| (value.profile.clone(), credential::Event::Purge(value.set));
        let events: Vec<(ProfileName, credential::Event)> =
            going.iter().filter(has).map(forgotten).collect();
        entries.extend(crate::execute::durable(device, name, &events, None, at));
    }
    entries.push(Event::PurgeDecided { versions: versions.to_vec(), at });
    entries.into_iter().map(Entry::Durable).collect()
}

/// Returns when the one device went that is meant.
fn which_gone(
    fabric: &Fabric,
    device: &ResourceName,
    gone_at: Option<Timestamp>,
) -> Result<Timestamp, ServiceError> {
    let gone = fabric.eras().flat_map(|era| &era.gone);
    let times = gone.filter(|gone| gone.device.spec.name == *device).map(|gone| gone.at);
    let times: BTreeSet<Timestamp> = times.collect();
    let not_found = |id: String| {
        let what = "deleted or replaced device";
        Err(ServiceError::NotFound { what, id })
    };
    match (gone_at, times.first()) {
        (Some(told), Some(_)) if times.contains(&told) => Ok(told),
        (Some(told), _) => not_found(format!("{device} that went at {told}")),
        (None, None) => not_found(device.to_string()),
        (None, Some(only)) if times.len() == 1 => Ok(*only),
        (None, Some(_)) => {
            let all: Vec<String> = times.iter().map(ToString::to_string).collect();
            let message = format!(
                "releasing what `{device}` took along is refused: several devices of that name went, \
                 at {}",
                all.join(" and at ")
            );
            let hint = "say with `--gone-at` which of them was wiped or destroyed".to_owned();
            let (code, devices) = (guard::SEVERAL_GONE, vec![device.clone()]);
            Err(ServiceError::Refused { refusal: Refusal { code, message, hint, devices } })
        }
    }
}

/// Refuses to purge what is left of deleted fabrics while devices may have it.
fn refusal(fabric: &Fabric) -> Option<Refusal> {
    const SHOWN_MAX: usize = 10;
    let eras = || fabric.eras().filter(|era| era.deleted);
    let gone = eras().flat_map(|era| &era.gone).filter(|gone| !gone.device.wiped);
    let devices: BTreeSet<ResourceName> = gone.map(|gone| gone.device.spec.name.clone()).collect();
    let mut names: Vec<String> =
        devices.iter().take(SHOWN_MAX).map(|name| format!("`{name}`")).collect();
    if devices.len() > SHOWN_MAX {
        names.push(format!("{} more", devices.len() - SHOWN_MAX));
    }
    if eras().any(|era| era.unremembered.is_some()) {
        names.push("others that were deleted before this was remembered".to_owned());
    }
    let message = format!(
        "purging what is left of deleted fabric `{}` is refused: devices may still have passwords \
         of it ({})",
        fabric.id.name(),
        names.join(", ")
    );
    let hint = "note the passwords that are still needed (`keyturn secret show --deleted-from`), \
                then purge with `--force`: nothing opens those devices afterwards"
        .to_owned();
    let (code, devices) = (guard::MAY_BE_HELD, devices.into_iter().collect());
    (!names.is_empty()).then_some(Refusal { code, message, hint, devices })
}

fn shown(era: &Fabric) -> DeletedFabric {
    let mut devices: BTreeMap<ResourceName, BTreeSet<String>> = BTreeMap::new();
    for gone in era.gone.iter().filter(|gone| !gone.device.wiped) {
        let users = gone.device.secrets.values().map(|secret| secret.user.to_string());
        devices.entry(gone.device.spec.name.clone()).or_default().extend(users);
    }
    let versions: BTreeSet<Located> = era.values().into_iter().map(|value| value.located).collect();
    DeletedFabric { id: era.id.clone(), at: era.modified, devices, versions: versions.len() }
}
