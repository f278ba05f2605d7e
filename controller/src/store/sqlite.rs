//! The embedded store: one SQLite file, one connection, one transaction per append.
//!
//! Every event carries a digest over itself and all events before it, so that a changed, missing
//! or exchanged event is noticed when the journal is loaded, also where SQLite's own structures
//! are whole. It is a check against disks, not against people: the audit log is signed, this is not.

use std::path::Path;

use async_trait::async_trait;
use aws_lc_rs::digest::{Context, SHA256};
use protocol::id::FabricId;
use sqlx::{QueryBuilder, Row, Sqlite};

use super::{Journal, Revision, Snapshot, Store, StoreError};
use crate::disk::DiskError;
use crate::disk::sqlite::{Database, Draft, Layout, Session, exists};

/// The store's file in the data directory.
pub const STORE_FILE: &str = "store.db";

/// How many events go into one statement. SQLite takes 32,766 values, and an event has four.
const ROWS_PER_STATEMENT: usize = 500;

const LAYOUT: Layout = Layout {
    what: "a Keyturn store",
    application_id: 0x4b54_5354, // "KTST"
    migrations: &[include_str!("schema-1.sql")],
};

/// A store in one file.
#[derive(Debug)]
pub struct SqliteStore {
    database: Database,
    is_new: bool,
}

impl SqliteStore {
    /// Opens the store in the file `path`, after making it if there is none. The file is made
    /// readable by its owner only. Hold a [`super::DataDirLock`] on its directory meanwhile.
    ///
    /// # Errors
    /// [`DiskError::Corrupt`] if the file is damaged or another one, [`DiskError::Newer`] if a
    /// later version of Keyturn wrote it, or another [`DiskError`]. The file is left as it is.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let is_new = !exists(path)?;
        if is_new {
            Draft::start(path, &LAYOUT).await?.publish().await?;
        }
        Ok(Self { database: Database::open(path, &LAYOUT).await?, is_new })
    }

    /// Tells whether [`SqliteStore::open`] found no file and made one: a new store beside an old
    /// vault means that the store was lost.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Ends all work and leaves everything in the one file. Without it nothing is lost either.
    ///
    /// # Errors
    /// [`DiskError`] if the file cannot be written.
    pub async fn close(self) -> Result<(), StoreError> {
        Ok(self.database.close().await?)
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn append(
        &self,
        fabric: &FabricId,
        seen: Revision,
        events: &[String],
    ) -> Result<Revision, StoreError> {
        let (fabric, events) = (fabric.clone(), events.to_vec());
        self.database
            .write(async move |mut session| {
                session.begin().await?;
                let done = append(&mut session, &fabric, seen, events).await;
                session.end(done).await
            })
            .await
    }

    async fn load(&self, fabric: &FabricId) -> Result<Journal, StoreError> {
        let fabric = fabric.clone();
        self.database
            .read(async move |mut session| {
                session.run("BEGIN").await?;
                let loaded = load(&mut session, &fabric).await;
                session.end(loaded).await
            })
            .await
    }

    async fn snapshot(
        &self,
        fabric: &FabricId,
        at: Revision,
        state: &str,
    ) -> Result<(), StoreError> {
        let (fabric, state) = (fabric.clone(), state.to_owned());
        self.database
            .write(async move |mut session| {
                session.begin().await?;
                let done = snapshot(&mut session, &fabric, at, state).await;
                session.end(done).await
            })
            .await
    }

    async fn link(&self, fabric: &FabricId, at: Revision) -> Result<Option<String>, StoreError> {
        let key = key(fabric);
        self.database.read(async move |mut session| link_at(&mut session, &key, at).await).await
    }

    async fn fabrics(&self) -> Result<Vec<FabricId>, StoreError> {
        self.database.read(async move |mut session| fabrics(&mut session).await).await
    }
}

/// Where the journal of a fabric ends.
struct Head {
    id: i64,
    revision: Revision,
    digest: Digest,
}

type Digest = [u8; 32];

/// Returns the name that a fabric has in the file: its id in lower case.
fn key(fabric: &FabricId) -> String {
    fabric.to_string().to_ascii_lowercase()
}

/// Returns the digest that stands before the first event.
fn first_link(key: &str) -> Digest {
    hash(&[b"keyturn journal 1\n", key.as_bytes()])
}

fn link(before: &Digest, event: &str) -> Digest {
    hash(&[before, event.as_bytes()])
}

fn hash(parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

fn number(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
}

fn column<'r, T>(
    session: &Session,
    row: &'r sqlx::sqlite::SqliteRow,
    name: &str,
) -> Result<T, DiskError>
where
    T: sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>,
{
    row.try_get(name).map_err(|error| session.health.fail("read", error))
}

fn digest(session: &Session, row: &sqlx::sqlite::SqliteRow) -> Result<Digest, DiskError> {
    let bytes: &[u8] = column(session, row, "digest")?;
    bytes.try_into().map_err(|_source| session.health.corrupt("a digest of 32 bytes"))
}

fn revision(session: &Session, row: &sqlx::sqlite::SqliteRow) -> Result<Revision, DiskError> {
    let number: i64 = column(session, row, "revision")?;
    u64::try_from(number).map(Revision).map_err(|_source| session.health.corrupt("a revision"))
}

async fn head(session: &mut Session, key: &str) -> Result<Option<Head>, DiskError> {
    let row = sqlx::query("SELECT id, revision, digest FROM fabric WHERE key = ?1")
        .bind(key)
        .fetch_optional(session.connection())
        .await
        .map_err(|error| session.health.fail("read", error))?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Head {
        id: column(session, &row, "id")?,
        revision: revision(session, &row)?,
        digest: digest(session, &row)?,
    }))
}

async fn append(
    session: &mut Session,
    fabric: &FabricId,
    seen: Revision,
    events: Vec<String>,
) -> Result<Revision, StoreError> {
    let key = key(fabric);
    let head = head(session, &key).await?;
    let now = head.as_ref().map_or(Revision::ZERO, |head| head.revision);
    if now != seen {
        return Err(StoreError::Conflict { seen, now });
    }
    if events.is_empty() {
        return Ok(now);
    }
    let head = match head {
        Some(head) => head,
        None => add_fabric(session, fabric, &key).await?,
    };
    let mut digest = head.digest;
    let mut at = now;
    let rows: Vec<(i64, String, Digest)> = events
        .into_iter()
        .map(|event| {
            digest = link(&digest, &event);
            at = at.after(1);
            (number(at), event, digest)
        })
        .collect();
    insert(session, head.id, rows).await?;
    sqlx::query("UPDATE fabric SET revision = ?1, digest = ?2 WHERE id = ?3")
        .bind(number(at))
        .bind(digest.as_slice().to_vec())
        .bind(head.id)
        .execute(session.connection())
        .await
        .map_err(|error| session.health.fail("write", error))?;
    Ok(at)
}

async fn add_fabric(
    session: &mut Session,
    fabric: &FabricId,
    key: &str,
) -> Result<Head, DiskError> {
    let digest = first_link(key);
    let id = sqlx::query_scalar(
        "INSERT INTO fabric (key, name, revision, digest) VALUES (?1, ?2, 0, ?3) RETURNING id",
    )
    .bind(key)
    .bind(fabric.to_string())
    .bind(digest.as_slice().to_vec())
    .fetch_one(session.connection())
    .await
    .map_err(|error| session.health.fail("write", error))?;
    Ok(Head { id, revision: Revision::ZERO, digest })
}

async fn insert(
    session: &mut Session,
    fabric: i64,
    rows: Vec<(i64, String, Digest)>,
) -> Result<(), DiskError> {
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut statement: QueryBuilder<Sqlite> =
            QueryBuilder::new("INSERT INTO event (fabric, revision, body, digest) ");
        let some = rows.by_ref().take(ROWS_PER_STATEMENT);
        statement.push_values(some, |mut values, (revision, body, digest)| {
            values.push_bind(fabric).push_bind(revision).push_bind(body);
            values.push_bind(digest.as_slice().to_vec());
        });
        statement
            .build()
            .execute(session.connection())
            .await
            .map_err(|error| session.health.fail("write", error))?;
    }
    Ok(())
}

async fn load(session: &mut Session, fabric: &FabricId) -> Result<Journal, StoreError> {
    let key = key(fabric);
    let Some(head) = head(session, &key).await? else {
        return Ok(Journal::default());
    };
    let (snapshot, before) = match newest_snapshot(session, &head).await? {
        Some((snapshot, digest)) => (Some(snapshot), digest),
        None => (None, first_link(&key)),
    };
    let from = snapshot.as_ref().map_or(Revision::ZERO, |snapshot| snapshot.at);
    let events = events_after(session, &head, from, before).await?;
    Ok(Journal { snapshot, events, revision: head.revision })
}

/// Returns the events after `from`, whose digest is `before`, up to the head.
async fn events_after(
    session: &mut Session,
    head: &Head,
    from: Revision,
    before: Digest,
) -> Result<Vec<String>, DiskError> {
    let rows = sqlx::query(
        "SELECT revision, body, digest FROM event WHERE fabric = ?1 AND revision > ?2 \
         ORDER BY revision",
    )
    .bind(head.id)
    .bind(number(from))
    .fetch_all(session.connection())
    .await
    .map_err(|error| session.health.fail("read", error))?;
    let (mut at, mut last) = (from, before);
    let mut events = Vec::with_capacity(rows.len());
    for row in &rows {
        let body: String = column(session, row, "body")?;
        at = at.after(1);
        last = link(&last, &body);
        if revision(session, row)? != at || digest(session, row)? != last {
            return Err(session.health.corrupt(format!("event {at} as it was appended")));
        }
        events.push(body);
    }
    if at != head.revision || last != head.digest {
        return Err(session.health.corrupt(format!("{} events, found {at}", head.revision)));
    }
    Ok(events)
}

/// Returns the newest snapshot and the digest of the last event in it.
async fn newest_snapshot(
    session: &mut Session,
    head: &Head,
) -> Result<Option<(Snapshot, Digest)>, DiskError> {
    let row = sqlx::query(
        "SELECT snapshot.revision, snapshot.state, snapshot.digest, event.digest AS link \
         FROM snapshot LEFT JOIN event USING (fabric, revision) WHERE fabric = ?1",
    )
    .bind(head.id)
    .fetch_optional(session.connection())
    .await
    .map_err(|error| session.health.fail("read", error))?;
    let Some(row) = row else { return Ok(None) };
    let at = revision(session, &row)?;
    let state: String = column(session, &row, "state")?;
    let last: Vec<u8> = column(session, &row, "link")?;
    let wanted = snapshot_digest(&last, &state);
    let Ok(last) = Digest::try_from(last) else {
        return Err(session.health.corrupt("a digest of 32 bytes"));
    };
    if digest(session, &row)? != wanted || at > head.revision {
        return Err(session.health.corrupt(format!("the snapshot at {at} as it was taken")));
    }
    Ok(Some((Snapshot { at, state }, last)))
}

fn snapshot_digest(last: &[u8], state: &str) -> Digest {
    hash(&[b"keyturn snapshot 1\n", last, state.as_bytes()])
}

async fn snapshot(
    session: &mut Session,
    fabric: &FabricId,
    at: Revision,
    state: String,
) -> Result<(), StoreError> {
    let head = head(session, &key(fabric)).await?;
    let now = head.as_ref().map_or(Revision::ZERO, |head| head.revision);
    if at > now {
        return Err(StoreError::Ahead { at, now });
    }
    // At revision 0 there is no state to note: that is where every load starts anyway.
    let Some(head) = head.filter(|_| at > Revision::ZERO) else {
        return Ok(());
    };
    let last: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT digest FROM event WHERE fabric = ?1 AND revision = ?2")
            .bind(head.id)
            .bind(number(at))
            .fetch_optional(session.connection())
            .await
            .map_err(|error| session.health.fail("read", error))?;
    let Some(last) = last else {
        return Err(session.health.corrupt(format!("an event {at}")).into());
    };
    let digest = snapshot_digest(&last, &state);
    sqlx::query(
        "INSERT INTO snapshot (fabric, revision, state, digest) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (fabric) DO UPDATE SET revision = excluded.revision, \
         state = excluded.state, digest = excluded.digest \
         WHERE excluded.revision > snapshot.revision",
    )
    .bind(head.id)
    .bind(number(at))
    .bind(state)
    .bind(digest.as_slice().to_vec())
    .execute(session.connection())
    .await
    .map_err(|error| session.health.fail("write", error))?;
    Ok(())
}

async fn link_at(
    session: &mut Session,
    key: &str,
    at: Revision,
) -> Result<Option<String>, StoreError> {
    let digest: Option<Vec<u8>> = sqlx::query_scalar(
        "SELECT event.digest FROM event JOIN fabric ON fabric.id = event.fabric \
         WHERE fabric.key = ?1 AND event.revision = ?2",
    )
    .bind(key)
    .bind(number(at))
    .fetch_optional(session.connection())
    .await
    .map_err(|error| session.health.fail("read", error))?;
    Ok(digest.map(hex::encode))
}

async fn fabrics(session: &mut Session) -> Result<Vec<FabricId>, StoreError> {
    let names: Vec<String> = sqlx::query_scalar("SELECT name FROM fabric ORDER BY key")
        .fetch_all(session.connection())
        .await
        .map_err(|error| session.health.fail("read", error))?;
    let parse = |name: String| {
        let id: Result<FabricId, _> = name.parse();
        id.map_err(|_source| session.health.corrupt("the ids of fabrics").into())
    };
    names.into_iter().map(parse).collect()
}

#[cfg(test)]
mod tests;
