//! Getting there: TLS and its failures, refused ports, clear text, and keys that must be asked for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use novasonic::{
    error::{Error, ErrorKind, Result},
    transport::{
        AskCredentials, BoxFuture, CredentialSource, Credentials, OpenRequest, Transport, TransportConfig,
        pool::PoolSettings, sdk::SdkTransport,
    },
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, crypto::ring};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::{io::AsyncWriteExt, net::TcpListener};
use tokio_rustls::TlsAcceptor;

use crate::{
    transport_client::{TempFile, config, open, open_error, opened, pooled, request, transport},
    transport_peer::{Peer, PeerOptions},
};

/// A server's TLS for these names, and its authority as a PEM file.
pub(crate) fn authority(names: &[&str], alpn: &[u8]) -> (TlsAcceptor, TempFile) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let issuer = Issuer::new(params, ca_key);
    let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    config.alpn_protocols = if alpn.is_empty() { vec![] } else { vec![alpn.to_vec()] };
    (TlsAcceptor::from(Arc::new(config)), TempFile::new(&ca.pem()))
}

async fn secure_peer(names: &[&str], alpn: &[u8]) -> (Peer, TempFile) {
    let (acceptor, ca) = authority(names, alpn);
    (Peer::start(PeerOptions { tls: Some(acceptor), ..PeerOptions::default() }).await, ca)
}

fn trusting(peer: &Peer, host: &str, ca: &TempFile) -> SdkTransport {
    let url = format!("https://{host}:{}", peer.addr.port());
    SdkTransport::new(TransportConfig { ca_bundle: Some(ca.0.clone()), ..config(&url) }).unwrap()
}

#[tokio::test]
async fn a_bundle_makes_its_authority_trusted() {
    let (mut peer, ca) = secure_peer(&["localhost", "127.0.0.1"], b"h2").await;
    for host in ["localhost", "127.0.0.1"] {
        let transport = trusting(&peer, host, &ca);
        let served = async {
            let mut stream = peer.accept().await;
            stream.headers();
            stream
        };
        let (_stream, _client) = tokio::join!(served, opened(&transport));
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_at_once() {
    let (peer, ca) = secure_peer(&["bedrock.example"], b"h2").await;
    let began = Instant::now();
    let error = open_error(&trusting(&peer, "localhost", &ca)).await;
    assert_eq!((error.kind, error.retryable), (ErrorKind::Certificate, false), "{error:?}");
    assert!(error.cure.is_some());
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_server_without_http2_is_named() {
    for alpn in [b"http/1.1".as_slice(), b""] {
        let (peer, ca) = secure_peer(&["localhost"], alpn).await;
        let error = open_error(&trusting(&peer, "localhost", &ca)).await;
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Connect, "no_http2"), "{error:?}");
    }
}

/// A server that says this to whoever connects.
async fn says(greeting: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.write_all(greeting).await;
            let _ = socket.shutdown().await;
            // Held until the client goes, so that it reads the greeting and not a reset.
            tokio::spawn(async move { tokio::io::copy(&mut socket, &mut tokio::io::sink()).await });
        }
    });
    port
}

#[tokio::test]
async fn other_servers_on_the_port_are_connection_errors() {
    let http1 = says(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    let error = open_error(&transport(&format!("http://127.0.0.1:{http1}"))).await;
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Connect, "no_http2"), "{error:?}");

    let error = open_error(&transport(&format!("https://127.0.0.1:{http1}"))).await;
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Connect, "tls_failed"), "{error:?}");

    let closing = says(b"").await;
    let error = open_error(&transport(&format!("http://127.0.0.1:{closing}"))).await;
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Connect, "closed_early"), "{error:?}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_a_connect_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let settings = PoolSettings { connect_timeout: Duration::from_millis(200), ..PoolSettings::default() };
    let error = open_error(&pooled(&url, settings)).await;
    assert_eq!((error.kind, error.code.as_str(), error.retryable), (ErrorKind::Connect, "connect_timeout", true));
}

#[tokio::test]
async fn unknown_hosts_are_connection_errors() {
    let error = open_error(&transport("https://nowhere.invalid")).await;
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Connect, "connect_failed"), "{error:?}");
    assert!(error.message.contains("nowhere.invalid"), "{error}");
}

#[tokio::test]
async fn a_bundle_that_cannot_be_used_is_a_configuration_error() {
    let empty = TempFile::new("");
    for path in [empty.0.clone(), "/nonexistent/bundle.pem".into()] {
        let config = TransportConfig { ca_bundle: Some(path), ..config("https://127.0.0.1:9") };
        let error = open_error(&SdkTransport::new(config).unwrap()).await;
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Config, "bad_ca_bundle"), "{error:?}");
    }
}

#[test]
fn clear_text_leaves_this_machine_only_on_request() {
    let error = SdkTransport::new(config("http://bedrock.example:80")).err().unwrap();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Config, "insecure_endpoint"));
    assert!(error.cure.unwrap().contains("allow_insecure"));
    let allowed = TransportConfig { allow_insecure: true, ..config("http://bedrock.example:80") };
    assert!(SdkTransport::new(allowed).is_ok());
}

struct Asked {
    answer: fn() -> BoxFuture<Result<Credentials>>,
    times: AtomicUsize,
}

impl AskCredentials for Asked {
    fn ask(&self) -> BoxFuture<Result<Credentials>> {
        self.times.fetch_add(1, Ordering::SeqCst);
        (self.answer)()
    }
}

fn asking(url: &str) -> SdkTransport {
    SdkTransport::new(TransportConfig { credentials: CredentialSource::Ask, ..config(url) }).unwrap()
}

fn asked(answer: fn() -> BoxFuture<Result<Credentials>>) -> Arc<Asked> {
    Arc::new(Asked { answer, times: AtomicUsize::new(0) })
}

fn temporary(secret: &str) -> Credentials {
    Credentials {
        access_key_id: "ASIAASKED".to_owned(),
        secret_access_key: secret.to_owned(),
        session_token: Some("session-token".to_owned()),
        expires_at: Some(std::time::SystemTime::now() + Duration::from_secs(30)),
    }
}

#[tokio::test]
async fn keys_asked_for_sign_the_stream_each_time() {
    let mut peer = Peer::start(PeerOptions::default()).await;
    let transport = asking(&peer.url());
    let keys = asked(|| Box::pin(async { Ok(temporary("secret")) }));
    for _ in 0..2 {
        let ask: Arc<dyn AskCredentials> = keys.clone();
        let opening = transport.open(OpenRequest { ask: Some(ask), ..request() });
        let mut stream = peer.accept().await;
        let signature = stream.request.headers["authorization"].to_str().unwrap();
        assert!(signature.contains("Credential=ASIAASKED/"), "{signature}");
        assert_eq!(stream.request.headers["x-amz-security-token"], "session-token");
        stream.headers();
        opening.headers.await.unwrap();
    }
    assert_eq!(keys.times.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn whatever_the_asked_one_raises_is_the_error() {
    let refusal = || Error::new(ErrorKind::Credentials, "vault_sealed", "The vault is sealed.");
    let keys =
        asked(|| Box::pin(async { Err(Error::new(ErrorKind::Credentials, "vault_sealed", "The vault is sealed.")) }));
    let opening = asking("http://127.0.0.1:9").open(OpenRequest { ask: Some(keys), ..request() });
    assert_eq!(opening.headers.await.err(), Some(refusal()));

    let empty = asked(|| Box::pin(async { Ok(temporary("")) }));
    let opening = asking("http://127.0.0.1:9").open(OpenRequest { ask: Some(empty), ..request() });
    let error = opening.headers.await.err().unwrap();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Credentials, "credentials_empty"));
}

#[tokio::test]
async fn a_model_out_of_its_regions_asks_for_no_keys() {
    let keys = asked(|| Box::pin(async { Ok(temporary("secret")) }));
    let transport = SdkTransport::new(TransportConfig {
        credentials: CredentialSource::Ask,
        endpoint_url: None,
        region: Some("sa-east-1".to_owned()),
        ..config("")
    });
    let regions = vec!["us-east-1".to_owned()];
    let ask: Arc<dyn AskCredentials> = keys.clone();
    let opening = transport.unwrap().open(OpenRequest { ask: Some(ask), regions, ..request() });
    let error = opening.headers.await.err().unwrap();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Config, "model_region"));
    assert_eq!(keys.times.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn waiting_for_keys_counts_in_the_bound() {
    let keys = asked(|| Box::pin(std::future::pending()));
    let bound = Duration::from_millis(100);
    let opening = asking("http://127.0.0.1:9").open(OpenRequest { ask: Some(keys), open_timeout: bound, ..request() });
    let error = opening.headers.await.err().unwrap();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Timeout, "open_timeout"));
    assert!(error.message.contains("credentials callable"), "{error}");
}

#[test]
fn keys_do_not_show() {
    let shown = format!("{:?}", temporary("a-secret"));
    assert!(shown.contains("ASIA") && !shown.contains("ASIAASKED"), "{shown}");
    assert!(!shown.contains("a-secret") && !shown.contains("session-token"), "{shown}");
}

#[tokio::test]
async fn a_transport_asks_for_nothing_until_it_opens() {
    // A configuration that cannot work at all is fine until then.
    let nowhere =
        TransportConfig { region: None, ca_bundle: Some("/nonexistent".into()), ..config("https://x.invalid") };
    let transport = SdkTransport::new(nowhere).unwrap();
    assert!(open(&transport).headers.await.is_err());
}
