//! What was learned of the inventory, in the store.
//!
//! Takes facts and changes of them; returns the facts as they were kept. Each batch of changes is one
//! transaction.

use super::{Error, Store};
use crate::inspect::answer::Taught;
use crate::inventory::keeper::Change;
use crate::inventory::{Fact, Lesson};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row as _, SqliteConnection};
use std::sync::Arc;

impl Store {
    /// Every fact that is kept.
    pub async fn facts(&self) -> Result<Vec<Fact>, Error> {
        let rows = sqlx::query("SELECT * FROM learned ORDER BY at").fetch_all(&self.pool).await?;
        rows.iter().map(of_row).collect()
    }

    /// Follows changes.
    pub async fn change_facts(&self, changes: &[Change]) -> Result<(), Error> {
        let mut transaction = self.pool.begin().await?;
        for change in changes {
            match change {
                Change::Learned(fact) => put(&mut transaction, fact).await?,
                Change::Forgot(fact) => remove(&mut transaction, fact).await?,
            }
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Keeps these facts and no other.
    pub async fn set_facts(&self, facts: &[Arc<Fact>]) -> Result<(), Error> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("DELETE FROM learned").execute(&mut *transaction).await?;
        for fact in facts {
            put(&mut transaction, fact).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

async fn put(connection: &mut SqliteConnection, fact: &Fact) -> Result<(), Error> {
    let lesson = &fact.lesson;
    let query = sqlx::query(
        "INSERT OR REPLACE INTO learned (service, kind, id, owner_kind, owner, shared, agent,
         request_id, operation, host, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    said(query, fact)
        .bind(&*lesson.agent)
        .bind(&*lesson.request_id)
        .bind(&*lesson.operation)
        .bind(&*lesson.host)
        .bind(lesson.at)
        .execute(connection)
        .await?;
    Ok(())
}

/// Unless it was learned again since, which is a row of another time.
async fn remove(connection: &mut SqliteConnection, fact: &Fact) -> Result<(), Error> {
    let query = sqlx::query(
        "DELETE FROM learned WHERE service = ? AND kind = ? AND id = ? AND owner_kind = ?
         AND owner = ? AND shared = ? AND at <= ?",
    );
    said(query, fact).bind(fact.lesson.at).execute(connection).await?;
    Ok(())
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, SqliteArguments>;

/// A query with what a fact says for its first parameters, in the order of the table's columns.
fn said<'q>(query: Query<'q>, fact: &'q Fact) -> Query<'q> {
    let Fact { service, taught, .. } = fact;
    query
        .bind(&**service)
        .bind(&*taught.kind)
        .bind(&taught.id)
        .bind(&*taught.owner_kind)
        .bind(&taught.owner)
        .bind(i64::from(taught.shared))
}

fn of_row(row: &SqliteRow) -> Result<Fact, Error> {
    let text = |name| row.try_get::<String, _>(name).map(Arc::from);
    Ok(Fact {
        service: text("service")?,
        taught: Taught {
            kind: text("kind")?,
            id: row.try_get("id")?,
            owner_kind: text("owner_kind")?,
            owner: row.try_get("owner")?,
            shared: row.try_get::<i64, _>("shared")? != 0,
        },
        lesson: Arc::new(Lesson {
            request_id: text("request_id")?,
            operation: text("operation")?,
            host: text("host")?,
            agent: text("agent")?,
            at: row.try_get("at")?,
        }),
    })
}
