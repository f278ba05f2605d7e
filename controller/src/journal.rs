//! The one writer of a fabric's journal in this process.
//!
//! A caller hands in a decision: a function of the fabric's state that returns events or refuses.
//! The writer takes all decisions that have queued up while the disk was busy, lets each see what
//! the ones before it decided, appends all their events in one durable commit, and only then
//! publishes the new state and answers. If the append fails, nothing is published and every caller
//! of the batch is told; so an answer always means that the events are durable.
//!
//! Events that are marked [`Entry::Passing`] are not appended: they are states of the protocol from
//! which a restart goes back to the last durable one.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use protocol::id::FabricId;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::error::Fault;
use crate::model::{Event, Fabric};
use crate::store::{Revision, Store, StoreError};

/// Decisions in one commit at most: bounds the time that a caller waits behind others.
const BATCH_MAX: usize = 4096;

/// How long the writer rests after a commit that several callers have waited for. The ones that come
/// meanwhile share the next commit: with a thousand devices at work there is always another one, and
/// a disk that is quick makes a commit of each, which costs more than all that is decided.
const REST: Duration = Duration::from_millis(5);

/// Decisions that may wait; more callers than this wait for a place.
const QUEUE_MAX: usize = 16_384;

/// Events after which a snapshot is written: replaying this many takes well under a second.
const SNAPSHOT_EVENTS: u64 = 20_000;

/// Tells why a journal could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The store refused. Shared by all callers of the batch.
    #[error("write the journal of fabric `{fabric}`")]
    Store {
        /// The fabric.
        fabric: String,
        /// What the store said.
        #[source]
        source: Arc<StoreError>,
    },
    /// An event cannot be written as JSON.
    #[error("put an event of fabric `{fabric}` into words")]
    Encode {
        /// The fabric.
        fabric: String,
        /// What is wrong with it.
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// An event in the store cannot be read.
    #[error("read event {at} of the journal of fabric `{fabric}`")]
    Event {
        /// The fabric.
        fabric: String,
        /// Which event after the snapshot; 0 is the snapshot itself.
        at: usize,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A journal whose first event does not declare the fabric.
    #[error("find the declaration of fabric `{fabric}` at the start of its journal")]
    Undeclared {
        /// The fabric.
        fabric: String,
    },
    /// The writer has stopped.
    #[error("reach the writer of the journal of fabric `{fabric}`")]
    Stopped {
        /// The fabric.
        fabric: String,
    },
}

impl JournalError {
    /// Says what mends it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store { source, .. } => source.hint(),
            Self::Event { .. } | Self::Undeclared { .. } => {
                Some("restore the store from a backup; nothing was changed".to_owned())
            }
            Self::Stopped { .. } => Some("restart the daemon".to_owned()),
            Self::Encode { .. } => Some("report this as a bug".to_owned()),
        }
    }

    /// Says whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Store { source, .. } => source.fault(),
            Self::Event { .. } | Self::Undeclared { .. } => Fault::Vault,
            Self::Encode { .. } | Self::Stopped { .. } => Fault::Bug,
        }
    }
}

/// Why a batch was not written.
#[derive(Clone)]
enum Unwritten {
    Store(Arc<StoreError>),
    Encode(Arc<serde_json::Error>),
}

impl Unwritten {
    fn of(self, id: &FabricId) -> JournalError {
        let fabric = id.to_string();
        match self {
            Self::Store(source) => JournalError::Store { fabric, source },
            Self::Encode(source) => JournalError::Encode { fabric, source },
        }
    }
}

/// One event of a decision.
#[derive(Clone, Debug)]
pub enum Entry {
    /// Must be durable before anything follows from it.
    Durable(Event),
    /// Need not survive a restart.
    Passing(Event),
}

impl Entry {
    fn event(&self) -> &Event {
        match self {
            Self::Durable(event) | Self::Passing(event) => event,
        }
    }
}

type Answer = Box<dyn FnOnce(Result<(), Unwritten>) + Send>;
type Decide = Box<dyn FnOnce(&Fabric) -> (Vec<Entry>, Answer) + Send>;

/// A handle to a fabric's journal and state. Clones share both.
#[derive(Clone)]
pub struct Journal {
    id: FabricId,
    decisions: mpsc::Sender<Decide>,
    state: Arc<RwLock<Fabric>>,
    changes: watch::Receiver<Revision>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Journal({})", self.id)
    }
}

impl Journal {
    /// Loads a fabric and starts its writer. `declare` is the state of a fabric that the store does
    /// not know yet; its first decision should be a [`Event::FabricDeclared`].
    ///
    /// # Errors
    /// Returns [`JournalError`] where the store cannot be read.
    pub async fn open(
        store: Arc<dyn Store>,
        id: FabricId,
        declare: Option<Fabric>,
    ) -> Result<Self, JournalError> {
        let (fabric, revision, snapshot_at) = load(&*store, &id, declare).await?;
        let state = Arc::new(RwLock::new(fabric.clone()));
        let (decisions, queue) = mpsc::channel(QUEUE_MAX);
        let (publish, changes) = watch::channel(revision);
        let published = Arc::clone(&state);
        let writer = Writer {
            store,
            id: id.clone(),
            draft: fabric,
            published,
            revision,
            snapshot_at,
            publish,
        };
        tokio::spawn(writer.run(queue));
        Ok(Self { id, decisions, state, changes })
    }

    /// Reads the published state. The function must be short: writers wait for it.
    pub fn read<T>(&self, look: impl FnOnce(&Fabric) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns how many events are durable.
    #[must_use]
    pub fn revision(&self) -> Revision {
        *self.changes.borrow()
    }

    /// Returns a receiver that is marked whenever the state has changed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Revision> {
        self.changes.clone()
    }

    /// Decides on the state as it is when its turn comes, and returns once the events are durable.
    /// A decision that refuses (`Err`) writes nothing.
    ///
    /// # Errors
    /// The outer error is the journal's, the inner one the decision's own.
    pub async fn write<T, E>(
        &self,
        decide: impl FnOnce(&Fabric) -> Result<(Vec<Entry>, T), E> + Send + 'static,
    ) -> Result<Result<T, E>, JournalError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let decision: Decide = Box::new(move |fabric| match decide(fabric) {
            Ok((entries, value)) => {
                let tell = move |written: Result<(), Unwritten>| {
                    // A caller that has gone away does not undo what is durable.
                    let _gone = answer.send(written.map(|()| Ok(value)));
                };
                (entries, Box::new(tell) as Answer)
            }
            Err(refusal) => {
                let tell = move |_written: Result<(), Unwritten>| {
                    let _gone = answer.send(Ok(Err(refusal)));
                };
                (Vec::new(), Box::new(tell) as Answer)
            }
        });
        let stopped = || JournalError::Stopped { fabric: self.id.to_string() };
        self.decisions.send(decision).await.map_err(|_closed| stopped())?;
        let written = answered.await.map_err(|_closed| stopped())?;
        written.map_err(|unwritten| unwritten.of(&self.id))
    }
}

async fn load(
    store: &dyn Store,
    id: &FabricId,
    declare: Option<Fabric>,
) -> Result<(Fabric, Revision, Revision), JournalError> {
    let failed = |source| JournalError::Store { fabric: id.to_string(), source: Arc::new(source) };
    let unreadable =
        |at: usize| move |source| JournalError::Event { fabric: id.to_string(), at, source };
    let journal = store.load(id).await.map_err(failed)?;
    let mut snapshot_at = Revision::ZERO;
    let mut fabric = match journal.snapshot {
        Some(snapshot) => {
            snapshot_at = snapshot.at;
            let mut fabric: Fabric =
                serde_json::from_str(&snapshot.state).map_err(unreadable(0))?;
            fabric.share();
            Some(fabric)
        }
        None => declare,
    };
    for (at, text) in journal.events.iter().enumerate() {
        let event: Event = serde_json::from_str(text).map_err(unreadable(at + 1))?;
        if let (None, Event::FabricDeclared { spec, at }) = (&fabric, &event) {
            fabric = Some(Fabric::new(id.clone(), spec.clone(), *at));
        }
        if let Some(fabric) = &mut fabric {
            fabric.apply(&event);
        }
    }
    let fabric = fabric.ok_or_else(|| JournalError::Undeclared { fabric: id.to_string() })?;
    Ok((fabric, journal.revision, snapshot_at))
}

struct Writer {
    store: Arc<dyn Store>,
    id: FabricId,
    /// The state with all decisions of the batch in it, durable or not.
    draft: Fabric,
    published: Arc<RwLock<Fabric>>,
    revision: Revision,
    snapshot_at: Revision,
    publish: watch::Sender<Revision>,
}

impl Writer {
    async fn run(mut self, mut queue: mpsc::Receiver<Decide>) {
        let mut batch = Vec::new();
        let mut rested = Instant::now();
        while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
            sleep_until(rested).await;
            while batch.len() < BATCH_MAX
                && let Ok(decision) = queue.try_recv()
            {
                batch.push(decision);
            }
            let (entries, answers) = self.decide(&mut batch);
            let written = self.commit(&entries).await;
            match &written {
                Ok(()) => self.show(&entries),
                Err(_) => self.forget(),
            }
            let is_durable = entries.iter().any(|entry| matches!(entry, Entry::Durable(_)));
            if is_durable && answers.len() > 1 {
                rested = Instant::now() + REST;
            }
            for answer in answers {
                answer(written.clone());
            }
            if written.is_ok() {
                self.snapshot_if_due().await;
            }
        }
    }

    fn decide(&mut self, batch: &mut Vec<Decide>) -> (Vec<Entry>, Vec<Answer>) {
        let mut entries = Vec::new();
        let mut answers = Vec::with_capacity(batch.len());
        for decision in batch.drain(..) {
            let (decided, answer) = decision(&self.draft);
            for entry in &decided {
                self.draft.apply(entry.event());
            }
            entries.extend(decided);
            answers.push(answer);
        }
        (entries, answers)
    }

    async fn commit(&mut self, entries: &[Entry]) -> Result<(), Unwritten> {
        let mut texts = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Entry::Durable(event) = entry {
                let text = serde_json::to_string(event);
                texts.push(text.map_err(|source| Unwritten::Encode(Arc::new(source)))?);
            }
        }
        if texts.is_empty() {
            return Ok(());
        }
        match self.store.append(&self.id, self.revision, &texts).await {
            Ok(revision) => {
                self.revision = revision;
                Ok(())
            }
            Err(source) => {
                tracing::error!(fabric = %self.id.name(), error = %source, "journal not written");
                Err(Unwritten::Store(Arc::new(source)))
            }
        }
    }

    fn show(&self, entries: &[Entry]) {
        if entries.is_empty() {
            return;
        }
        let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            published.apply(entry.event());
        }
        drop(published);
        self.publish.send_replace(self.revision);
    }

    /// Takes the batch's decisions back.
    fn forget(&mut self) {
        self.draft = self.published.read().unwrap_or_else(PoisonError::into_inner).clone();
    }

    async fn snapshot_if_due(&mut self) {
        if self.revision.0.saturating_sub(self.snapshot_at.0) < SNAPSHOT_EVENTS {
            return;
        }
        let state = match serde_json::to_string(&self.draft) {
            Ok(state) => state,
            Err(source) => {
                tracing::error!(fabric = %self.id.name(), error = %source, "no snapshot");
                return;
            }
        };
        // A missing snapshot only makes the next start slower, so that its failure is told and
        // the work goes on.
        match self.store.snapshot(&self.id, self.revision, &state).await {
            Ok(()) => self.snapshot_at = self.revision,
            Err(source) => {
                tracing::warn!(fabric = %self.id.name(), error = %source, "no snapshot");
            }
        }
    }
}
