//! Holds and approvals in the store.
//!
//! Takes holds and answers; returns them as they stand. Every change of state is one conditional
//! statement in one transaction, so that of all who race for it one succeeds.

use super::{Error, Store};
use crate::hold::{Happening, State, Times};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

/// A hold as it is kept.
#[derive(Clone, Debug)]
pub struct StoredHold {
    /// Its id.
    pub id: String,
    /// Whose call it is.
    pub agent: String,
    /// What makes a retry the same call.
    pub digest: [u8; 32],
    /// Where it is.
    pub state: State,
    /// In which session it was made.
    pub session: String,
    /// By which request.
    pub request_id: String,
    /// When, in milliseconds since 1970.
    pub created: i64,
    /// Its times.
    pub times: Times,
    /// How long an approval can be used, in milliseconds.
    pub redeem_for: i64,
    /// How many people must agree.
    pub needed: i64,
    /// What a grant covers, as JSON.
    pub terms: String,
    /// What the approver reads, as JSON.
    pub card: String,
    /// Who has answered.
    pub approvals: Vec<StoredApproval>,
}

/// A person's answer as it is kept.
#[derive(Clone, Debug)]
pub struct StoredApproval {
    /// Who.
    pub approver: String,
    /// `approve` or `deny`.
    pub decision: String,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// When, in milliseconds since 1970.
    pub at: i64,
}

/// What became of asking for a hold.
#[derive(Debug)]
pub enum Opened {
    /// It is new.
    New(StoredHold),
    /// The same call has one.
    Found(StoredHold),
    /// The agent has too many that wait.
    OverLimit,
}

impl Store {
    /// Finds the live hold of a call, or one that was denied and has not expired, or keeps a new one.
    pub async fn open_hold(&self, hold: StoredHold, most_waiting: u32) -> Result<Opened, Error> {
        let mut transaction = self.pool.begin().await?;
        let newest = sqlx::query("SELECT * FROM holds WHERE agent = ? AND digest = ? ORDER BY created DESC, rowid DESC LIMIT 1")
            .bind(&hold.agent)
            .bind(hold.digest.as_slice())
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(row) = newest {
            let found = of_row(&row)?;
            let found = settle(&mut transaction, found, Happening::Look, hold.created).await?;
            let denied = found.state == State::Denied && hold.created < found.times.expires;
            if found.state.is_live() || denied {
                let found = with_approvals(&mut transaction, found).await?;
                transaction.commit().await?;
                return Ok(Opened::Found(found));
            }
        }
        let waiting: i64 = sqlx::query(
            "SELECT count(*) FROM holds WHERE agent = ? AND state = 'waiting' AND expires > ?",
        )
        .bind(&hold.agent)
        .bind(hold.created)
        .fetch_one(&mut *transaction)
        .await?
        .try_get(0)?;
        if waiting >= i64::from(most_waiting) {
            transaction.commit().await?;
            return Ok(Opened::OverLimit);
        }
        sqlx::query("INSERT INTO holds (id, agent, digest, state, session, request_id, created, expires, redeem_for, needed, terms, card) VALUES (?, ?, ?, 'waiting', ?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(&hold.id)
            .bind(&hold.agent)
            .bind(hold.digest.as_slice())
            .bind(&hold.session)
            .bind(&hold.request_id)
            .bind(hold.created)
            .bind(hold.times.expires)
            .bind(hold.redeem_for)
            .bind(hold.needed)
            .bind(&hold.terms)
            .bind(&hold.card)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Opened::New(hold))
    }

    /// A hold as it stands at a time.
    pub async fn hold(&self, id: &str, now: i64) -> Result<Option<StoredHold>, Error> {
        self.change_hold(id, Happening::Look, now).await.map(|found| found.map(|(hold, _)| hold))
    }

    /// The newest holds, those that wait first.
    pub async fn holds(&self, all: bool, now: i64) -> Result<Vec<StoredHold>, Error> {
        let mut transaction = self.pool.begin().await?;
        let query = if all {
            "SELECT * FROM holds ORDER BY state = 'waiting' DESC, created DESC LIMIT 500"
        } else {
            "SELECT * FROM holds WHERE state = 'waiting' ORDER BY created LIMIT 2000"
        };
        let mut holds = Vec::new();
        for row in sqlx::query(query).fetch_all(&mut *transaction).await? {
            let hold = settle(&mut transaction, of_row(&row)?, Happening::Look, now).await?;
            if all || hold.state == State::Waiting {
                holds.push(with_approvals(&mut transaction, hold).await?);
            }
        }
        transaction.commit().await?;
        Ok(holds)
    }

    /// Lets something happen to a hold; returns it as it is then, and whether that changed it.
    pub async fn change_hold(
        &self,
        id: &str,
        happening: Happening,
        now: i64,
    ) -> Result<Option<(StoredHold, bool)>, Error> {
        let mut transaction = self.pool.begin().await?;
        let row = sqlx::query("SELECT * FROM holds WHERE id = ?")
            .bind(id)
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let before = of_row(&row)?;
        let state = before.state;
        let after = settle(&mut transaction, before, happening, now).await?;
        let after = with_approvals(&mut transaction, after).await?;
        transaction.commit().await?;
        let changed = after.state != state;
        Ok(Some((after, changed)))
    }

    /// Adds a person's answer to a hold that waits; none if that person has answered already.
    pub async fn answer_hold(
        &self,
        id: &str,
        answer: &StoredApproval,
    ) -> Result<Option<(StoredHold, bool)>, Error> {
        let mut transaction = self.pool.begin().await?;
        let row = sqlx::query("SELECT * FROM holds WHERE id = ?")
            .bind(id)
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let hold = settle(&mut transaction, of_row(&row)?, Happening::Look, answer.at).await?;
        if hold.state != State::Waiting {
            let hold = with_approvals(&mut transaction, hold).await?;
            transaction.commit().await?;
            return Ok(Some((hold, false)));
        }
        let added = sqlx::query("INSERT OR IGNORE INTO approvals (hold, approver, decision, reason, at) VALUES (?, ?, ?, ?, ?)")
            .bind(id)
            .bind(&answer.approver)
            .bind(&answer.decision)
            .bind(&answer.reason)
            .bind(answer.at)
            .execute(&mut *transaction)
            .await?;
        let mut hold = with_approvals(&mut transaction, hold).await?;
        let approved = hold.approvals.iter().filter(|answer| answer.decision == "approve").count();
        let happening = if answer.decision == "deny" {
            Happening::Deny
        } else if i64::try_from(approved).unwrap_or(i64::MAX) >= hold.needed {
            Happening::Approve
        } else {
            Happening::Look
        };
        if added.rows_affected() > 0 {
            hold = settle(&mut transaction, hold, happening, answer.at).await?;
        }
        transaction.commit().await?;
        Ok(Some((hold, added.rows_affected() > 0)))
    }
}

/// Writes the state after something happened, if it is another.
async fn settle(
    connection: &mut SqliteConnection,
    mut hold: StoredHold,
    happening: Happening,
    now: i64,
) -> Result<StoredHold, Error> {
    let times = hold.times;
    let next = hold.state.after(happening, times, now);
    if next == hold.state {
        return Ok(hold);
    }
    if next == State::Approved {
        hold.times.redeem_until = Some(now.saturating_add(hold.redeem_for));
    }
    let done =
        sqlx::query("UPDATE holds SET state = ?, redeem_until = ? WHERE id = ? AND state = ?")
            .bind(next.as_str())
            .bind(hold.times.redeem_until)
            .bind(&hold.id)
            .bind(hold.state.as_str())
            .execute(&mut *connection)
            .await?;
    if done.rows_affected() == 1 {
        hold.state = next;
    }
    Ok(hold)
}

async fn with_approvals(
    connection: &mut SqliteConnection,
    mut hold: StoredHold,
) -> Result<StoredHold, Error> {
    let rows = sqlx::query(
        "SELECT approver, decision, reason, at FROM approvals WHERE hold = ? ORDER BY at",
    )
    .bind(&hold.id)
    .fetch_all(&mut *connection)
    .await?;
    hold.approvals = rows
        .iter()
        .map(|row| {
            Ok(StoredApproval {
                approver: row.try_get("approver")?,
                decision: row.try_get("decision")?,
                reason: row.try_get("reason")?,
                at: row.try_get("at")?,
            })
        })
        .collect::<Result<_, sqlx::Error>>()?;
    Ok(hold)
}

fn of_row(row: &SqliteRow) -> Result<StoredHold, Error> {
    let state: String = row.try_get("state")?;
    let digest: Vec<u8> = row.try_get("digest")?;
    Ok(StoredHold {
        id: row.try_get("id")?,
        agent: row.try_get("agent")?,
        digest: digest.try_into().map_err(|_length| Error::Value("digest".to_owned()))?,
        state: State::parse(&state).ok_or(Error::Value(state))?,
        session: row.try_get("session")?,
        request_id: row.try_get("request_id")?,
        created: row.try_get("created")?,
        times: Times {
            expires: row.try_get("expires")?,
            redeem_until: row.try_get("redeem_until")?,
        },
        redeem_for: row.try_get("redeem_for")?,
        needed: row.try_get("needed")?,
        terms: row.try_get("terms")?,
        card: row.try_get("card")?,
        approvals: Vec::new(),
    })
}
