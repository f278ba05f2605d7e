//! The statements of the embedded vault that serve the Key Vault API.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteRow;

use super::super::secrets::{Described, Properties};
use super::rows::{self, Row, Statement, execute, number, positive, read_failed, take};
use crate::disk::DiskError;
use crate::disk::sqlite::Session;
use crate::naming::SecretName;

/// A version with all that is known of it.
pub(super) struct Full {
    pub(super) row: Row,
    pub(super) described: Described,
}

/// When a name was deleted, and when it goes for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deletion {
    pub(super) at: u64,
    pub(super) purge_at: u64,
}

fn full(session: &Session, row: &SqliteRow) -> Result<Full, DiskError> {
    let tags: Option<String> = take(session, row, "tags")?;
    let tags = tags.map(|tags| serde_json::from_str::<BTreeMap<String, String>>(&tags));
    let tags = tags.transpose().map_err(|_source| session.health.corrupt("a secret's tags"))?;
    let properties = Properties {
        enabled: take::<i64>(session, row, "enabled")? != 0,
        not_before: take(session, row, "not_before")?,
        expires: take(session, row, "expires")?,
        content_type: take(session, row, "content_type")?,
        tags: tags.unwrap_or_default(),
    };
    let updated: Option<i64> = take(session, row, "updated")?;
    let row = rows::version_row(session, row)?;
    let name = SecretName::try_from(row.name.clone());
    let described = Described {
        name: name.map_err(|_source| session.health.corrupt("a secret's name"))?,
        version: row.info.version.clone(),
        created: row.info.created,
        updated: updated.map_or(Ok(row.info.created), |at| positive(session, at))?,
        properties,
        tag: row.info.tag.clone(),
    };
    Ok(Full { row, described })
}

async fn fetch(session: &mut Session, query: Statement<'_>) -> Result<Vec<SqliteRow>, DiskError> {
    query.fetch_all(session.connection()).await.map_err(|error| read_failed(session, error))
}

async fn fulls(session: &mut Session, query: Statement<'_>) -> Result<Vec<Full>, DiskError> {
    let rows = fetch(session, query).await?;
    rows.iter().map(|row| full(session, row)).collect()
}

/// Returns the newest version of a secret.
pub(super) async fn newest(
    session: &mut Session,
    name: &SecretName,
) -> Result<Option<Full>, DiskError> {
    let sql = "SELECT * FROM secret WHERE name = ?1 AND value IS NOT NULL \
               ORDER BY number DESC LIMIT 1";
    Ok(fulls(session, sqlx::query(sql).bind(name.as_str())).await?.pop())
}

/// Returns one version of a secret.
pub(super) async fn one(
    session: &mut Session,
    name: &SecretName,
    version: &str,
) -> Result<Option<Full>, DiskError> {
    let sql = "SELECT * FROM secret WHERE name = ?1 AND version = ?2 AND value IS NOT NULL";
    Ok(fulls(session, sqlx::query(sql).bind(name.as_str()).bind(version)).await?.pop())
}

/// Returns at most `count` versions of a secret after the row `after`, oldest first.
pub(super) async fn versions(
    session: &mut Session,
    name: &SecretName,
    after: i64,
    count: usize,
) -> Result<Vec<Full>, DiskError> {
    let sql = "SELECT * FROM secret WHERE name = ?1 AND number > ?2 AND value IS NOT NULL \
               ORDER BY number LIMIT ?3";
    let query = sqlx::query(sql).bind(name.as_str()).bind(after).bind(number(count as u64));
    fulls(session, query).await
}

/// Returns the newest versions of at most `count` secrets after the name `after`.
pub(super) async fn list(
    session: &mut Session,
    after: &str,
    count: usize,
) -> Result<Vec<Full>, DiskError> {
    let sql = "SELECT secret.* FROM secret JOIN ( \
                   SELECT MAX(number) AS newest FROM secret \
                   WHERE name > ?1 AND value IS NOT NULL \
                   AND name NOT IN (SELECT name FROM deleted) \
                   GROUP BY name ORDER BY name LIMIT ?2 \
               ) AS some ON secret.number = some.newest ORDER BY secret.name";
    fulls(session, sqlx::query(sql).bind(after).bind(number(count as u64))).await
}

/// Returns when a name was deleted, if it is.
pub(super) async fn deletion(
    session: &mut Session,
    name: &SecretName,
) -> Result<Option<Deletion>, DiskError> {
    let query = sqlx::query("SELECT * FROM deleted WHERE name = ?1").bind(name.as_str());
    let rows = fetch(session, query).await?;
    rows.first().map(|row| a_deletion(session, row)).transpose()
}

fn a_deletion(session: &Session, row: &SqliteRow) -> Result<Deletion, DiskError> {
    Ok(Deletion {
        at: positive(session, take(session, row, "at")?)?,
        purge_at: positive(session, take(session, row, "purge_at")?)?,
    })
}

/// Returns at most `count` deleted names after the name `after`.
pub(super) async fn deletions(
    session: &mut Session,
    after: &str,
    count: usize,
) -> Result<Vec<(SecretName, Deletion)>, DiskError> {
    let sql = "SELECT * FROM deleted WHERE name > ?1 ORDER BY name LIMIT ?2";
    let rows = fetch(session, sqlx::query(sql).bind(after).bind(number(count as u64))).await?;
    let deleted = rows.iter().map(|row| {
        let name = SecretName::try_from(take::<String>(session, row, "name")?);
        let name = name.map_err(|_source| session.health.corrupt("a secret's name"))?;
        Ok((name, a_deletion(session, row)?))
    });
    deleted.collect()
}

/// Deletes a name.
pub(super) async fn delete(
    session: &mut Session,
    name: &SecretName,
    deletion: Deletion,
) -> Result<(), DiskError> {
    let query = sqlx::query("INSERT INTO deleted (name, at, purge_at) VALUES (?1, ?2, ?3)");
    let query = query.bind(name.as_str()).bind(number(deletion.at));
    execute(session, query.bind(number(deletion.purge_at))).await
}

/// Takes the deletion of a name back.
pub(super) async fn undelete(session: &mut Session, name: &SecretName) -> Result<(), DiskError> {
    execute(session, sqlx::query("DELETE FROM deleted WHERE name = ?1").bind(name.as_str())).await
}

/// Frees a deleted name that has no value any more.
pub(super) async fn forget_emptied(
    session: &mut Session,
    name: &SecretName,
) -> Result<(), DiskError> {
    let sql = "DELETE FROM deleted WHERE name = ?1 AND NOT EXISTS \
               (SELECT 1 FROM secret WHERE name = ?1 AND value IS NOT NULL)";
    execute(session, sqlx::query(sql).bind(name.as_str())).await
}

/// Overwrites all values of a name.
pub(super) async fn purge_all(session: &mut Session, name: &SecretName) -> Result<(), DiskError> {
    let sql = "UPDATE secret SET enabled = 0, value = NULL WHERE name = ?1";
    execute(session, sqlx::query(sql).bind(name.as_str())).await
}

/// Takes away the rows of purged versions, whose backup is about to bring them back.
pub(super) async fn forget_purged(
    session: &mut Session,
    name: &SecretName,
    version: &str,
) -> Result<(), DiskError> {
    let sql = "DELETE FROM secret WHERE name = ?1 AND version = ?2 AND value IS NULL";
    execute(session, sqlx::query(sql).bind(name.as_str()).bind(version)).await
}

/// Notes a version's properties.
pub(super) async fn set_properties(
    session: &mut Session,
    version: &str,
    properties: &Properties,
    updated: u64,
) -> Result<(), DiskError> {
    let tags = serde_json::to_string(&properties.tags);
    let tags = tags.map_err(|_source| session.health.corrupt("tags that can be written"))?;
    let query = sqlx::query(
        "UPDATE secret SET enabled = ?2, not_before = ?3, expires = ?4, content_type = ?5, \
         tags = ?6, updated = ?7 WHERE version = ?1",
    );
    let query = query.bind(version).bind(i64::from(properties.enabled));
    let query = query.bind(properties.not_before).bind(properties.expires);
    let query = query.bind(properties.content_type.as_deref()).bind(tags);
    execute(session, query.bind(number(updated))).await
}
