//! Who may ask at a time: connections that have not said whose they are, and the questions of each agent.
//!
//! Takes connections and agents; returns their places. A stranger that comes when all places are taken
//! takes that of the one who has waited longest, so that connections that say nothing keep nobody out;
//! an agent that has as many questions as it may waits for answers, and keeps no other agent waiting.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// So many connections may be open that have not said whose they are.
const STRANGERS: usize = 64;
/// So many questions of one agent may wait for an answer.
const QUESTIONS: usize = 32;

/// The places.
#[derive(Debug, Default)]
pub(super) struct Lobby {
    strangers: Mutex<Strangers>,
    // Names come from the policy, so there are only so many.
    agents: Mutex<HashMap<Arc<str>, Arc<Semaphore>>>,
}

#[derive(Debug, Default)]
struct Strangers {
    next: u64,
    waiting: VecDeque<(u64, CancellationToken)>,
}

/// A connection's place until it says whose it is.
#[derive(Debug)]
pub(super) struct Stranger {
    lobby: Arc<Lobby>,
    number: u64,
    /// Cancelled when another takes its place.
    pub(super) displaced: CancellationToken,
}

impl Stranger {
    /// It said whose it is, or is gone.
    pub(super) fn leave(&self) {
        self.lobby.strangers().waiting.retain(|(number, _)| *number != self.number);
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Lobby {
    /// The place of a connection that was just opened.
    pub(super) fn enter(self: &Arc<Self>) -> Stranger {
        let displaced = CancellationToken::new();
        let mut strangers = self.strangers();
        if strangers.waiting.len() >= STRANGERS
            && let Some((_, oldest)) = strangers.waiting.pop_front()
        {
            oldest.cancel();
        }
        let number = strangers.next;
        strangers.next += 1;
        strangers.waiting.push_back((number, displaced.clone()));
        Stranger { lobby: self.clone(), number, displaced }
    }

    /// The place of an agent's question; none where it has as many as it may.
    pub(super) fn question(&self, agent: &Arc<str>) -> Option<OwnedSemaphorePermit> {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Semaphore::new(QUESTIONS));
        agents.entry(agent.clone()).or_insert_with(new).clone().try_acquire_owned().ok()
    }

    fn strangers(&self) -> MutexGuard<'_, Strangers> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_stranger_makes_room_and_nobody_who_is_known() {
        let lobby = Arc::new(Lobby::default());
        let known = lobby.enter();
        known.leave();
        let mut strangers: Vec<Stranger> = (0..STRANGERS).map(|_| lobby.enter()).collect();
        let is_displaced = |stranger: &Stranger| stranger.displaced.is_cancelled();
        assert!(!strangers.iter().any(is_displaced));
        strangers.push(lobby.enter());
        let displaced: Vec<bool> = strangers.iter().map(is_displaced).collect();
        assert!(displaced[0] && !displaced[1..].contains(&true), "{displaced:?}");
        // One that goes leaves its place.
        strangers.remove(5);
        strangers.push(lobby.enter());
        assert_eq!(strangers.iter().filter(|one| is_displaced(one)).count(), 1);
        assert!(!is_displaced(&known));
    }

    #[test]
    fn an_agent_has_so_many_questions_and_leaves_others_theirs() {
        let lobby = Lobby::default();
        let (loud, quiet) = (Arc::from("loud"), Arc::from("quiet"));
        let mut places: Vec<_> = (0..QUESTIONS).map(|_| lobby.question(&loud)).collect();
        assert!(places.iter().all(Option::is_some) && lobby.question(&loud).is_none());
        assert!(lobby.question(&quiet).is_some());
        places.pop();
        assert!(lobby.question(&loud).is_some());
    }
}
