//! Putting a set: nothing is stored that was stored before, and all refusals come first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use protocol::id::SecretVersion;
use protocol::password::Password;
use serde::Serialize;

use super::{AT_ONCE, ONLY, Shared, TAG, key, version, will_be_deleted};
use crate::kv2::Kv2Error;
use crate::naming::SecretName;
use crate::vault::{Tag, VaultError};

/// A value to be put, owned: the put ends even if its caller does not wait.
pub(super) struct Item {
    name: SecretName,
    version: SecretVersion,
    tag: Tag,
    value: Password,
}

/// What a key is written with.
#[derive(Serialize)]
struct New<'a> {
    value: &'a str,
}

/// What there is of a version before it is put.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    /// It is there, also if it is disabled.
    Stored,
    /// It is there, and the engine is going to delete it.
    Ends,
    Purged,
}

/// How far a put has come.
#[derive(Default)]
struct Course {
    stored: AtomicUsize,
    is_over: AtomicBool,
}

impl Item {
    pub(super) fn new(name: &SecretName, tag: &Tag, value: &Password) -> Self {
        let (name, tag, value) = (name.clone(), tag.clone(), value.duplicate());
        Self { version: version(&name, &tag), name, tag, value }
    }

    fn key(&self) -> String {
        key(&self.name, &self.version.0)
    }

    fn purged(&self) -> VaultError {
        VaultError::Purged { name: self.name.clone(), version: self.version.clone() }
    }
}

impl Shared {
    /// Puts all that is not there yet, and returns the versions in the order of the items.
    pub(super) async fn put(
        self: Arc<Self>,
        items: Vec<Item>,
    ) -> Result<Vec<SecretVersion>, VaultError> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        self.check_mount().await?;
        let versions = items.iter().map(|item| item.version.clone()).collect();
        let asked = items.len();
        let looked = self.look(items).await?;
        let course = Course::default();
        // Nobody is left half-way: what is on its way when one fails is waited for.
        let putting = stream::iter(looked).map(|line| self.put_line(line, &course));
        let ended: Vec<_> = putting.buffer_unordered(AT_ONCE).collect().await;
        let mut failures: Vec<_> = ended.into_iter().filter_map(Result::err).collect();
        // One after which a value may be stored says more than one after which none is.
        failures.sort_by_key(|failure| !failure.is_outcome_unknown());
        match (failures.into_iter().next(), course.stored.into_inner()) {
            (None, _) => Ok(versions),
            (Some(failure), 0) => Err(failure),
            (Some(source), stored) => {
                Err(VaultError::Partial { asked, stored, source: Box::new(source) })
            }
        }
    }

    /// Looks at all versions before the first change, and returns the items of each name in order.
    async fn look(&self, items: Vec<Item>) -> Result<Vec<Vec<(Item, Before)>>, VaultError> {
        let looking = stream::iter(items).map(|item| async move {
            match self.before(&item).await? {
                Before::Purged => Err(item.purged()),
                before => Ok::<_, VaultError>((item, before)),
            }
        });
        let looked: Vec<_> = looking.buffered(AT_ONCE).try_collect().await?;
        let mut lines: BTreeMap<SecretName, Vec<_>> = BTreeMap::new();
        for (item, before) in looked {
            lines.entry(item.name.clone()).or_default().push((item, before));
        }
        Ok(lines.into_values().collect())
    }

    async fn before(&self, item: &Item) -> Result<Before, Kv2Error> {
        let known = self.client.metadata(&item.key()).await?;
        let state = known.as_ref().and_then(|known| known.version(ONLY));
        Ok(match state {
            None => Before::Nothing,
            Some(state) if state.destroyed => Before::Purged,
            Some(state) if will_be_deleted(state, (self.clock)()) => Before::Ends,
            Some(_state) => Before::Stored,
        })
    }

    /// Puts the items of one name, one after the other, unless the put of another one has failed.
    async fn put_line(&self, line: Vec<(Item, Before)>, course: &Course) -> Result<(), VaultError> {
        for (item, before) in line {
            if course.is_over.load(Ordering::SeqCst) {
                break;
            }
            let put = match before {
                Before::Nothing => self.write(&item, course).await,
                Before::Ends => self.keep(&item).await,
                Before::Stored | Before::Purged => Ok(()),
            };
            if let Err(error) = put {
                course.is_over.store(true, Ordering::SeqCst);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn write(&self, item: &Item, course: &Course) -> Result<(), VaultError> {
        let key = item.key();
        // First what it was put for: a value that is there can always be told from others.
        let tag = item.tag.as_str();
        let custom = [(TAG, tag)].into_iter().filter(|(_key, tag)| !tag.is_empty()).collect();
        self.client.describe(&key, &custom, None).await?;
        let new = New { value: item.value.expose() };
        match self.client.write(&key, &new, 0).await {
            Ok(written) => {
                course.stored.fetch_add(1, Ordering::SeqCst);
                match written.deletion_time {
                    never if never.is_empty() => Ok(()),
                    at => Err(self.forgetful(at, true).into()),
                }
            }
            // Another controller was faster, or an earlier attempt whose answer was lost.
            Err(Kv2Error::Conflict { doing, vault }) => match self.before(item).await? {
                Before::Stored => Ok(()),
                Before::Ends => self.keep(item).await,
                Before::Purged => Err(item.purged()),
                Before::Nothing => Err(Kv2Error::Conflict { doing, vault }.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Takes back that the engine is going to delete a version: it was written while the mount said so.
    async fn keep(&self, item: &Item) -> Result<(), VaultError> {
        self.client.undelete(&item.key(), &[ONLY]).await?;
        match self.before(item).await? {
            Before::Ends => Err(self.forgetful("a while".to_owned(), true).into()),
            _ => Ok(()),
        }
    }
}
