//! The transport under test, and what its tests say to it.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use novasonic::{
    error::{Error, Result},
    transport::{
        CredentialSource, Credentials, Downlink, OpenRequest, Opening, Patience, Transport, TransportConfig,
        pool::PoolSettings, sdk::SdkTransport,
    },
};
use serde_json::{Value, json};

pub(crate) const MODEL: &str = "amazon.nova-2-sonic-v1:0";

/// Longer than anything here should take: a test that hits it has failed.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) fn keys(id: &str, secret: &str) -> CredentialSource {
    CredentialSource::Static(Credentials {
        access_key_id: id.to_owned(),
        secret_access_key: secret.to_owned(),
        session_token: None,
        expires_at: None,
    })
}

/// Nothing but the endpoint, which is where peers of these tests listen.
pub(crate) fn config(url: &str) -> TransportConfig {
    TransportConfig {
        region: Some("us-east-1".to_owned()),
        profile: None,
        credentials: keys("AKIDEXAMPLE", "secret"),
        endpoint_url: Some(url.to_owned()),
        ca_bundle: None,
        allow_insecure: false,
    }
}

pub(crate) fn transport(url: &str) -> SdkTransport {
    SdkTransport::new(config(url)).unwrap()
}

pub(crate) fn pooled(url: &str, settings: PoolSettings) -> SdkTransport {
    SdkTransport::with_pool(config(url), settings).unwrap()
}

pub(crate) fn request() -> OpenRequest {
    OpenRequest {
        model_id: MODEL.to_owned(),
        regions: Vec::new(),
        ask: None,
        open_timeout: LONG,
        patience: Patience::default(),
    }
}

pub(crate) fn open(transport: &SdkTransport) -> Opening {
    transport.open(request())
}

/// Opens and waits for headers, which the peer must send before any event.
pub(crate) async fn opened(transport: &SdkTransport) -> (tokio::sync::mpsc::Sender<Bytes>, Downlink) {
    let opening = open(transport);
    let downlink = tokio::time::timeout(LONG, opening.headers).await.expect("headers in time").expect("a stream");
    (opening.uplink, downlink)
}

pub(crate) async fn open_error(transport: &SdkTransport) -> Error {
    match tokio::time::timeout(LONG, open(transport).headers).await.expect("an answer in time") {
        Ok(_) => panic!("the stream opened"),
        Err(error) => error,
    }
}

pub(crate) async fn next(downlink: &mut Downlink) -> Result<Option<Value>> {
    let event = tokio::time::timeout(LONG, downlink.recv()).await.expect("an event in time")?;
    Ok(event.map(|json| serde_json::from_slice(&json).expect("JSON")))
}

pub(crate) async fn stream_error(downlink: &mut Downlink) -> Error {
    let error = next(downlink).await.expect_err("an error");
    assert_eq!(next(downlink).await, Ok(None), "an error comes once");
    assert_eq!(next(downlink).await, Ok(None));
    error
}

pub(crate) fn event(name: &str) -> Bytes {
    Bytes::from(json!({"event": {name: {}}}).to_string())
}

/// Writes a file that is gone with its guard.
pub(crate) struct TempFile(pub(crate) PathBuf);

impl TempFile {
    pub(crate) fn new(content: &str) -> Self {
        let path = std::env::temp_dir().join(format!("novasonic-{}.pem", uuid::Uuid::new_v4()));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
