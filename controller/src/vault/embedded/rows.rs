//! The statements of the embedded vault. Only sealed values pass through here.

use protocol::id::SecretVersion;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::super::{Mark, Tag, VersionInfo};
use crate::disk::DiskError;
use crate::disk::sqlite::Session;
use crate::naming::SecretName;

/// How many rows go into one statement. SQLite takes 32,766 values, and a row has at most seven.
const ROWS_PER_STATEMENT: usize = 500;

/// A version as it is in the file.
pub(super) struct Row {
    pub(super) number: i64,
    pub(super) name: String,
    pub(super) info: VersionInfo,
    pub(super) enabled: bool,
    pub(super) data_key: i64,
    /// The sealed value; `None` once it is purged.
    pub(super) value: Option<Vec<u8>>,
}

/// A version on its way into the file.
pub(super) struct NewRow {
    pub(super) name: SecretName,
    pub(super) info: VersionInfo,
    pub(super) data_key: i64,
    pub(super) value: Vec<u8>,
}

pub(super) fn read_failed(session: &Session, error: sqlx::Error) -> DiskError {
    session.health.fail("read", error)
}

fn write_failed(session: &Session, error: sqlx::Error) -> DiskError {
    session.health.fail("write", error)
}

pub(super) fn take<'r, T>(session: &Session, row: &'r SqliteRow, name: &str) -> Result<T, DiskError>
where
    T: sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>,
{
    row.try_get(name).map_err(|error| read_failed(session, error))
}

pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn positive(session: &Session, value: i64) -> Result<u64, DiskError> {
    u64::try_from(value).map_err(|_source| session.health.corrupt("a number of 0 or more"))
}

fn info(session: &Session, row: &SqliteRow) -> Result<VersionInfo, DiskError> {
    let (version, tag): (String, String) =
        (take(session, row, "version")?, take(session, row, "tag")?);
    Ok(VersionInfo {
        version: SecretVersion(version.into()),
        created: positive(session, take(session, row, "created")?)?,
        enabled: take::<i64>(session, row, "enabled")? != 0,
        tag: Tag::new(&tag),
    })
}

pub(super) fn version_row(session: &Session, row: &SqliteRow) -> Result<Row, DiskError> {
    let info = info(session, row)?;
    Ok(Row {
        number: take(session, row, "number")?,
        name: take(session, row, "name")?,
        enabled: info.enabled,
        info,
        data_key: take(session, row, "data_key")?,
        value: take(session, row, "value")?,
    })
}

/// A statement with its values.
pub(super) type Statement<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// Carries out a statement that gives nothing back.
pub(super) async fn execute(session: &mut Session, query: Statement<'_>) -> Result<(), DiskError> {
    let done = query.execute(session.connection()).await;
    done.map(|_| ()).map_err(|error| write_failed(session, error))
}

/// Notes which key the vault belongs to.
pub(super) async fn add_proof(
    session: &mut Session,
    key_id: &str,
    proof: Vec<u8>,
) -> Result<(), DiskError> {
    let query = sqlx::query("INSERT INTO vault (id, key_id, proof) VALUES (1, ?1, ?2)")
        .bind(key_id)
        .bind(proof);
    execute(session, query).await
}

/// Returns the id of the vault's key and the text sealed with it.
pub(super) async fn proof(session: &mut Session) -> Result<(String, Vec<u8>), DiskError> {
    sqlx::query_as("SELECT key_id, proof FROM vault WHERE id = 1")
        .fetch_one(session.connection())
        .await
        .map_err(|error| read_failed(session, error))
}

/// Returns what tells an older copy of the file from it.
pub(super) async fn mark(session: &mut Session) -> Result<Mark, DiskError> {
    let (vault, serial, note): (String, i64, String) =
        sqlx::query_as("SELECT vault, serial, note FROM mark WHERE id = 1")
            .fetch_one(session.connection())
            .await
            .map_err(|error| read_failed(session, error))?;
    Ok(Mark { vault, serial: positive(session, serial)?, note })
}

/// Raises the mark, in a transaction of its own.
pub(super) async fn raise_mark(
    session: &mut Session,
    serial: u64,
    note: String,
) -> Result<(), DiskError> {
    let query = sqlx::query("UPDATE mark SET serial = ?1, note = ?2 WHERE id = 1 AND serial <= ?1")
        .bind(number(serial))
        .bind(note);
    execute(session, query).await
}

/// Adds a data key.
pub(super) async fn add_data_key(
    session: &mut Session,
    key: i64,
    key_id: &str,
    wrapped: Vec<u8>,
    now: u64,
) -> Result<(), DiskError> {
    let query = sqlx::query(
        "INSERT INTO data_key (number, key_id, wrapped, created, used) VALUES (?1, ?2, ?3, ?4, 0)",
    )
    .bind(key)
    .bind(key_id)
    .bind(wrapped)
    .bind(number(now));
    execute(session, query).await
}

/// Returns the id of the key that a data key is sealed with, and the sealed data key.
pub(super) async fn data_key(
    session: &mut Session,
    key: i64,
) -> Result<Option<(String, Vec<u8>)>, DiskError> {
    sqlx::query_as("SELECT key_id, wrapped FROM data_key WHERE number = ?1")
        .bind(key)
        .fetch_optional(session.connection())
        .await
        .map_err(|error| read_failed(session, error))
}

/// Returns the numbers of all data keys.
pub(super) async fn data_keys(session: &mut Session) -> Result<Vec<i64>, DiskError> {
    sqlx::query_scalar("SELECT number FROM data_key ORDER BY number")
        .fetch_all(session.connection())
        .await
        .map_err(|error| read_failed(session, error))
}

/// Puts a data key that is sealed with another key in the place of what is there.
pub(super) async fn reseal(
    session: &mut Session,
    key: i64,
    key_id: &str,
    wrapped: Vec<u8>,
) -> Result<(), DiskError> {
    let query = sqlx::query("UPDATE data_key SET key_id = ?1, wrapped = ?2 WHERE number = ?3")
        .bind(key_id)
        .bind(wrapped)
        .bind(key);
    execute(session, query).await
}

/// Notes that the vault belongs to another key now.
pub(super) async fn replace_proof(
    session: &mut Session,
    key_id: &str,
    proof: Vec<u8>,
) -> Result<(), DiskError> {
    let query = sqlx::query("UPDATE vault SET key_id = ?1, proof = ?2 WHERE id = 1")
        .bind(key_id)
        .bind(proof);
    execute(session, query).await
}

/// Returns the number of the newest data key and how many values it has sealed.
pub(super) async fn newest_data_key(session: &mut Session) -> Result<(i64, u64), DiskError> {
    let (newest, used): (i64, i64) =
        sqlx::query_as("SELECT number, used FROM data_key ORDER BY number DESC LIMIT 1")
            .fetch_one(session.connection())
            .await
            .map_err(|error| read_failed(session, error))?;
    Ok((newest, positive(session, used)?))
}

/// Notes that a data key has sealed `count` more values.
pub(super) async fn count_used(
    session: &mut Session,
    key: i64,
    count: u64,
) -> Result<(), DiskError> {
    let query = sqlx::query("UPDATE data_key SET used = used + ?1 WHERE number = ?2")
        .bind(number(count))
        .bind(key);
    execute(session, query).await
}

/// Adds versions; one whose name and tag are there already is passed over.
pub(super) async fn add(session: &mut Session, rows: Vec<NewRow>) -> Result<(), DiskError> {
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut statement: QueryBuilder<Sqlite> = QueryBuilder::new(
            "INSERT INTO secret (name, version, tag, created, enabled, data_key, value) ",
        );
        let some = rows.by_ref().take(ROWS_PER_STATEMENT);
        statement.push_values(some, |mut values, row| {
            values.push_bind(row.name.as_str().to_owned());
            values.push_bind(row.info.version.0.to_string());
            values.push_bind(row.info.tag.as_str().to_owned());
            values.push_bind(number(row.info.created));
            values.push_bind(i64::from(row.info.enabled));
            values.push_bind(row.data_key).push_bind(row.value);
        });
        statement.push(" ON CONFLICT (name, tag) DO NOTHING");
        statement
            .build()
            .execute(session.connection())
            .await
            .map_err(|error| write_failed(session, error))?;
    }
    Ok(())
}

/// Returns the version for each name and tag, and whether it has been purged. All are there.
pub(super) async fn by_tag(
    session: &mut Session,
    wanted: &[(SecretName, Tag)],
) -> Result<Vec<(SecretVersion, bool)>, DiskError> {
    let keys = wanted.iter().map(|(name, tag)| (name.as_str(), tag.as_str()));
    let found = join(session, "tag", keys.collect()).await?;
    let versions: Vec<_> =
        found.into_iter().flatten().map(|row| (row.info.version, row.value.is_none())).collect();
    if versions.len() != wanted.len() {
        return Err(session.health.corrupt("the versions that were just written"));
    }
    Ok(versions)
}

/// Returns the row for each name and version, `None` where there is none.
pub(super) async fn find(
    session: &mut Session,
    wanted: &[(SecretName, SecretVersion)],
) -> Result<Vec<Option<Row>>, DiskError> {
    let keys = wanted.iter().map(|(name, version)| (name.as_str(), &*version.0));
    join(session, "version", keys.collect()).await
}

/// Returns the row for each pair of a name and a value of `column`, in their order.
async fn join(
    session: &mut Session,
    column: &'static str,
    keys: Vec<(&str, &str)>,
) -> Result<Vec<Option<Row>>, DiskError> {
    let mut found: Vec<Option<Row>> = Vec::with_capacity(keys.len());
    for some in keys.chunks(ROWS_PER_STATEMENT) {
        let start = found.len();
        found.resize_with(start + some.len(), || None);
        let mut statement: QueryBuilder<Sqlite> =
            QueryBuilder::new("WITH wanted (at, name, key) AS (");
        statement.push_values(some.iter().enumerate(), |mut values, (at, (name, key))| {
            values.push_bind(number(at as u64));
            values.push_bind((*name).to_owned()).push_bind((*key).to_owned());
        });
        statement.push(
            ") SELECT wanted.at, secret.* FROM wanted JOIN secret \
             ON secret.name = wanted.name AND wanted.key = secret.",
        );
        statement.push(column);
        let rows = statement.build().fetch_all(session.connection()).await;
        for row in rows.map_err(|error| read_failed(session, error))? {
            let at = positive(session, take(session, &row, "at")?)?;
            let slot = usize::try_from(at).ok().and_then(|at| found.get_mut(start + at));
            if let Some(slot) = slot {
                *slot = Some(version_row(session, &row)?);
            }
        }
    }
    Ok(found)
}

/// Returns what is known of the versions of a secret that have not been purged, oldest first.
pub(super) async fn versions(
    session: &mut Session,
    name: &SecretName,
) -> Result<Vec<VersionInfo>, super::VaultError> {
    let rows = sqlx::query(
        "SELECT version, tag, created, enabled FROM secret \
         WHERE name = ?1 AND value IS NOT NULL ORDER BY number",
    )
    .bind(name.as_str())
    .fetch_all(session.connection())
    .await
    .map_err(|error| read_failed(session, error))?;
    rows.iter().map(|row| Ok(info(session, row)?)).collect()
}

/// Returns how many values there are.
pub(super) async fn count(session: &mut Session) -> Result<u64, DiskError> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM secret WHERE value IS NOT NULL")
        .fetch_one(session.connection())
        .await
        .map_err(|error| read_failed(session, error))?;
    positive(session, count)
}

/// Returns some rows after `number`, in order.
pub(super) async fn page(session: &mut Session, after: i64) -> Result<Vec<Row>, DiskError> {
    let rows = sqlx::query("SELECT * FROM secret WHERE number > ?1 ORDER BY number LIMIT 1000")
        .bind(after)
        .fetch_all(session.connection())
        .await
        .map_err(|error| read_failed(session, error))?;
    rows.iter().map(|row| version_row(session, row)).collect()
}

/// Makes a version unreadable.
pub(super) async fn disable(session: &mut Session, row: i64) -> Result<(), DiskError> {
    change(session, "UPDATE secret SET enabled = 0 WHERE number = ?1", row).await
}

/// Overwrites a version's value.
pub(super) async fn purge(session: &mut Session, row: i64) -> Result<(), DiskError> {
    change(session, "UPDATE secret SET enabled = 0, value = NULL WHERE number = ?1", row).await
}

async fn change(session: &mut Session, sql: &'static str, row: i64) -> Result<(), DiskError> {
    let query = sqlx::query(sql).bind(row);
    execute(session, query).await
}
