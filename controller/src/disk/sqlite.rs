//! One SQLite file: made whole, checked when it is opened, and not written again after an error
//! that leaves its state unknown.
//!
//! Linux drops dirty pages whose write-back failed, and the next `fsync` succeeds: an error must
//! not be asked away by trying again. After one, a [`Database`] refuses to write until it has been
//! opened anew, when what is in the file is read from the disk.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

use super::{DiskError, file, wal};

/// How long a database may take for one transaction before its caller stops waiting, in seconds.
/// Far beyond what a working disk needs, so that a hanging one is told from a slow one.
const DISK_SECONDS_MAX: u64 = 60;

/// How long another process may hold the file before that is an error: a backup in the middle of
/// its last step, for example.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The first bytes of every SQLite file.
const HEADER: &[u8; 16] = b"SQLite format 3\0";

/// What makes a SQLite file one of ours.
#[derive(Debug)]
pub(crate) struct Layout {
    /// What the file is, for errors: `a Keyturn store`.
    pub(crate) what: &'static str,
    /// SQLite's `application_id`, so that a store is not taken for a vault.
    pub(crate) application_id: i32,
    /// The schema's versions 1, 2, … as the statements that lead to each from the one before.
    pub(crate) migrations: &'static [&'static str],
}

impl Layout {
    fn newest(&self) -> i64 {
        i64::try_from(self.migrations.len()).unwrap_or(i64::MAX)
    }
}

/// A new file that nobody sees before it is whole: see [`Draft::publish`].
#[derive(Debug)]
pub(crate) struct Draft {
    database: Database,
    path: PathBuf,
}

impl Draft {
    /// Starts a file that is to become `path`, with the newest schema.
    pub(crate) async fn start(path: &Path, layout: &Layout) -> Result<Self, DiskError> {
        let draft = file::start_draft(path)?;
        let database = Database::connect(&draft, SqliteJournalMode::Delete).await?;
        let mut session = database.session().await;
        session.run(&format!("PRAGMA application_id = {}", layout.application_id)).await?;
        migrate(&mut session, layout, 0).await?;
        drop(session);
        Ok(Self { database, path: path.to_owned() })
    }

    /// Gives access to the new file, to write what it must not be without.
    pub(crate) async fn session(&self) -> Session {
        self.database.session().await
    }

    /// Closes the file, makes it durable and gives it its name.
    pub(crate) async fn publish(self) -> Result<(), DiskError> {
        let draft = self.database.health.file();
        self.database.session().await.run("PRAGMA journal_mode = WAL").await?;
        self.database.close().await?;
        file::publish(&draft, &self.path)
    }
}

/// Tells whether there is a database at `path`, as opposed to none yet.
///
/// # Errors
/// [`DiskError::Corrupt`] if there is only a part of one.
pub(crate) fn exists(path: &Path) -> Result<bool, DiskError> {
    let there =
        |path: &Path| path.try_exists().map_err(|source| file::failed(path, "look for", source));
    if there(path)? {
        return Ok(true);
    }
    let wal = file::beside(path, "-wal");
    if there(&wal)? {
        let expected = format!("it to be there, because `{}` is", wal.display());
        return Err(DiskError::Corrupt { file: path.to_owned(), expected, source: None });
    }
    Ok(false)
}

/// An open SQLite file with its one connection.
#[derive(Debug)]
pub(crate) struct Database {
    connection: Arc<Mutex<SqliteConnection>>,
    health: Health,
}

impl Database {
    /// Opens the file at `path`, which must exist, checks it, and brings it to the newest schema.
    pub(crate) async fn open(path: &Path, layout: &Layout) -> Result<Self, DiskError> {
        check_header(path)?;
        let log_is_left = wal::check(&file::beside(path, "-wal"))?;
        let database = Self::connect(path, SqliteJournalMode::Wal).await?;
        let mut session = database.session().await;
        check_content(&mut session, layout).await?;
        if log_is_left {
            // What a killed process has left moves into the file now, so that frames of its
            // unfinished transaction never stand behind those of a later one.
            session.run("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        }
        drop(session);
        Ok(database)
    }

    async fn connect(path: &Path, mode: SqliteJournalMode) -> Result<Self, DiskError> {
        let health = Health::new(path);
        let connection = options(path)
            .journal_mode(mode)
            .connect()
            .await
            .map_err(|error| health.fail("open", error))?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), health })
    }

    async fn session(&self) -> Session {
        let connection = self.connection.clone().lock_owned().await;
        Session { connection, health: self.health.clone() }
    }

    /// Lets `work` read. It runs to its end even if the caller stops waiting.
    pub(crate) async fn read<T, E, F>(&self, work: impl FnOnce(Session) -> F + Send) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DiskError> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.work("read", work).await
    }

    /// Lets `work` write, unless an earlier write left the file's state unknown. It runs to its
    /// end even if the caller stops waiting.
    pub(crate) async fn write<T, E, F>(
        &self,
        work: impl FnOnce(Session) -> F + Send,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DiskError> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.work("write", work).await
    }

    async fn work<T, E, F>(
        &self,
        doing: &'static str,
        work: impl FnOnce(Session) -> F + Send,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DiskError> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let timed_out = || {
            let file = self.health.file.to_path_buf();
            E::from(DiskError::TimedOut { file, doing, seconds: DISK_SECONDS_MAX })
        };
        let limit = Duration::from_secs(DISK_SECONDS_MAX);
        let Ok(connection) = timeout(limit, self.connection.clone().lock_owned()).await else {
            return Err(timed_out());
        };
        if doing == "write" && self.health.poisoned.load(Ordering::SeqCst) {
            return Err(DiskError::Poisoned { file: self.health.file.to_path_buf() }.into());
        }
        let task = tokio::spawn(work(Session { connection, health: self.health.clone() }));
        match timeout(limit, task).await {
            Err(_elapsed) => Err(timed_out()),
            Ok(Ok(outcome)) => outcome,
            // Only a panic or the end of the runtime can stop the task.
            Ok(Err(stopped)) => {
                self.health.poisoned.store(true, Ordering::SeqCst);
                let file = self.health.file.to_path_buf();
                Err(DiskError::Io { file, doing, source: stopped.into() }.into())
            }
        }
    }

    /// Writes what is in the file at one instant into the empty file `copy`, without what was deleted
    /// from it. By a connection of its own: others read and write meanwhile.
    pub(crate) async fn copy_into(&self, copy: &Path) -> Result<(), DiskError> {
        let failed = |error| sort(copy.to_owned(), "write", error);
        let options = options(&self.health.file).read_only(true);
        let mut connection = options.connect().await.map_err(failed)?;
        let copied = sqlx::query("VACUUM INTO ?1")
            .bind(copy.display().to_string())
            .execute(&mut connection)
            .await;
        copied.map_err(failed)?;
        connection.close().await.map_err(failed)
    }

    /// Closes the file after all work in progress, and moves what is in the log into it.
    pub(crate) async fn close(self) -> Result<(), DiskError> {
        let guard = self.connection.lock().await;
        drop(guard);
        match Arc::into_inner(self.connection) {
            Some(connection) => connection
                .into_inner()
                .close()
                .await
                .map_err(|error| self.health.fail("close", error)),
            None => Ok(()),
        }
    }
}

/// The right to use the connection, for one piece of work.
#[derive(Debug)]
pub(crate) struct Session {
    connection: OwnedMutexGuard<SqliteConnection>,
    pub(crate) health: Health,
}

impl Session {
    /// Returns the connection.
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Starts a transaction that will write.
    ///
    /// Transactions of `sqlx` are not used: where SQLite itself has rolled back (a full disk), the
    /// count that they keep stays wrong, and the connection takes no further transaction.
    pub(crate) async fn begin(&mut self) -> Result<(), DiskError> {
        self.run("BEGIN IMMEDIATE").await
    }

    /// Ends the transaction: commits if `outcome` is good, else leaves everything as it was.
    pub(crate) async fn end<T, E: From<DiskError>>(
        &mut self,
        outcome: Result<T, E>,
    ) -> Result<T, E> {
        let outcome = match outcome {
            Ok(value) => self.run("COMMIT").await.map(|()| value).map_err(E::from),
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            // SQLite may have rolled back already; then there is nothing to do and it says so.
            let _rolled_back = sqlx::query("ROLLBACK").execute(&mut *self.connection).await;
        }
        outcome
    }

    /// Runs one or more statements without results.
    pub(crate) async fn run(&mut self, sql: &str) -> Result<(), DiskError> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut *self.connection)
            .await
            .map(|_| ())
            .map_err(|error| self.health.fail("use", error))
    }

    async fn number(&mut self, pragma: &'static str) -> Result<i64, DiskError> {
        sqlx::query_scalar(pragma)
            .fetch_one(&mut *self.connection)
            .await
            .map_err(|error| self.health.fail("read", error))
    }
}

/// Which file it is, and whether it may still be written.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    file: Arc<Path>,
    poisoned: Arc<AtomicBool>,
}

impl Health {
    fn new(path: &Path) -> Self {
        Self { file: path.into(), poisoned: Arc::new(AtomicBool::new(false)) }
    }

    /// Returns the file's path.
    pub(crate) fn file(&self) -> PathBuf {
        self.file.to_path_buf()
    }

    /// Says that what was read is not what was written, and stops all writing.
    pub(crate) fn corrupt(&self, expected: impl Into<String>) -> DiskError {
        self.poisoned.store(true, Ordering::SeqCst);
        DiskError::Corrupt { file: self.file(), expected: expected.into(), source: None }
    }

    /// Sorts an error of the database, and stops all writing if its state is unknown now.
    pub(crate) fn fail(&self, doing: &'static str, error: sqlx::Error) -> DiskError {
        let error = sort(self.file(), doing, error);
        if matches!(error, DiskError::Io { .. } | DiskError::Corrupt { .. }) {
            self.poisoned.store(true, Ordering::SeqCst);
        }
        error
    }
}

/// Sorts an error by SQLite's primary result code (sqlite.org/rescode.html).
fn sort(file: PathBuf, doing: &'static str, error: sqlx::Error) -> DiskError {
    let corrupt = |expected: &str, file, source: sqlx::Error| DiskError::Corrupt {
        file,
        expected: expected.to_owned(),
        source: Some(source.into()),
    };
    let code = match &error {
        sqlx::Error::Database(database) => {
            database.code().and_then(|code| code.parse::<i32>().ok()).map(|code| code & 0xff)
        }
        // No statement here asks for what a whole file may be without.
        sqlx::Error::RowNotFound => return corrupt("a row that is always there", file, error),
        sqlx::Error::ColumnDecode { .. } => {
            return corrupt("values of the right types", file, error);
        }
        _ => None,
    };
    match code {
        Some(5 | 6) => DiskError::Busy { file, doing },
        Some(8) => DiskError::ReadOnly { file },
        // Our statements are constants: one that SQLite does not understand (1) met other tables.
        Some(1 | 11 | 26) => corrupt("a SQLite database with Keyturn's tables", file, error),
        Some(13) => DiskError::Full { file },
        // Input or output, cannot open, out of memory, and whatever stops sqlx itself.
        Some(7 | 10 | 14) | None => DiskError::Io { file, doing, source: error.into() },
        Some(_) => DiskError::Refused { file, doing, source: error.into() },
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("secure_delete", "ON")
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .disable_statement_logging()
}

fn check_header(path: &Path) -> Result<(), DiskError> {
    let mut header = [0; HEADER.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    match read {
        Err(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
            Err(file::failed(path, "read", source))
        }
        Ok(()) if &header == HEADER => Ok(()),
        Ok(()) | Err(_) => Err(DiskError::Corrupt {
            file: path.to_owned(),
            expected: "a SQLite database, which begins with `SQLite format 3`".to_owned(),
            source: None,
        }),
    }
}

async fn check_content(session: &mut Session, layout: &Layout) -> Result<(), DiskError> {
    if session.number("PRAGMA application_id").await? != i64::from(layout.application_id) {
        return Err(session
            .health
            .corrupt(format!("{} (application id {:#010x})", layout.what, layout.application_id)));
    }
    let found = session.number("PRAGMA user_version").await?;
    let known = layout.newest();
    if found > known {
        return Err(DiskError::Newer { file: session.health.file(), found, known });
    }
    if found < 1 {
        return Err(session.health.corrupt(format!("a schema version of 1 to {known}")));
    }
    // The quick check would pass over an index that leads past its rows.
    let verdict: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_one(session.connection())
        .await
        .map_err(|error| session.health.fail("check", error))?;
    if verdict != "ok" {
        return Err(session.health.corrupt(format!("no damage; SQLite found: {verdict}")));
    }
    migrate(session, layout, found).await
}

/// Leads the schema from version `from` to the newest, in one transaction.
async fn migrate(session: &mut Session, layout: &Layout, from: i64) -> Result<(), DiskError> {
    let newest = layout.newest();
    if from == newest {
        return Ok(());
    }
    session.begin().await?;
    let done = apply(session, layout, from).await;
    session.end(done).await
}

async fn apply(session: &mut Session, layout: &Layout, from: i64) -> Result<(), DiskError> {
    for migration in layout.migrations.iter().skip(usize::try_from(from).unwrap_or(0)) {
        session.run(migration).await?;
    }
    session.run(&format!("PRAGMA user_version = {}", layout.newest())).await
}

#[cfg(test)]
mod tests;
