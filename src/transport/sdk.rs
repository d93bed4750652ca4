//! The real transport: the official AWS SDK's bidirectional call over our own HTTP/2 connections.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_credential_types::{Credentials as AwsCredentials, provider::SharedCredentialsProvider};
use aws_sdk_bedrockruntime::{
    Client, Config,
    config::{IdentityCache, retry::RetryConfig},
    operation::RequestId,
    primitives::{
        Blob,
        event_stream::{EventReceiver, EventStreamSender},
    },
    types::{
        BidirectionalInputPayloadPart, InvokeModelWithBidirectionalStreamInput as Input,
        InvokeModelWithBidirectionalStreamOutput as Output,
        error::InvokeModelWithBidirectionalStreamOutputError as StreamError,
    },
};
use aws_smithy_runtime_api::client::auth::AuthSchemeId;
use bytes::Bytes;
use tokio::{
    sync::{OnceCell, mpsc},
    task::JoinSet,
    time::Instant,
};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

use super::{
    AskCredentials, CredentialSource, Downlink, OpenRequest, Opening, Transport, TransportConfig,
    chain::{self, Chain},
    connector::Connector,
    credentials,
    endpoint::{self, Endpoint},
    errors,
    keyring::Keyring,
    pool::PoolSettings,
    proxy::Proxy,
    tls::{self, ClientTls},
};
use crate::error::{Error, ErrorKind, Result};

/// Events between the session and the SDK. Few: the session's own bounded queue is the buffer, and whatever waits here
/// can no longer be taken back.
const UPLINK_EVENTS: usize = 4;

/// Streams to Bedrock, or whatever endpoint is configured. Cheap to clone; clones share connections and keys.
#[derive(Clone)]
pub struct SdkTransport(Arc<Inner>);

struct Inner {
    config: TransportConfig,
    settings: PoolSettings,
    built: OnceCell<Built>,
    keyring: Arc<Keyring>,
}

/// What the first stream has found out.
struct Built {
    client: Client,
    connector: Connector,
    endpoint: Endpoint,
    chain: Chain,
}

impl SdkTransport {
    /// Checks the configuration. Reads no file and opens no connection: that happens with the first stream.
    pub fn new(config: TransportConfig) -> Result<Self> {
        Self::with_pool(config, PoolSettings::default())
    }

    /// As `new`, with other sizes and bounds for the connections.
    pub fn with_pool(config: TransportConfig, settings: PoolSettings) -> Result<Self> {
        if let Some(url) = &config.endpoint_url {
            endpoint::check_url(url, config.allow_insecure)?;
        }
        let endless = match config.credentials {
            // Nobody knows when they end but the callable: it is asked for each stream.
            CredentialSource::Ask => Duration::ZERO,
            CredentialSource::DefaultChain | CredentialSource::Static(_) => chain::ENDLESS,
        };
        Ok(Self(Arc::new(Inner { config, settings, built: OnceCell::new(), keyring: Arc::new(Keyring::new(endless)) })))
    }
}

impl Transport for SdkTransport {
    fn open(&self, request: OpenRequest) -> Opening {
        let (uplink, events) = mpsc::channel(UPLINK_EVENTS);
        let inner = Arc::clone(&self.0);
        // A task of its own, since the service may send headers only after events that the session sends meanwhile.
        // The set aborts it if the session gives up, which resets the stream.
        let mut opening = JoinSet::new();
        opening.spawn(async move { inner.open(request, events).await });
        Opening {
            uplink,
            headers: Box::pin(async move {
                match opening.join_next().await {
                    Some(Ok(opened)) => opened.map(|downlink| Downlink::Sdk(Box::new(downlink))),
                    _ => Err(errors::internal("The task that opens the stream ended without a result.")),
                }
            }),
        }
    }
}

impl Inner {
    async fn open(&self, request: OpenRequest, events: mpsc::Receiver<Bytes>) -> Result<SdkDownlink> {
        let bound = Bound::new(request.open_timeout);
        // Boxed: 23 kB that only the first stream needs.
        let built = self.built.get_or_try_init(|| Box::pin(self.build()));
        let Built { client, connector, endpoint, chain } = bound.on("the configuration", built).await?;
        endpoint.check_model(&request.model_id, &request.regions)?;
        let call = client
            .invoke_model_with_bidirectional_stream()
            .model_id(request.model_id)
            .body(EventStreamSender::from(ReceiverStream::new(events).map(|event| Ok(chunk(event)))))
            .customize();
        let keys = bound.on(self.waits_for(), self.keys(chain, request.ask.as_deref())).await?;
        let provider = SharedCredentialsProvider::new(keys.clone());
        // A provider given to one call gets a cache of its own otherwise; ours is the keyring.
        let signing = Config::builder().credentials_provider(provider).identity_cache(IdentityCache::no_cache());
        let call = call.config_override(signing.http_client(connector.with(request.patience)));
        let sent = async { call.send().await.map_err(|error| errors::from_open(&error)) };
        let signer = Signer { keys, keyring: Arc::clone(&self.keyring) };
        let output = bound.on("response headers", sent).await.inspect_err(|error| signer.hears(error))?;
        let request_id = output.request_id().map(str::to_owned);
        tracing::debug!(request_id, "stream open");
        Ok(SdkDownlink { events: Some(output.body), request_id, signer })
    }

    /// The keys that a stream opened now signs with.
    async fn keys(&self, chain: &Chain, asked: Option<&dyn AskCredentials>) -> Result<AwsCredentials> {
        match (&self.config.credentials, asked) {
            (CredentialSource::Static(keys), _) => credentials::given(keys),
            (CredentialSource::DefaultChain, _) => self.keyring.keys(chain.keys()).await,
            (CredentialSource::Ask, Some(asked)) => self.keyring.keys(credentials::ask(asked)).await,
            (CredentialSource::Ask, None) => {
                Err(errors::internal("The client asks for credentials, but nobody can be asked."))
            }
        }
    }

    fn waits_for(&self) -> &'static str {
        match self.config.credentials {
            CredentialSource::Ask => "the credentials callable",
            CredentialSource::DefaultChain | CredentialSource::Static(_) => "AWS credentials",
        }
    }

    /// Reads configuration, roots and profile, once.
    async fn build(&self) -> Result<Built> {
        let endpoint = Endpoint::resolve(&self.config).await?;
        let tls = Arc::new(load_tls(endpoint.ca_bundle.clone()).await?);
        let proxy = Proxy::from_environment()?;
        let helper = tls::helper_client(&tls, proxy.as_ref())?;
        let connector = Connector::new(tls, proxy, self.settings.clone());
        let mut config = Config::builder()
            .behavior_version(endpoint::behavior_version())
            .region(endpoint.region.clone())
            .http_client(connector.clone())
            // The service refuses API keys for this operation. A builder of our own also never reads
            // AWS_BEARER_TOKEN_BEDROCK, as one made from the shared configuration would.
            .auth_scheme_preference([AuthSchemeId::from("sigv4")])
            // A stream's body cannot be sent twice: retrying is for those who know the conversation.
            .retry_config(RetryConfig::disabled());
        if let Some(url) = &endpoint.url {
            config = config.endpoint_url(url);
        }
        let chain = Chain::new(endpoint.region.clone(), self.config.profile.clone(), helper);
        Ok(Built { client: Client::from_conf(config.build()), connector, endpoint, chain })
    }
}

async fn load_tls(bundle: Option<PathBuf>) -> Result<ClientTls> {
    let loaded = tokio::task::spawn_blocking(move || ClientTls::load(bundle.as_deref())).await;
    loaded.unwrap_or_else(|_| Err(errors::internal("Loading the trusted roots failed.")))
}

fn chunk(event: Bytes) -> Input {
    // No copy: the encoder hands over its only reference.
    Input::Chunk(BidirectionalInputPayloadPart::builder().bytes(Blob::new(Vec::from(event))).build())
}

/// The bound on opening a stream, over all its steps together.
struct Bound {
    length: Duration,
    deadline: Instant,
}

impl Bound {
    /// A little early, so that what is told names the step: the session's own bound runs out at the same time and knows
    /// of none.
    fn new(length: Duration) -> Self {
        Self { length, deadline: Instant::now() + length - (length / 20).min(Duration::from_millis(100)) }
    }

    async fn on<T>(&self, step: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let done = tokio::time::timeout_at(self.deadline, work).await;
        done.unwrap_or_else(|_| Err(errors::open_timeout(self.length, step)))
    }
}

/// What comes down one open stream.
pub struct SdkDownlink {
    /// None once the stream has ended: the SDK repeats some errors for ever.
    events: Option<EventReceiver<Output, StreamError>>,
    request_id: Option<String>,
    signer: Signer,
}

/// The keys of one stream, and where they came from.
struct Signer {
    keys: AwsCredentials,
    keyring: Arc<Keyring>,
}

impl Signer {
    fn hears(&self, error: &Error) {
        if error.kind == ErrorKind::AccessDenied {
            self.keyring.refused(&self.keys);
        }
    }
}

impl SdkDownlink {
    /// The contract of [`Downlink::recv`].
    pub async fn recv(&mut self) -> Result<Option<Bytes>> {
        loop {
            let Some(events) = &mut self.events else { return Ok(None) };
            match events.recv().await {
                Ok(Some(Output::Chunk(part))) => {
                    let json = part.bytes.map(Blob::into_inner).unwrap_or_default();
                    if !json.is_empty() {
                        return Ok(Some(Bytes::from(json)));
                    }
                    tracing::debug!(request_id = self.request_id, "skipped a chunk without bytes");
                }
                Ok(Some(_)) => tracing::debug!(request_id = self.request_id, "skipped a frame of unknown type"),
                Ok(None) => {
                    self.events = None;
                    return Ok(None);
                }
                Err(error) => {
                    self.events = None;
                    let error = errors::from_stream(&error, self.request_id.as_deref());
                    self.signer.hears(&error);
                    return Err(error);
                }
            }
        }
    }

    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    pub fn credentials_expire_at(&self) -> Option<SystemTime> {
        self.signer.keys.expiry()
    }
}
