//! A certificate authority that lives as long as the emulator, in memory only.

use std::{io, net::IpAddr, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};
use tokio_rustls::TlsAcceptor;

pub(super) const HTTP2_ALPN: &[u8] = b"h2";

pub(super) struct Tls {
    pub(super) acceptor: TlsAcceptor,
    /// What clients are told to trust.
    pub(super) ca_pem: String,
}

impl Tls {
    /// Makes a CA and one certificate for this machine's loopback names, `host` and `sans` (DNS names or addresses).
    pub(super) fn new(host: IpAddr, sans: &[String]) -> io::Result<Self> {
        let names = subject_names(host, sans);
        issue(names.clone()).map_err(|error| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("cannot make a certificate for {}: {error}. Check the further names (sans).", names.join(", ")),
            )
        })
    }
}

fn subject_names(host: IpAddr, sans: &[String]) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).into();
    if !host.is_unspecified() {
        names.push(host.to_string());
    }
    names.extend_from_slice(sans);
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

fn issue(names: Vec<String>) -> Result<Tls, Box<dyn std::error::Error>> {
    // A client's clock may be a little behind; a year outlives any emulator.
    let not_before = OffsetDateTime::now_utc() - Duration::days(1);
    let not_after = not_before + Duration::days(366);

    let mut ca = CertificateParams::default();
    (ca.not_before, ca.not_after) = (not_before, not_after);
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.distinguished_name.push(DnType::CommonName, "novasonic emulator CA, not AWS");
    let ca_key = KeyPair::generate()?;
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(ca, ca_key);

    let mut leaf = CertificateParams::new(names)?;
    (leaf.not_before, leaf.not_after) = (not_before, not_after);
    leaf.distinguished_name.push(DnType::CommonName, "novasonic emulator, not AWS");
    leaf.use_authority_key_identifier_extension = true;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let leaf_key = KeyPair::generate()?;
    let certificate = leaf.signed_by(&leaf_key, &issuer)?;

    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // TLS 1.2 beside 1.3: AWS's Python SDK 0.4.0, which pipecat pins, was seen to speak nothing newer.
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    // HTTP/2 first; browsers offer HTTP/1.1 alone where they open a WebSocket.
    config.alpn_protocols = vec![HTTP2_ALPN.to_vec(), b"http/1.1".to_vec()];
    Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), ca_pem })
}

#[cfg(test)]
mod tests;
