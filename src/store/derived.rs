//! Tokens that were handed out in exchange for credentials, as they outlive the process.
//!
//! Takes the tokens of an agent by fingerprint; returns those of every agent that are not over. One row
//! for each credential that a token was handed out for. Values are never there.

use super::{Error, Store, fingerprint, fingerprint_of, now};
use crate::decide::{Derived, Parent, Token};
use crate::fingerprint::Fingerprint;
use sqlx::Row as _;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

impl Store {
    /// The tokens of every agent.
    pub async fn derived(&self) -> Result<HashMap<String, Derived>, Error> {
        let rows = sqlx::query(
            "SELECT agent, fingerprint, kind, name, value, until, at FROM derived
             WHERE until IS NULL OR until > ? ORDER BY agent, fingerprint, kind, name, value",
        );
        let mut all: HashMap<String, HashMap<Fingerprint, Token>> = HashMap::new();
        for row in rows.bind(now()).fetch_all(&self.pool).await? {
            let name: Arc<str> = Arc::from(row.try_get::<String, _>("name")?);
            let value = || fingerprint_of(&row, "value");
            let parent = match row.try_get::<&str, _>("kind")? {
                "issued" => Parent::Issued { name, value: value()? },
                "pinned" => Parent::Pinned { resource: name, value: value()? },
                "minted" => Parent::Minted { operation: name, value: value()? },
                "nobody" => Parent::Nobody { host: name },
                other => return Err(Error::Value(format!("a token of the kind `{other}`"))),
            };
            let moment = |at: i64| Duration::from_millis(u64::try_from(at).unwrap_or_default());
            let tokens = all.entry(row.try_get("agent")?).or_default();
            let token = tokens.entry(fingerprint(&row)?).or_insert(Token {
                parents: Arc::from([]),
                until: row.try_get::<Option<i64>, _>("until")?.map(moment),
                at: moment(row.try_get("at")?),
            });
            token.parents = token.parents.iter().cloned().chain([parent]).collect();
        }
        Ok(all.into_iter().map(|(agent, tokens)| (agent, tokens.into_iter().collect())).collect())
    }

    /// Keeps tokens of an agent together, and lets others go, those among them that are over.
    pub async fn keep_derived(
        &self,
        agent: &str,
        tokens: &[(Fingerprint, Token)],
        gone: &[Fingerprint],
    ) -> Result<(), Error> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("DELETE FROM derived WHERE until <= ?")
            .bind(now())
            .execute(&mut *transaction)
            .await?;
        for print in tokens.iter().map(|(print, _)| print).chain(gone) {
            sqlx::query("DELETE FROM derived WHERE agent = ? AND fingerprint = ?")
                .bind(agent)
                .bind(print.as_bytes().as_slice())
                .execute(&mut *transaction)
                .await?;
        }
        for (print, token) in tokens.iter().filter(|(print, _)| !gone.contains(print)) {
            for parent in token.parents.iter() {
                let (kind, name) = match parent {
                    Parent::Issued { name, .. } => ("issued", name),
                    Parent::Pinned { resource, .. } => ("pinned", resource),
                    Parent::Minted { operation, .. } => ("minted", operation),
                    Parent::Nobody { host } => ("nobody", host),
                };
                let value = parent.value();
                sqlx::query(
                    "INSERT OR REPLACE INTO derived
                     (agent, fingerprint, kind, name, value, until, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                )
                .bind(agent)
                .bind(print.as_bytes().as_slice())
                .bind(kind)
                .bind(&**name)
                .bind(value.as_ref().map_or(&[][..], |value| value.as_bytes()))
                .bind(token.until.map(milliseconds))
                .bind(milliseconds(token.at))
                .execute(&mut *transaction)
                .await?;
            }
        }
        transaction.commit().await?;
        Ok(())
    }
}

fn milliseconds(since: Duration) -> i64 {
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tokens_survive_a_restart_with_all_that_they_stand_for() {
        let folder = tempfile::tempdir().unwrap();
        let print = |byte| Fingerprint::from_bytes([byte; 32]);
        let store = Store::open(folder.path()).await.unwrap();
        let at = Duration::from_millis(u64::try_from(now()).unwrap());
        let until = Some(at + Duration::from_hours(1));
        let token = |parents: &[Parent], until| Token { parents: Arc::from(parents), until, at };
        let issued = Parent::Issued { name: Arc::from("a"), value: print(1) };
        let pinned = Parent::Pinned { resource: Arc::from("r"), value: print(2) };
        let minted = Parent::Minted { operation: Arc::from("o"), value: print(10) };
        let nobody = Parent::Nobody { host: Arc::from("h.test") };
        let kept = [
            (print(10), token(&[issued.clone(), minted, pinned], None)),
            (print(11), token(&[nobody], until)),
            (print(12), token(std::slice::from_ref(&issued), Some(Duration::from_secs(1)))),
            (print(13), token(&[issued], until)),
        ];
        store.keep_derived("agent", &kept, &[]).await.unwrap();
        store.keep_derived("agent", &[], &[print(13)]).await.unwrap();
        drop(store);
        let store = Store::open(folder.path()).await.unwrap();
        let standing = store.standing().await.unwrap().remove("agent").unwrap();
        let found = |byte| standing.derived.get(&print(byte), at).cloned();
        assert_eq!(found(10), Some(kept[0].1.clone()));
        assert_eq!(found(11), Some(kept[1].1.clone()));
        assert_eq!((found(12), found(13)), (None, None), "one is over, one was let go");
    }
}
