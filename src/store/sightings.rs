//! Where secrets were first seen, as it outlives the process.
//!
//! Takes what changed of one agent's sightings; returns those of every agent. Fingerprints only.

use super::{Error, Store, fingerprint};
use crate::decide::Standing;
use crate::provenance::{Answer, Change, Sighting};
use sqlx::Row as _;
use std::collections::HashMap;
use std::sync::Arc;

impl Store {
    /// Adds the sightings of every agent to what is remembered of it.
    pub(super) async fn sightings(&self, all: &mut HashMap<String, Standing>) -> Result<(), Error> {
        let rows = sqlx::query(
            "SELECT agent, fingerprint, length, sure, host, asked, request_id, at FROM sightings ORDER BY at, rowid",
        );
        for row in rows.fetch_all(&self.pool).await? {
            let text = |column: &str| row.try_get::<String, _>(column).map(Arc::from);
            let answer = Arc::new(Answer {
                host: text("host")?,
                asked: text("asked")?,
                request_id: text("request_id")?,
                at: row.try_get("at")?,
            });
            let length = usize::try_from(row.try_get::<i64, _>("length")?).unwrap_or_default();
            let sure = row.try_get::<i64, _>("sure")? != 0;
            let standing = all.entry(row.try_get("agent")?).or_default();
            Arc::make_mut(&mut standing.seen)
                .again(fingerprint(&row)?, Sighting { answer, length, sure });
        }
        Ok(())
    }

    /// Keeps what changed of the sightings of an agent, in its order.
    pub async fn keep_sightings(&self, agent: &str, changes: &[Change]) -> Result<(), Error> {
        let mut transaction = self.pool.begin().await?;
        for change in changes {
            let statement = match change {
                Change::Saw(print, sighting) => sqlx::query(
                    "INSERT OR IGNORE INTO sightings (agent, fingerprint, length, sure, host, asked, request_id, at)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                )
                .bind(agent)
                .bind(print.as_bytes().as_slice())
                .bind(i64::try_from(sighting.length).unwrap_or(i64::MAX))
                .bind(i64::from(sighting.sure))
                .bind(&*sighting.answer.host)
                .bind(&*sighting.answer.asked)
                .bind(&*sighting.answer.request_id)
                .bind(sighting.answer.at),
                Change::Forgot(print) => {
                    sqlx::query("DELETE FROM sightings WHERE agent = ? AND fingerprint = ?")
                        .bind(agent)
                        .bind(print.as_bytes().as_slice())
                }
            };
            statement.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
