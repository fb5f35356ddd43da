//! Where agents went, as it outlives the process.
//!
//! Takes the stages of an agent; returns those of every agent as they were kept. A row is all that is
//! remembered of one agent. What was written by a newer Holdgate and cannot be read is left out, and told.

use super::{Error, Store, now};
use crate::trajectory::{Noted, Stage, Trajectory};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A stage in the store.
#[derive(Serialize, Deserialize)]
struct Kept {
    stage: String,
    /// Milliseconds since 1970.
    at: u64,
    what: String,
    /// What tells calls of one operation apart.
    #[serde(default)]
    call: u64,
}

impl Store {
    /// The stages of every agent.
    pub async fn trajectories(&self) -> Result<HashMap<String, Trajectory>, Error> {
        let rows = sqlx::query("SELECT agent, stages FROM trajectories").fetch_all(&self.pool);
        let mut all = HashMap::new();
        for row in rows.await? {
            let agent: String = row.try_get("agent")?;
            let kept: Vec<Kept> = serde_json::from_str(&row.try_get::<String, _>("stages")?)
                .map_err(|error| Error::Value(format!("the stages of `{agent}`: {error}")))?;
            let noted = kept.into_iter().filter_map(|kept| {
                let stage = Stage::parse(&kept.stage);
                if stage.is_none() {
                    tracing::warn!(agent, stage = kept.stage, "a stage is not known and left out");
                }
                let at = Duration::from_millis(kept.at);
                Some(Noted { stage: stage?, at, what: Arc::from(kept.what), call: kept.call })
            });
            all.insert(agent.clone(), noted.collect());
        }
        Ok(all)
    }

    /// Keeps the stages of an agent in place of what was kept of it.
    pub async fn keep_trajectory(&self, agent: &str, trajectory: &Trajectory) -> Result<(), Error> {
        let kept: Vec<Kept> = trajectory
            .stages()
            .map(|noted| Kept {
                stage: noted.stage.as_str().to_owned(),
                at: u64::try_from(noted.at.as_millis()).unwrap_or(u64::MAX),
                what: noted.what.to_string(),
                call: noted.call,
            })
            .collect();
        let stages =
            serde_json::to_string(&kept).map_err(|error| Error::Value(error.to_string()))?;
        sqlx::query("INSERT OR REPLACE INTO trajectories (agent, stages, at) VALUES (?, ?, ?)")
            .bind(agent)
            .bind(stages)
            .bind(now())
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
