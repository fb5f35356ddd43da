//! The approvers' side: a listener of its own, which the data plane cannot reach.
//!
//! Takes requests of people and of monitoring; answers with holds, takes decisions, tells health and
//! counters. Refuses, before anything else, what a browser on a foreign page could send. `GET` never
//! changes anything; nothing here answers without a token but health and counters.

mod api;
mod auth;
mod inventory;
mod sessions;

use crate::listen::http1_builder;
use crate::proxy::Proxy;
use axum::Router;
use axum::routing::{get, post};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

const CONNECTIONS: usize = 256;
const HEAD: Duration = Duration::from_secs(30);

/// What the handlers work on.
#[derive(Clone, Debug)]
pub struct Admin {
    proxy: Arc<Proxy>,
    guard: Arc<auth::Guard>,
}

impl Admin {
    /// Over a proxy; `extra` is an approver that its policy does not name.
    pub fn new(proxy: Arc<Proxy>, listen: SocketAddr, extra: Option<(String, [u8; 32])>) -> Self {
        Self { proxy, guard: Arc::new(auth::Guard::new(listen, extra)) }
    }

    fn router(self) -> Router {
        let guarded = Router::new()
            .route("/v1/holds", get(api::list))
            .route("/v1/holds/{id}", get(api::show))
            .route("/v1/holds/{id}/approve", post(api::approve))
            .route("/v1/holds/{id}/deny", post(api::deny))
            .route("/v1/events", get(api::events))
            .route("/v1/agents", get(api::agents))
            .route("/v1/agents/{name}/release", post(api::release))
            .route("/v1/sessions", get(sessions::list))
            .route("/v1/sessions/{name}", get(sessions::show))
            .route("/v1/sessions/{name}/quarantine", post(sessions::quarantine))
            .route("/v1/sessions/{name}/reset", post(sessions::reset))
            .route("/v1/inventory", get(inventory::list))
            .route("/v1/inventory/about", get(inventory::why))
            .route("/v1/inventory/forget", post(inventory::forget))
            .route_layer(axum::middleware::from_fn_with_state(self.clone(), auth::approver));
        Router::new()
            .route("/healthz", get(api::health))
            .route("/readyz", get(api::ready))
            .route("/metrics", get(api::metrics))
            .merge(guarded)
            .layer(axum::middleware::from_fn_with_state(self.clone(), auth::same_site))
            .layer(axum::extract::DefaultBodyLimit::max(16 << 10))
            .with_state(self)
    }

    /// Serves until the proxy drains.
    pub async fn serve(self, listener: TcpListener) {
        let (proxy, router) = (self.proxy.clone(), self.router());
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                () = proxy.stop.cancelled() => return,
                accepted = accept(&listener, &slots) => accepted,
            };
            let Some((stream, slot)) = accepted else { continue };
            let (router, stop) = (router.clone(), proxy.stop.clone());
            proxy.tasks.spawn(async move {
                let service = service_fn(move |request: http::Request<Incoming>| {
                    router.clone().oneshot(request.map(axum::body::Body::new))
                });
                let connection =
                    http1_builder(HEAD).serve_connection(TokioIo::new(stream), service);
                let mut connection = std::pin::pin!(connection);
                let ended = tokio::select! {
                    ended = connection.as_mut() => ended,
                    () = stop.cancelled() => {
                        connection.as_mut().graceful_shutdown();
                        connection.await
                    }
                };
                if let Err(error) = ended {
                    tracing::debug!(%error, "an approver's connection ended");
                }
                drop(slot);
            });
        }
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _peer)) => Some((stream, slot)),
        Err(error) => {
            tracing::warn!(%error, "an approver's connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}
