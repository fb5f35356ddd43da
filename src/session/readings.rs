//! The bodies of one agent's conversations that wait to be read.
//!
//! Takes work; does it piece by piece in the order in which it came, off the workers that all connections
//! share, and never two pieces of one agent at a time: what one agent sends takes one thread. Says when
//! it has caught up. Refuses work where too much waits.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// So many bodies wait at most.
const MOST: usize = 64;
/// For so long somebody waits until they are read. All of them take less, unless the machine stands still.
const LONGEST: Duration = Duration::from_secs(10);

type Work = Box<dyn FnOnce() + Send>;

/// Too much waits already; the fault is the agent's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many bodies of the agent's conversations wait to be read")]
pub struct Full;

/// What waits to be read.
#[derive(Default)]
pub struct Readings {
    waiting: Mutex<Waiting>,
    /// How many are done.
    done: watch::Sender<u64>,
}

#[derive(Default)]
struct Waiting {
    work: VecDeque<Work>,
    /// How many there were so far.
    begun: u64,
    is_running: bool,
}

impl Readings {
    /// Whether nothing waits and nothing is being read.
    pub fn is_idle(&self) -> bool {
        !self.waiting().is_running
    }

    /// Has something done behind all that waits.
    pub fn put(
        self: &Arc<Self>,
        work: impl FnOnce() + Send + 'static,
        tasks: &TaskTracker,
    ) -> Result<(), Full> {
        let mut waiting = self.waiting();
        if waiting.work.len() >= MOST {
            return Err(Full);
        }
        waiting.work.push_back(Box::new(work));
        waiting.begun += 1;
        if std::mem::replace(&mut waiting.is_running, true) {
            return Ok(());
        }
        drop(waiting);
        let readings = self.clone();
        match Handle::try_current() {
            Ok(handle) => drop(tasks.spawn_blocking_on(move || readings.run(), &handle)),
            // A body may be dropped when its runtime is gone.
            Err(_gone) => readings.run(),
        }
        Ok(())
    }

    /// Waits until all is done that waits now.
    pub async fn caught_up(&self) {
        let begun = self.waiting().begun;
        let mut done = self.done.subscribe();
        let caught_up = done.wait_for(|done| *done >= begun);
        if timeout(LONGEST, caught_up).await.is_err() {
            tracing::warn!("bodies of conversations are read later than what they lead to");
        }
    }

    fn run(&self) {
        loop {
            let next = {
                let mut waiting = self.waiting();
                let next = waiting.work.pop_front();
                waiting.is_running = next.is_some();
                next
            };
            let Some(work) = next else { return };
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                tracing::error!("a body of a conversation was not read to its end");
            }
            self.done.send_modify(|done| *done += 1);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn bodies_are_read_one_after_the_other_and_so_many_wait() {
        let (readings, tasks) = (Arc::new(Readings::default()), TaskTracker::new());
        assert!(readings.is_idle());
        readings.caught_up().await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let (go_on, wait) = mpsc::channel::<()>();
        readings.put(move || assert!(wait.recv().is_err()), &tasks).unwrap();
        // One of them may be taken out to be read by now.
        let mut taken = 0;
        while taken <= MOST {
            let order = order.clone();
            if readings.put(move || order.lock().unwrap().push(taken), &tasks).is_err() {
                break;
            }
            taken += 1;
        }
        assert!(taken == MOST || taken == MOST - 1, "{taken}");
        assert!(!readings.is_idle() && order.lock().unwrap().is_empty(), "all wait for the first");
        drop(go_on);
        readings.caught_up().await;
        assert_eq!(*order.lock().unwrap(), (0..taken).collect::<Vec<_>>());
        // One that fails keeps nobody waiting.
        readings.put(|| panic!("in the middle"), &tasks).unwrap();
        readings.put(|| (), &tasks).unwrap();
        readings.caught_up().await;
        tasks.close();
        tasks.wait().await;
        assert!(readings.is_idle());
    }
}
