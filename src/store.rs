//! What outlives the process: holds, standings, trajectories, sightings, the inventory, the head of the
//! audit log.
//!
//! Takes a state folder; returns a [`Store`] over SQLite (WAL, every commit on disk before it is
//! answered). Refuses a schema newer than it knows. Statements are short; none holds a lock across
//! a wait for a person.

mod derived;
mod holds;
mod inventory;
mod sightings;
mod trajectories;

pub use holds::{Opened, StoredApproval, StoredHold};

use crate::decide::Standing;
use crate::fingerprint::Fingerprint;
use jiff::Timestamp;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Row as _, SqliteConnection};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Why something could not be kept or found; the fault is the machine's or the operator's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refuses.
    #[error("the store in the state folder refuses: {0}; check its disk and permissions")]
    Database(#[from] sqlx::Error),
    /// It was written by a newer Holdgate.
    #[error("the store has schema {found}, this Holdgate knows up to {known}; use the newer one")]
    Newer {
        /// What it has.
        found: i64,
        /// What is known.
        known: usize,
    },
    /// A stored value is not what was put there.
    #[error("the store holds a value that cannot be read: {0}")]
    Value(String),
}

/// Each brings the schema one step on; none is ever changed once released.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE holds (
        id TEXT PRIMARY KEY, agent TEXT NOT NULL, digest BLOB NOT NULL, state TEXT NOT NULL,
        session TEXT NOT NULL, request_id TEXT NOT NULL, created INTEGER NOT NULL,
        expires INTEGER NOT NULL, redeem_for INTEGER NOT NULL, redeem_until INTEGER,
        needed INTEGER NOT NULL, terms TEXT NOT NULL, card TEXT NOT NULL
    ) STRICT;
    CREATE INDEX holds_by_call ON holds (agent, digest, created);
    CREATE UNIQUE INDEX one_live_hold ON holds (agent, digest) WHERE state IN ('waiting', 'approved');
    CREATE INDEX holds_by_state ON holds (state, created);
    CREATE TABLE approvals (
        hold TEXT NOT NULL REFERENCES holds (id), approver TEXT NOT NULL, decision TEXT NOT NULL,
        reason TEXT, at INTEGER NOT NULL, PRIMARY KEY (hold, approver)
    ) STRICT;
    CREATE TABLE pins (
        agent TEXT NOT NULL, resource TEXT NOT NULL, fingerprint BLOB NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (agent, resource, fingerprint)
    ) STRICT;
    CREATE TABLE cookies (
        agent TEXT NOT NULL, fingerprint BLOB NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (agent, fingerprint)
    ) STRICT;
    CREATE TABLE restraints (
        agent TEXT NOT NULL PRIMARY KEY, quarantined TEXT, hold_writes INTEGER NOT NULL DEFAULT 0,
        at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE audit_head (
        one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash BLOB NOT NULL
    ) STRICT;
", "
    CREATE TABLE learned (
        service TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, owner_kind TEXT NOT NULL,
        owner TEXT NOT NULL, shared INTEGER NOT NULL, agent TEXT NOT NULL, request_id TEXT NOT NULL,
        operation TEXT NOT NULL, host TEXT NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (service, kind, id, owner_kind, owner, shared)
    ) STRICT;
", "
    CREATE TABLE trajectories (
        agent TEXT NOT NULL PRIMARY KEY, stages TEXT NOT NULL, at INTEGER NOT NULL
    ) STRICT;
", "
    CREATE TABLE sightings (
        agent TEXT NOT NULL, fingerprint BLOB NOT NULL, length INTEGER NOT NULL,
        sure INTEGER NOT NULL, trace BLOB, host TEXT NOT NULL, asked TEXT NOT NULL,
        request_id TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (agent, fingerprint)
    ) STRICT;
", "
    CREATE TABLE derived (
        agent TEXT NOT NULL, fingerprint BLOB NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
        value BLOB NOT NULL, until INTEGER, at INTEGER NOT NULL,
        PRIMARY KEY (agent, fingerprint, kind, name, value)
    ) STRICT;
"];

/// The newest cookies kept for each agent.
const MOST_COOKIES: i64 = 2_000;

/// The store of one state folder.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
}

impl Store {
    /// Opens the store of a state folder, and makes it at the first start.
    pub async fn open(state: &Path) -> Result<Self, Error> {
        let store = Self { pool: connect(state, false).await? };
        let mut connection = store.pool.acquire().await?;
        migrate(&mut connection).await?;
        drop(connection);
        Ok(store)
    }

    /// Opens a store that another process may be using, to look something up.
    pub async fn read_only(state: &Path) -> Result<Self, Error> {
        Ok(Self { pool: connect(state, true).await? })
    }

    /// What is remembered of every agent.
    pub async fn standing(&self) -> Result<HashMap<String, Standing>, Error> {
        let mut all: HashMap<String, Standing> = HashMap::new();
        let nobody: Arc<str> = Arc::from("");
        for row in sqlx::query("SELECT agent, resource, fingerprint FROM pins")
            .fetch_all(&self.pool)
            .await?
        {
            let resource: Arc<str> = Arc::from(row.try_get::<String, _>("resource")?);
            let standing = all.entry(row.try_get("agent")?).or_default();
            standing.pins.entry(resource).or_default().push(fingerprint(&row)?);
        }
        for row in sqlx::query("SELECT agent, fingerprint FROM cookies ORDER BY at")
            .fetch_all(&self.pool)
            .await?
        {
            let standing = all.entry(row.try_get("agent")?).or_default();
            // Whose it was is not kept, only that somebody handed it out.
            standing.cookies.keep(&nobody, fingerprint(&row)?);
        }
        let restraints = sqlx::query("SELECT agent, quarantined, hold_writes FROM restraints");
        for row in restraints.fetch_all(&self.pool).await? {
            let standing = all.entry(row.try_get("agent")?).or_default();
            standing.quarantined = row.try_get::<Option<String>, _>("quarantined")?.map(Arc::from);
            standing.hold_writes = row.try_get::<i64, _>("hold_writes")? != 0;
        }
        self.sightings(&mut all).await?;
        for (agent, derived) in self.derived().await? {
            all.entry(agent).or_default().derived = derived;
        }
        Ok(all)
    }

    /// Keeps a pinned credential.
    pub async fn add_pin(
        &self,
        agent: &str,
        resource: &str,
        print: &Fingerprint,
    ) -> Result<(), Error> {
        sqlx::query(
            "INSERT OR IGNORE INTO pins (agent, resource, fingerprint, at) VALUES (?, ?, ?, ?)",
        )
        .bind(agent)
        .bind(resource)
        .bind(print.as_bytes().as_slice())
        .bind(now())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Keeps the cookies that a host handed out, the newest of each agent.
    pub async fn add_cookies(&self, agent: &str, prints: &[Fingerprint]) -> Result<(), Error> {
        let mut transaction = self.pool.begin().await?;
        for print in prints {
            sqlx::query("INSERT OR REPLACE INTO cookies (agent, fingerprint, at) VALUES (?, ?, ?)")
                .bind(agent)
                .bind(print.as_bytes().as_slice())
                .bind(now())
                .execute(&mut *transaction)
                .await?;
        }
        sqlx::query(
            "DELETE FROM cookies WHERE agent = ?1 AND fingerprint NOT IN
             (SELECT fingerprint FROM cookies WHERE agent = ?1 ORDER BY at DESC LIMIT ?2)",
        )
        .bind(agent)
        .bind(MOST_COOKIES)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Puts an agent in quarantine, or makes its writes wait, until it is released.
    pub async fn restrain(
        &self,
        agent: &str,
        quarantined: Option<&str>,
        hold_writes: bool,
    ) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO restraints (agent, quarantined, hold_writes, at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (agent) DO UPDATE SET quarantined = coalesce(quarantined, ?2),
                 hold_writes = max(hold_writes, ?3), at = ?4",
        )
        .bind(agent)
        .bind(quarantined)
        .bind(i64::from(hold_writes))
        .bind(now())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Lifts what `restrain` put on an agent; only an operator does.
    pub async fn release(&self, agent: &str) -> Result<bool, Error> {
        let done = sqlx::query("DELETE FROM restraints WHERE agent = ?")
            .bind(agent)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// The last record of the audit log that was synced.
    pub async fn audit_head(&self) -> Result<Option<(u64, [u8; 32])>, Error> {
        let row =
            sqlx::query("SELECT seq, hash FROM audit_head").fetch_optional(&self.pool).await?;
        row.map(|row| {
            let hash: Vec<u8> = row.try_get("hash")?;
            let hash = <[u8; 32]>::try_from(hash)
                .map_err(|_length| Error::Value("audit head".to_owned()))?;
            Ok((row.try_get::<i64, _>("seq")?.cast_unsigned(), hash))
        })
        .transpose()
    }

    /// Keeps the last record that was synced; it never goes back.
    pub async fn set_audit_head(&self, seq: u64, hash: [u8; 32]) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO audit_head (one, seq, hash) VALUES (1, ?1, ?2)
             ON CONFLICT (one) DO UPDATE SET seq = ?1, hash = ?2 WHERE seq < ?1",
        )
        .bind(seq.cast_signed())
        .bind(hash.as_slice())
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

async fn connect(state: &Path, read_only: bool) -> Result<SqlitePool, Error> {
    let path = state.join("holdgate.sqlite");
    if !read_only && !path.exists() {
        // Made by us first, so that nobody else can read it for a moment.
        crate::load::write_private(&path, b"").map_err(sqlx::Error::Io)?;
    }
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .read_only(read_only)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5));
    // One connection: SQLite has one writer, and a queue here is fairer than its busy loop.
    let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(10));
    Ok(pool.connect_with(options).await?)
}

async fn migrate(connection: &mut SqliteConnection) -> Result<(), Error> {
    let found: i64 =
        sqlx::query("PRAGMA user_version").fetch_one(&mut *connection).await?.try_get(0)?;
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    if done > MIGRATIONS.len() {
        return Err(Error::Newer { found, known: MIGRATIONS.len() });
    }
    for (step, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        let text =
            format!("BEGIN IMMEDIATE; {migration} PRAGMA user_version = {}; COMMIT;", step + 1);
        sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut *connection).await?;
    }
    Ok(())
}

fn fingerprint(row: &sqlx::sqlite::SqliteRow) -> Result<Fingerprint, Error> {
    fingerprint_of(row, "fingerprint")
}

fn fingerprint_of(row: &sqlx::sqlite::SqliteRow, column: &str) -> Result<Fingerprint, Error> {
    let bytes: Vec<u8> = row.try_get(column)?;
    let bytes =
        <[u8; 32]>::try_from(bytes).map_err(|_length| Error::Value("fingerprint".to_owned()))?;
    Ok(Fingerprint::from_bytes(bytes))
}

/// Milliseconds since 1970.
fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Trace;
    use crate::provenance::{Answer, Change, Sighting};

    #[tokio::test]
    async fn standings_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let print = Fingerprint::from_bytes([7; 32]);
        let store = Store::open(folder.path()).await.unwrap();
        store.add_pin("a", "model", &print).await.unwrap();
        store.add_cookies("a", &[print]).await.unwrap();
        let trace = Some(Trace { window: 7, length: 36, fingerprint: print });
        let text = Arc::from("x");
        let (host, asked, request_id) = (Arc::clone(&text), Arc::clone(&text), text);
        let answer = Arc::new(Answer { host: Some(host), asked, request_id, at: 5 });
        let sighting = Sighting { answer, length: 36, sure: true, trace };
        let other = Fingerprint::from_bytes([8; 32]);
        let saw = |print| Change::Saw(print, sighting.clone());
        let changes = [saw(print), saw(other), Change::Forgot(other)];
        store.keep_sightings("a", &changes).await.unwrap();
        store.restrain("a", None, true).await.unwrap();
        store.restrain("a", Some("why"), false).await.unwrap();
        store.set_audit_head(7, [1; 32]).await.unwrap();
        store.set_audit_head(5, [2; 32]).await.unwrap();
        drop(store);
        let store = Store::open(folder.path()).await.unwrap();
        let standing = store.standing().await.unwrap().remove("a").unwrap();
        assert_eq!(standing.pins["model"], [print]);
        assert!(standing.cookies.contains(&print));
        assert_eq!(standing.seen.all().collect::<Vec<_>>(), [(&print, &sighting)]);
        assert_eq!(standing.quarantined.as_deref(), Some("why"));
        assert!(standing.hold_writes);
        assert_eq!(store.audit_head().await.unwrap(), Some((7, [1; 32])));
        assert!(store.release("a").await.unwrap());
        assert!(!store.standing().await.unwrap()["a"].hold_writes);
    }
}
