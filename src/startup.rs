//! From a policy to a running proxy, and back.
//!
//! Takes a policy and where it came from; returns the proxy with both listeners bound. Refuses a
//! state folder that another process uses, an authority that is not private, and an audit log that
//! cannot be continued. Draining lets requests end, hands held ones their hold, and closes the log.

use crate::admin::Admin;
use crate::audit::{self, Entry, Kind, Log, Options, Retain, Text};
use crate::forward::{self, Names, Reach, Upstream};
use crate::hold::Holds;
use crate::inventory::keeper::Keeper;
use crate::listen;
use crate::load::{self, Origin};
use crate::notify;
use crate::policy::Policy;
use crate::proxy::{Clock, Lookups, Proxy, Snapshot, Tools};
use crate::session::Agents;
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::tls::authority::Authority;
use crate::tls::leaf::Leaves;
use crate::tls::{self, roots};
use crate::tool_calls;
use arc_swap::ArcSwap;
use jiff::Timestamp;
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a drain may take.
const DRAIN: Duration = Duration::from_secs(30);

/// The file of the state folder that says where approvals are answered.
const ADDRESS: &str = "approvals.address";

/// How often idle upstream connections are looked at.
const SWEEP: Duration = Duration::from_secs(15);
/// How long after a stage was noted it is kept.
const TRAJECTORIES: Duration = Duration::from_millis(250);

/// How long storing the log's last position may take, and where agents went.
const KEEP: Duration = Duration::from_secs(5);

/// Why the proxy does not start; the fault is the operator's or the machine's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The policy.
    #[error(transparent)]
    Load(#[from] load::Error),
    /// The state folder cannot be used.
    #[error("the state folder {path} cannot be used: {source}")]
    State {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error("the state folder {0} is used by another Holdgate; one process per folder")]
    Busy(PathBuf),
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] audit::Error),
    /// The authority.
    #[error(transparent)]
    Authority(#[from] tls::authority::Error),
    /// The upstream roots.
    #[error(transparent)]
    Roots(#[from] roots::Error),
    /// The servers that names are asked of.
    #[error(transparent)]
    Names(#[from] forward::Error),
    /// An address cannot be listened on.
    #[error(
        "{what} cannot listen on {address}: {source}; is another Holdgate running, or write another address in the policy"
    )]
    Listen {
        /// Which listener.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Questions about tool calls cannot be listened for.
    #[error(
        "questions about tool calls cannot be listened for on {place}: {source}; write another place in `proxy.tool_calls`"
    )]
    ToolCalls {
        /// Where.
        place: String,
        /// Why.
        source: std::io::Error,
    },
    /// The first record cannot be written.
    #[error("the audit log does not take its first record: {0}")]
    NotRecorded(#[from] audit::NotRecorded),
}

/// A proxy that is ready to listen.
#[derive(Debug)]
pub struct Started {
    /// The proxy.
    pub proxy: Arc<Proxy>,
    /// Both listeners, until something serves them.
    pub listeners: Option<(TcpListener, TcpListener)>,
    /// Where both are.
    pub addresses: (SocketAddr, SocketAddr),
    /// Where agents ask about tool calls, as clients are told of it.
    pub tool_calls: Option<String>,
    questions: Option<tool_calls::Listener>,
    /// What ends only once the log is closed.
    keepers: TaskTracker,
    lock: File,
}

/// Starts a proxy under a policy.
pub async fn start(policy: Policy) -> Result<Started, Error> {
    let state = policy.state.clone();
    let lock = lock(&state)?;
    let store = Store::open(&state).await?;
    // A client that finds the port open may read the certificate at once.
    let leaves =
        Leaves::new(Arc::new(Authority::open(&policy.ca_dir, policy.ca_hosts.as_deref())?))?;
    let listener = bind("the proxy", policy.network.listen).await?;
    let approvals = bind("the approvals listener", policy.approvals.listen).await?;
    let local = |listener: &TcpListener, wanted| listener.local_addr().unwrap_or(wanted);
    let addresses =
        (local(&listener, policy.network.listen), local(&approvals, policy.approvals.listen));
    // Where the policy leaves the port open, `holdgate approvals` finds it here.
    std::fs::write(state.join(ADDRESS), addresses.1.to_string())
        .map_err(|source| Error::State { path: state.clone(), source })?;
    let tasks = TaskTracker::new();
    let keepers = TaskTracker::new();
    let log = open_log(&policy, &store, &keepers).await?;
    let questions = questions(&policy).await?;
    let mut own = vec![addresses.0, addresses.1];
    own.extend(questions.as_ref().and_then(tool_calls::Listener::address));
    let snapshot = snapshot(policy, &own, 0, &tasks)?;
    record_policy(&log, None, &snapshot.policy, None).await?;
    let stop = CancellationToken::new();
    let proxy = Arc::new(Proxy {
        agents: Agents::new(store.standing().await?, store.trajectories().await?),
        inventory: Keeper::open(store.clone()).await?,
        lookups: Lookups::default(),
        tools: Tools::default(),
        holds: Holds::new(store.clone(), log.clone()),
        current: ArcSwap::from_pointee(snapshot),
        log,
        store,
        leaves,
        metrics: Metrics::default(),
        tasks,
        stop,
        telling: notify::Telling::default(),
        clock: Clock::start(),
        own,
    });
    let listeners = Some((listener, approvals));
    let tool_calls = questions.as_ref().map(ToString::to_string);
    Ok(Started { proxy, listeners, addresses, tool_calls, questions, keepers, lock })
}

/// The listener of questions about tool calls, where the policy has one.
async fn questions(policy: &Policy) -> Result<Option<tool_calls::Listener>, Error> {
    let Some(declared) = &policy.network.tool_calls else { return Ok(None) };
    let bound = tool_calls::Listener::bind(&declared.listen).await;
    let failed = |source| Error::ToolCalls { place: declared.listen.to_string(), source };
    bound.map(Some).map_err(failed)
}

impl Started {
    /// Serves both listeners; `extra` is an approver that the policy does not name.
    pub fn serve(&mut self, extra: Option<(String, [u8; 32])>) {
        let Some((listener, approvals)) = self.listeners.take() else { return };
        let admin = Admin::new(self.proxy.clone(), self.addresses.1, extra);
        self.proxy.tasks.spawn(admin.serve(approvals));
        self.proxy.tasks.spawn(notify::tell(self.proxy.clone()));
        self.proxy.tasks.spawn(sweep(self.proxy.clone()));
        self.proxy.tasks.spawn(keep_trajectories(self.proxy.clone()));
        let declared = self.proxy.current.load().policy.network.tool_calls.clone();
        if let Some((questions, declared)) = self.questions.take().zip(declared) {
            let server = tool_calls::Server::new(self.proxy.clone(), declared.per_minute);
            self.proxy.tasks.spawn(Arc::new(server).serve(questions));
        }
        self.proxy.tasks.spawn(listen::listen(self.proxy.clone(), listener));
    }

    /// Drains: no new connections, requests end, held clients get their hold, the log is closed.
    pub async fn drain(self) {
        let Self { proxy, keepers, lock, .. } = self;
        proxy.stop.cancel();
        proxy.tasks.close();
        let drained = async {
            loop {
                // Idle upstream connections have tasks too, and end when nobody holds them.
                for agent in proxy.agents.all() {
                    agent.pool.sweep(u64::MAX);
                }
                if tokio::time::timeout(Duration::from_millis(50), proxy.tasks.wait()).await.is_ok()
                {
                    return;
                }
            }
        };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!(
                open = proxy.tasks.len(),
                "some connections did not end in time and are cut"
            );
        }
        if tokio::time::timeout(KEEP, proxy.keep_trajectories()).await.is_err() {
            tracing::warn!("where agents went was not stored in time");
        }
        if let Err(error) = proxy.log.close().await {
            tracing::error!(%error, "the audit log did not close in time");
        }
        keepers.close();
        if tokio::time::timeout(KEEP, keepers.wait()).await.is_err() {
            tracing::warn!("the head of the audit log was not stored in time");
        }
        let address = proxy.current.load().policy.state.join(ADDRESS);
        if let Err(error) = std::fs::remove_file(address) {
            tracing::debug!(%error, "the address of the approvals listener could not be removed");
        }
        drop(lock);
    }
}

/// Closes upstream connections that nobody has used for long, until the proxy drains.
async fn sweep(proxy: Arc<Proxy>) {
    while proxy.stop.run_until_cancelled(tokio::time::sleep(SWEEP)).await.is_some() {
        let generation = proxy.current.load().upstream.generation();
        for agent in proxy.agents.all() {
            agent.pool.sweep(generation);
        }
    }
}

/// Keeps where agents went, shortly after they went there, until the proxy drains. What restrains an
/// agent does not wait for that.
async fn keep_trajectories(proxy: Arc<Proxy>) {
    while proxy.stop.run_until_cancelled(tokio::time::sleep(TRAJECTORIES)).await.is_some() {
        proxy.keep_trajectories().await;
    }
}

/// The policy with its way to the upstreams.
fn snapshot(
    policy: Policy,
    own: &[SocketAddr],
    generation: u64,
    tasks: &TaskTracker,
) -> Result<Snapshot, Error> {
    let config = roots::client_config(&policy.network.roots)?;
    let reach = Reach::new(own.to_vec());
    let names = Names::new(&policy.network, &policy.limits)?;
    let upstream = Upstream::new(&config, reach, names, generation, tasks.clone());
    Ok(Snapshot { policy, upstream })
}

/// Loads the policy again; one that does not load keeps the old one and says so.
pub async fn reload(proxy: &Proxy, origin: &Origin) -> bool {
    let before = proxy.current.load_full();
    let loaded =
        origin.check_writers().and_then(|()| load::load(origin, true)).map_err(Error::from);
    let generation = before.upstream.generation() + 1;
    let made = loaded.and_then(|policy| {
        if *policy.state != *before.policy.state || *policy.ca_dir != *before.policy.ca_dir {
            tracing::warn!("`state` and `ca` take effect at the next start only");
        }
        if policy.network.tool_calls != before.policy.network.tool_calls {
            tracing::warn!("`proxy.tool_calls` takes effect at the next start only");
        }
        // The authority stays the one of the start.
        proxy.leaves.authority().fits(policy.ca_hosts.as_deref())?;
        snapshot(policy, &proxy.own, generation, &proxy.tasks)
    });
    let fresh = match made {
        Ok(fresh) => Arc::new(fresh),
        Err(error) => {
            proxy.metrics.reloads_refused.inc();
            tracing::error!("the policy was NOT reloaded, the old one stays in force:\n{error}");
            let refused = record_policy(
                &proxy.log,
                Some(&before.policy),
                &before.policy,
                Some("a reload was refused"),
            );
            if let Err(error) = refused.await {
                tracing::error!(%error, "a refused reload could not be recorded");
            }
            return false;
        }
    };
    // A law that is not in the record is not in force.
    if let Err(error) = record_policy(&proxy.log, Some(&before.policy), &fresh.policy, None).await {
        tracing::error!(%error, "the policy was NOT reloaded: its load could not be recorded");
        return false;
    }
    proxy.current.store(fresh.clone());
    before.upstream.replaced().cancel();
    for agent in proxy.agents.all() {
        agent.pool.sweep(generation);
    }
    tracing::info!(digest = %fresh.policy.digest, "the policy was reloaded");
    true
}

async fn record_policy(
    log: &Log,
    before: Option<&Policy>,
    policy: &Policy,
    detail: Option<&'static str>,
) -> Result<(), audit::NotRecorded> {
    let mut entry = Entry::new(Kind::Policy, Timestamp::now());
    entry.policy_digest = Some(Text::from(&policy.digest));
    entry.policy_digest_before = before.map(|before| Text::from(&before.digest));
    entry.detail = detail.map(Text::from);
    log.commit(entry).await.map(drop)
}

fn lock(state: &std::path::Path) -> Result<File, Error> {
    let error = |source| Error::State { path: state.to_owned(), source };
    load::private_folder(state).map_err(error)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(state.join("lock"))
        .map_err(error)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Busy(state.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(error(source)),
    }
}

async fn bind(what: &'static str, address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { what, address, source })
}

async fn open_log(policy: &Policy, store: &Store, tasks: &TaskTracker) -> Result<Log, Error> {
    let mut options = Options::new(policy.state.join("audit.key"));
    options.rotate_bytes = u64::from(policy.audit.rotate_mib) << 20;
    options.retain = Retain::Files(policy.audit.keep_files as usize);
    options.head = store.audit_head().await?;
    // The writer thread hands the newest head over; storing it may lag, never block the log.
    let (sender, mut receiver) = tokio::sync::watch::channel(None);
    options.head_sink = Some(Box::new(move |seq, hash| {
        sender.send_replace(Some((seq, hash)));
    }));
    let log = Log::open(&policy.state.join("audit"), options)?;
    let store = store.clone();
    tasks.spawn(async move {
        // Ends when the writer is gone, after its last head.
        while receiver.changed().await.is_ok() {
            let head: Option<(u64, [u8; 32])> = *receiver.borrow_and_update();
            if let Some((seq, hash)) = head
                && let Err(error) = store.set_audit_head(seq, hash).await
            {
                tracing::warn!(%error, "the head of the audit log could not be stored");
            }
        }
    });
    Ok(log)
}
