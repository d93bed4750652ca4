//! What the environment decides: keys, region, endpoint, bundle. Each case runs in a process of its own, since a
//! process has one environment and its tests run side by side.

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use novasonic::transport::{CredentialSource, OpenRequest, Transport, TransportConfig, sdk::SdkTransport};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    transport_client::{LONG, keys, request},
    transport_connect::authority,
    transport_peer::{Peer, PeerOptions, PeerStream},
};

/// Opens one stream as the environment says and prints how that went.
#[tokio::test]
#[ignore = "the other tests here run it, each in an environment of its own"]
async fn probe() {
    let given = std::env::var_os("PROBE_KEYS").is_some();
    let config = TransportConfig {
        region: None,
        profile: None,
        credentials: if given { keys("AKIDGIVEN", "secret") } else { CredentialSource::DefaultChain },
        endpoint_url: None,
        ca_bundle: None,
        allow_insecure: false,
    };
    let began = Instant::now();
    let regions = std::env::var("PROBE_REGIONS").map_or_else(|_| Vec::new(), |regions| vec![regions]);
    let opening = SdkTransport::new(config).unwrap().open(OpenRequest { regions, open_timeout: LONG / 2, ..request() });
    let outcome = opening.headers.await;
    let ms = began.elapsed().as_millis();
    let told = match outcome {
        Ok(_) => json!({"ms": ms}),
        Err(error) => json!({
            "ms": ms, "kind": format!("{:?}", error.kind), "code": error.code, "text": error.to_string(),
        }),
    };
    println!("\nOUTCOME {told}");
}

struct Probed {
    ms: u64,
    kind: String,
    code: String,
    text: String,
}

struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("novasonic-home-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(path.join(".aws")).unwrap();
        Self(path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs [`probe`] with these variables and no other, and this `.aws/config`.
async fn run_probe(variables: &[(&str, &str)], profile: &str) -> Probed {
    let home = Home::new();
    std::fs::write(home.0.join(".aws/config"), profile).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["transport_environment::probe", "--exact", "--ignored", "--nocapture"])
        .env_clear()
        .env("HOME", &home.0)
        .envs(variables.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = stdout.lines().find_map(|line| line.strip_prefix("OUTCOME "));
    let line = line.unwrap_or_else(|| panic!("{stdout}{}", String::from_utf8_lossy(&output.stderr)));
    let told: Value = serde_json::from_str(line).unwrap();
    let word = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
    Probed { ms: told["ms"].as_u64().unwrap(), kind: word("kind"), code: word("code"), text: word("text") }
}

const NO_METADATA: (&str, &str) = ("AWS_EC2_METADATA_DISABLED", "true");
const REGION: (&str, &str) = ("AWS_REGION", "eu-north-1");
const NOWHERE: (&str, &str) = ("AWS_ENDPOINT_URL", "http://127.0.0.1:9");

/// A metadata address that takes connections and never answers.
struct SilentMetadata {
    listener: TcpListener,
    url: String,
}

impl SilentMetadata {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        Self { listener, url }
    }

    fn variable(&self) -> (&'static str, &str) {
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &self.url)
    }

    async fn was_asked(&self) -> bool {
        tokio::time::timeout(Duration::from_millis(1), self.listener.accept()).await.is_ok()
    }
}

#[tokio::test]
async fn missing_keys_fail_within_a_second() {
    let probed = run_probe(&[NO_METADATA, REGION, NOWHERE], "").await;
    assert_eq!((probed.kind.as_str(), probed.code.as_str()), ("Credentials", "credentials_missing"), "{}", probed.text);
    assert!(probed.text.contains("AWS_ACCESS_KEY_ID"), "{}", probed.text);
    assert!(probed.ms < 1000, "{} ms", probed.ms);
}

#[tokio::test]
async fn missing_keys_fail_within_three_seconds_where_metadata_is_silent() {
    let metadata = SilentMetadata::start().await;
    let probed = run_probe(&[metadata.variable(), REGION, NOWHERE], "").await;
    assert_eq!(probed.kind, "Credentials", "{}", probed.text);
    assert!(probed.ms < 3000, "{} ms", probed.ms);
    assert!(metadata.was_asked().await, "the test must try it");
}

#[tokio::test]
async fn given_keys_never_ask_a_metadata_address() {
    let metadata = SilentMetadata::start().await;
    let environment = [("AWS_ACCESS_KEY_ID", "AKIDENV"), ("AWS_SECRET_ACCESS_KEY", "secret"), REGION, NOWHERE];
    for variables in [&[("PROBE_KEYS", "1"), REGION, NOWHERE][..], &environment, &[("PROBE_KEYS", "1"), NOWHERE]] {
        let mut variables = variables.to_vec();
        variables.push(metadata.variable());
        let probed = run_probe(&variables, "").await;
        assert!(["Connect", "Config"].contains(&probed.kind.as_str()), "{}", probed.text);
        assert!(!metadata.was_asked().await, "{variables:?}");
    }
}

#[tokio::test]
async fn a_missing_region_is_a_configuration_error() {
    let probed = run_probe(&[NO_METADATA, ("PROBE_KEYS", "1"), NOWHERE], "").await;
    assert_eq!((probed.kind.as_str(), probed.code.as_str()), ("Config", "region_missing"));
    assert!(probed.text.contains("AWS_REGION") && probed.ms < 1000, "{} ms: {}", probed.ms, probed.text);
}

#[tokio::test]
async fn a_model_is_checked_against_the_region_that_was_found_before_anybody_is_asked() {
    let metadata = SilentMetadata::start().await;
    let offered = ("PROBE_REGIONS", "us-east-1");
    let profile = "[default]\nregion = sa-east-1\n";
    for (found, profile) in [(("AWS_REGION", "sa-east-1"), ""), (("AWS_PROFILE", "default"), profile)] {
        let probed = run_probe(&[metadata.variable(), offered, found], profile).await;
        assert_eq!((probed.kind.as_str(), probed.code.as_str()), ("Config", "model_region"), "{}", probed.text);
        assert!(probed.text.contains("sa-east-1") && probed.text.contains("us-east-1"), "{}", probed.text);
        assert!(!metadata.was_asked().await);
    }
}

#[tokio::test]
async fn an_endpoint_of_ones_own_is_not_checked() {
    let variables = [
        ("PROBE_KEYS", "1"),
        ("PROBE_REGIONS", "us-east-1"),
        ("AWS_REGION", "sa-east-1"),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "PEER"),
    ];
    let signature = signed(&variables, "").await;
    assert!(signature.contains("/sa-east-1/bedrock/"), "{signature}");
}

/// Runs the probe, which must reach this peer.
async fn serve_probe(peer: &mut Peer, variables: &[(&str, &str)], profile: &str) -> PeerStream {
    let mut probing = std::pin::pin!(run_probe(variables, profile));
    let mut stream = tokio::select! {
        stream = peer.accept() => stream,
        probed = &mut probing => panic!("ended before it reached the peer: {}", probed.text),
    };
    stream.headers();
    let probed = probing.await;
    assert_eq!(probed.kind, "", "{}", probed.text);
    stream
}

/// Runs the probe against a peer and gives what its request said of the signer.
async fn signed(variables: &[(&str, &str)], profile: &str) -> String {
    let mut peer = Peer::start(PeerOptions::default()).await;
    let url = peer.url();
    let mut variables: Vec<_> = variables.iter().map(|(k, v)| (*k, v.replace("PEER", &url))).collect();
    variables.push((NO_METADATA.0, NO_METADATA.1.to_owned()));
    let variables: Vec<_> = variables.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let profile = profile.replace("PEER", &url);
    serve_probe(&mut peer, &variables, &profile).await.request.headers["authorization"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_bearer_token_is_never_used() {
    let variables = [
        ("AWS_BEARER_TOKEN_BEDROCK", "a-bearer-token"),
        ("AWS_ACCESS_KEY_ID", "AKIDENV"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", "us-west-2"),
        ("AWS_ENDPOINT_URL", "PEER"),
    ];
    let signature = signed(&variables, "").await;
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=AKIDENV/"), "{signature}");
    assert!(signature.contains("/us-west-2/bedrock/aws4_request"), "{signature}");
}

#[tokio::test]
async fn the_services_own_endpoint_variable_wins() {
    let variables = [
        ("PROBE_KEYS", "1"),
        REGION,
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "PEER"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
    ];
    let signature = signed(&variables, "").await;
    assert!(signature.contains("Credential=AKIDGIVEN/") && signature.contains("/eu-north-1/"), "{signature}");
}

#[tokio::test]
async fn a_profile_gives_keys_region_and_endpoint() {
    let profile = "
        [profile talk]
        region = ap-northeast-1
        aws_access_key_id = AKIDPROFILE
        aws_secret_access_key = secret
        services = here
        [services here]
        bedrock_runtime =
          endpoint_url = PEER
    "
    .replace("        ", "");
    let signature = signed(&[("AWS_PROFILE", "talk")], &profile).await;
    assert!(signature.contains("Credential=AKIDPROFILE/"), "{signature}");
    assert!(signature.contains("/ap-northeast-1/bedrock/"), "{signature}");
}

#[tokio::test]
async fn the_environment_names_a_bundle() {
    let (acceptor, ca) = authority(&["localhost"], b"h2");
    let mut peer = Peer::start(PeerOptions { tls: Some(acceptor), ..PeerOptions::default() }).await;
    let url = format!("https://localhost:{}", peer.addr.port());
    let variables =
        [("PROBE_KEYS", "1"), REGION, ("AWS_ENDPOINT_URL", url.as_str()), ("AWS_CA_BUNDLE", ca.0.to_str().unwrap())];
    serve_probe(&mut peer, &variables, "").await;
}

#[tokio::test]
async fn clear_text_to_others_is_refused_from_the_environment_too() {
    let probed = run_probe(&[("PROBE_KEYS", "1"), REGION, ("AWS_ENDPOINT_URL", "http://bedrock.example")], "").await;
    assert_eq!((probed.kind.as_str(), probed.code.as_str()), ("Config", "insecure_endpoint"));
}
