//! The client's TLS: rustls on ring, native roots or one CA bundle, HTTP/2 by ALPN.

use std::{path::Path, sync::Arc};

use aws_smithy_http_client::{
    Connector,
    proxy::ProxyConfig,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    http::{HttpConnectorSettings, SharedHttpClient},
    runtime_components::RuntimeComponents,
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};

use super::proxy::Proxy;
use crate::error::{Error, ErrorKind, Result};

pub(super) struct ClientTls {
    config: Arc<ClientConfig>,
    /// As PEM, if the roots came from one.
    bundle: Option<Vec<u8>>,
}

impl ClientTls {
    /// Reads the trusted roots from disk: tens of milliseconds, off the runtime's own threads.
    ///
    /// A bundle takes the place of the native roots, as it does for every AWS tool.
    pub(super) fn load(bundle: Option<&Path>) -> Result<Self> {
        let bundle = bundle.map(|path| Ok((path, std::fs::read(path).map_err(|error| bad_bundle(path, &error))?)));
        let bundle = bundle.transpose()?;
        let roots = match &bundle {
            Some((path, pem)) => bundled_roots(pem).map_err(|reason| bad_bundle(path, &reason))?,
            None => native_roots()?,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| super::errors::internal(&format!("TLS could not be set up: {error}.")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { config: Arc::new(config), bundle: bundle.map(|(_, pem)| pem) })
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    pub(super) fn server_name(host: &str) -> Result<ServerName<'static>> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        ServerName::try_from(bare.to_owned()).map_err(|_| {
            Error::new(ErrorKind::Config, "bad_endpoint", format!("{host:?} is not a host name that TLS can verify."))
        })
    }
}

/// The client that credential providers talk to STS, SSO and metadata addresses with. They speak HTTP/1.1 too: the
/// SDK's own suits them.
pub(super) fn helper_client(tls: &ClientTls, proxy: Option<&Proxy>) -> Result<SharedHttpClient> {
    let trust = match &tls.bundle {
        Some(pem) => TrustStore::empty().with_pem_certificate(pem.clone()),
        None => TrustStore::default(),
    };
    let context = TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .map_err(|error| super::errors::internal(&format!("TLS could not be set up: {error}.")))?;
    let proxy = proxy.map_or_else(|| Ok(ProxyConfig::disabled()), Proxy::for_sdk)?;
    let connector = move |settings: Option<&HttpConnectorSettings>, parts: Option<&RuntimeComponents>| {
        let mut builder = Connector::builder().proxy_config(proxy.clone());
        builder.set_connector_settings(settings.cloned());
        builder.set_sleep_impl(parts.and_then(RuntimeComponents::sleep_impl));
        builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(context.clone()).build()
    };
    Ok(aws_smithy_http_client::Builder::new().build_with_connector_fn(connector))
}

fn bundled_roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err("it holds no certificate".to_owned()) } else { Ok(roots) }
}

fn native_roots() -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    // Systems carry odd certificates; the ones that can be used are enough.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let error = Error::new(ErrorKind::Config, "no_native_roots", "This system has no trusted authorities.");
        return Err(error.with_cure("Install the ca-certificates package, or give ca_bundle or AWS_CA_BUNDLE."));
    }
    Ok(roots)
}

fn bad_bundle(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Config,
        "bad_ca_bundle",
        format!("The CA bundle {} cannot be used: {reason}.", path.display()),
    )
    .with_cure("Give a PEM file of certificates as ca_bundle or AWS_CA_BUNDLE.")
}
