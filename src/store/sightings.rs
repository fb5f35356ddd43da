//! Where secrets were first seen, as it outlives the process.
//!
//! Takes what changed of one agent's sightings; returns those of every agent. Fingerprints only.

use super::{Error, Store, fingerprint};
use crate::decide::Standing;
use crate::fingerprint::{Fingerprint, Trace};
use crate::provenance::{Answer, Change, Sighting, Sightings};
use sqlx::Row as _;
use std::collections::HashMap;
use std::sync::Arc;

impl Store {
    /// Adds the sightings of every agent to what is remembered of it.
    pub(super) async fn sightings(&self, all: &mut HashMap<String, Standing>) -> Result<(), Error> {
        let rows = sqlx::query(
            "SELECT agent, fingerprint, length, sure, trace, host, asked, request_id, at FROM sightings ORDER BY at, rowid",
        );
        let mut kept: HashMap<String, Vec<(Fingerprint, Sighting)>> = HashMap::new();
        for row in rows.fetch_all(&self.pool).await? {
            let text = |column: &str| row.try_get::<String, _>(column).map(Arc::from);
            let answer = Arc::new(Answer {
                // The result of a tool has none.
                host: Some(text("host")?).filter(|host: &Arc<str>| !host.is_empty()),
                asked: text("asked")?,
                request_id: text("request_id")?,
                at: row.try_get("at")?,
            });
            let length = usize::try_from(row.try_get::<i64, _>("length")?).unwrap_or_default();
            let sure = row.try_get::<i64, _>("sure")? != 0;
            let trace: Option<Vec<u8>> = row.try_get("trace")?;
            let trace = trace.map(|bytes| read(&bytes)).transpose()?;
            let sighting = Sighting { answer, length, sure, trace };
            let of_agent: &mut Vec<_> = kept.entry(row.try_get("agent")?).or_default();
            of_agent.push((fingerprint(&row)?, sighting));
        }
        for (agent, kept) in kept {
            all.entry(agent).or_default().seen = Arc::new(Sightings::again(kept));
        }
        Ok(())
    }

    /// Keeps what changed of the sightings of an agent, in its order.
    pub async fn keep_sightings(&self, agent: &str, changes: &[Change]) -> Result<(), Error> {
        let mut transaction = self.pool.begin().await?;
        for change in changes {
            let statement = match change {
                Change::Saw(print, sighting) => sqlx::query(
                    "INSERT OR REPLACE INTO sightings (agent, fingerprint, length, sure, trace, host, asked, request_id, at)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )
                .bind(agent)
                .bind(print.as_bytes().as_slice())
                .bind(i64::try_from(sighting.length).unwrap_or(i64::MAX))
                .bind(i64::from(sighting.sure))
                .bind(sighting.trace.as_ref().map(written))
                .bind(sighting.answer.host.as_deref().unwrap_or_default())
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

/// A trace as it is kept: window, length, fingerprint.
fn written(trace: &Trace) -> Vec<u8> {
    let Trace { window, length, fingerprint } = trace;
    [&window.to_be_bytes()[..], &length.to_be_bytes(), fingerprint.as_bytes()].concat()
}

fn read(bytes: &[u8]) -> Result<Trace, Error> {
    let parts = bytes.split_first_chunk::<4>().and_then(|(window, rest)| {
        let (length, print) = rest.split_first_chunk::<4>()?;
        Some((*window, *length, <[u8; 32]>::try_from(print).ok()?))
    });
    let (window, length, print) = parts.ok_or_else(|| Error::Value("trace".to_owned()))?;
    let (window, length) = (u32::from_be_bytes(window), u32::from_be_bytes(length));
    Ok(Trace { window, length, fingerprint: Fingerprint::from_bytes(print) })
}
