//! The SDK's door to our connections: an `HttpClient` that sends each request where its pool finds room.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
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
    body::{DownlinkBody, UplinkBody},
    errors,
    pool::{Lease, Pool, PoolSettings},
    proxy::Proxy,
    tls::ClientTls,
};
use crate::error::Error;

/// Times a request is offered to another connection because the first one closed before it was sent.
const OFFERS: usize = 3;

/// One pool for each origin. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connector(Arc<Inner>);

struct Inner {
    tls: Arc<ClientTls>,
    proxy: Option<Proxy>,
    settings: PoolSettings,
    pools: Mutex<HashMap<(bool, Authority), Arc<Pool>>>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    pub(super) fn new(tls: Arc<ClientTls>, proxy: Option<Proxy>, settings: PoolSettings) -> Self {
        Self(Arc::new(Inner { tls, proxy, settings, pools: Mutex::default() }))
    }

    fn pool(&self, uri: &Uri) -> Option<Arc<Pool>> {
        let secure = uri.scheme_str() != Some("http");
        let authority = uri.authority()?.clone();
        let mut pools = self.0.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = pools.entry((secure, authority)).or_insert_with(|| {
            let tls = secure.then(|| Arc::clone(&self.0.tls));
            let route = self.0.proxy.as_ref().and_then(|proxy| proxy.route(uri));
            Pool::new(uri.clone(), tls, route, self.0.settings.clone())
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
                    let response = response.map(|incoming| SdkBody::from_body_1_x(DownlinkBody::new(incoming, lease)));
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
