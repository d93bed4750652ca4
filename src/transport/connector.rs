//! The SDK's door to our connections: an `HttpClient` that sends each request where its pool finds room.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use http::{Uri, Version, uri::Authority};

use super::{
    Patience,
    body::{DownlinkBody, UplinkBody},
    errors,
    pool::{Lease, Pool, PoolSettings},
    proxy::Proxy,
    tls::ClientTls,
};
use crate::error::Error;

/// Times a request is offered to another connection because the first one closed before it was sent.
const OFFERS: usize = 3;

/// One pool for each origin and for each bound on a peer's silence, since a connection has one such bound. Cheap to
/// clone.
#[derive(Clone)]
pub(super) struct Connector {
    inner: Arc<Inner>,
    patience: Patience,
}

struct Inner {
    tls: Arc<ClientTls>,
    proxy: Option<Proxy>,
    settings: PoolSettings,
    pools: Mutex<HashMap<(bool, Authority, Duration), Arc<Pool>>>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    pub(super) fn new(tls: Arc<ClientTls>, proxy: Option<Proxy>, settings: PoolSettings) -> Self {
        let inner = Arc::new(Inner { tls, proxy, settings, pools: Mutex::default() });
        Self { inner, patience: Patience::default() }
    }

    /// The same connections, for a stream of other patience.
    pub(super) fn with(&self, patience: Patience) -> Self {
        Self { inner: Arc::clone(&self.inner), patience }
    }

    fn pool(&self, uri: &Uri) -> Option<Arc<Pool>> {
        let secure = uri.scheme_str() != Some("http");
        let authority = uri.authority()?.clone();
        let peer = self.patience.peer;
        let mut pools = self.inner.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = pools.entry((secure, authority, peer)).or_insert_with(|| {
            let tls = secure.then(|| Arc::clone(&self.inner.tls));
            let route = self.inner.proxy.as_ref().and_then(|proxy| proxy.route(uri));
            let settings = self.inner.settings.clone();
            let usual = peer == Patience::default().peer;
            Pool::new(uri.clone(), tls, route, if usual { settings } else { settings.noticing_within(peer) })
        });
        Some(Arc::clone(pool))
    }

    async fn send(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        let pool = self.pool(request.uri()).ok_or_else(|| ours(errors::internal("A request without a host.")))?;
        let mut request = request.map(Box::pin);
        *request.version_mut() = Version::HTTP_2;
        for _ in 0..OFFERS {
            let lease = Arc::new(pool.acquire().await.map_err(ours)?);
            let mut sender = lease.sender.clone();
            let body = Arc::clone(&lease);
            let sent = sender.try_send_request(request.map(|sdk| UplinkBody::new(sdk, body))).await;
            match sent {
                Ok(response) => {
                    let response = response.map(|incoming| {
                        SdkBody::from_body_1_x(DownlinkBody::new(incoming, lease, self.patience.stall))
                    });
                    return response.try_into().map_err(|error: aws_smithy_runtime_api::http::HttpError| {
                        ConnectorError::other(error.into(), None)
                    });
                }
                Err(mut refused) => match refused.take_message() {
                    // The connection closed before it took the request: nothing was sent.
                    Some(unsent) => {
                        pool.retire(lease.id());
                        request = unsent.map(UplinkBody::into_sdk);
                    }
                    None => return Err(ours(lost(refused.into_error(), &lease, &pool).await)),
                },
            }
        }
        Err(ours(errors::from_closing(&pool.place())))
    }
}

/// The stream was lost before headers.
async fn lost(error: hyper::Error, lease: &Lease, pool: &Pool) -> Error {
    if !pool.peer_has_spoken() {
        return errors::from_handshake(&error, &pool.place());
    }
    let reason = if errors::lost_with_connection(&error) { lease.fate.clone().await.ok().flatten() } else { None };
    errors::from_lost(&error, reason.as_deref())
}

/// Our own errors travel as they are; the mapping of SDK errors looks for them first.
fn ours(error: Error) -> ConnectorError {
    ConnectorError::other(error.into(), None)
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().send(request))
    }
}

impl HttpClient for Connector {
    /// The SDK's timeouts are not used: connecting has its own bound in [`PoolSettings`], and the time to headers is
    /// bound by whoever opens the stream.
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
