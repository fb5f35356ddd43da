//! A Railway API for tests and demonstrations: it serves TLS on loopback, and it really deletes.
//!
//! Takes [`Options`]; returns a running [`Mock`], which counts every byte and keeps every request
//! that reached it. It depends on nothing of Holdgate, so that tests can include it with `#[path]`.
//! Refuses to listen on anything but loopback.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "tests and the example each use a part of it"
)]

pub mod certificates;
pub mod document;
pub mod graphql;
#[cfg(test)]
mod graphql_tests;
pub mod mutate;
pub mod neighbours;
pub mod policy;
pub mod resolve;
pub mod scalars;
pub mod schema;
pub mod scope;
pub mod server;
pub mod socket;
pub mod state;
pub mod wire;

pub use policy::PolicyOptions;
pub use server::{Options, Seen};
pub use state::*;

use certificates::Certificates;
use server::Server;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The names it has a certificate for.
pub const HOSTS: [&str; 6] = [
    "backboard.railway.com",
    "backboard.railway.app",
    "api.staging.railway.app",
    "docs.railway.com",
    "api.anthropic.com",
    "raw.githubusercontent.com",
];

/// A running mock; it ends when it is dropped.
#[derive(Debug)]
pub struct Mock {
    address: SocketAddr,
    ca_pem: String,
    server: Arc<Server>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Mock {
    /// Binds, makes its certificates, and serves.
    pub async fn start(options: Options) -> io::Result<Self> {
        if !options.listen.ip().is_loopback() {
            let message = format!("the mock listens on loopback only, not on {}", options.listen);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let certificates = Certificates::make(&HOSTS)?;
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let server = Arc::new(Server::new(options));
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let accepting = server::accept(
            Arc::clone(&server),
            listener,
            certificates.server,
            tasks.clone(),
            stop.clone(),
        );
        tasks.spawn(accepting);
        Ok(Self { address, ca_pem: certificates.ca_pem, server, tasks, stop })
    }

    /// Ends all connections and waits for them, at most five seconds.
    pub async fn stop(self) -> bool {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(Duration::from_secs(5), self.tasks.wait()).await.is_ok()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of its throw-away authority.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// How many bytes arrived, TLS included.
    pub fn bytes_received(&self) -> u64 {
        self.server.bytes_received()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> u64 {
        self.server.connections()
    }

    /// The requests that arrived, oldest first; the last 1,024.
    pub fn requests(&self) -> Vec<Seen> {
        self.server.requests()
    }

    /// The messages that arrived over a WebSocket, oldest first; the last 1,024.
    pub fn messages(&self) -> Vec<String> {
        self.server.messages()
    }

    /// Whether a volume is still there.
    pub fn volume_exists(&self, id: &str) -> bool {
        self.server.with_state(|state| state.volume(id).is_some())
    }

    /// Gives a volume another name, as its owner may at any time.
    pub fn name_volume(&self, id: &str, name: &str) {
        self.server.with_state(|state| {
            let volumes = state.volumes.iter_mut().filter(|volume| volume.id == id);
            volumes.for_each(|volume| name.clone_into(&mut volume.name));
        });
    }

    /// Whether the project is there and nothing has scheduled its deletion.
    pub fn project_stays(&self) -> bool {
        self.server.with_state(|state| state.project && state.project_goes.is_none())
    }

    /// How many backups a volume has; none, when it is gone.
    pub fn backups(&self, volume: &str) -> usize {
        self.server.with_state(|state| state.volume(volume).map_or(0, |it| it.backups.len()))
    }

    /// The ids of the volumes that were deleted, in order, one entry a deletion.
    pub fn deletions(&self) -> Vec<String> {
        self.server.with_state(|state| state.deletions.clone())
    }

    /// The value of a variable.
    pub fn variable(&self, name: &str, service: Option<&str>, environment: &str) -> Option<String> {
        self.server.with_state(|state| {
            let variables = &state.environment(environment)?.variables;
            variables.get(&service.map(str::to_owned))?.get(name).cloned()
        })
    }

    /// A policy that leads to this mock; writes its CA and the agent's token into the folder.
    pub fn policy(&self, options: &PolicyOptions) -> io::Result<String> {
        policy::write(options, self.address, &self.ca_pem)
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
