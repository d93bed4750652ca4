//! A client of the wire and nothing more: HTTP/2 by hand, so that a test sees every frame, reset and header.
//!
//! Signed by AWS's own signer (aws-sigv4) and framed by AWS's own codec, the witnesses of the emulator's.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use aws_sigv4::{
    event_stream::{sign_empty_message, sign_message},
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4::SigningParams,
};
use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder, write_message_to};
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use h2::{
    RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::{Request, Response};
use novasonic::emulator::{Emulator, Settings, StreamReport};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

pub(crate) const PATH: &str = "/model/amazon.nova-2-sonic-v1%3A0/invoke-with-bidirectional-stream";
const LIMIT: Duration = Duration::from_secs(10);

/// One connection.
pub(crate) struct Connection {
    requests: SendRequest<Bytes>,
    authority: String,
    scheme: &'static str,
    /// What became of it, once it has ended.
    pub(crate) ended: JoinHandle<Result<(), h2::Error>>,
    pings: Option<h2::PingPong>,
}

impl Connection {
    pub(crate) async fn cleartext(emulator: &Emulator) -> Self {
        let address = emulator.http_addr();
        let socket = TcpStream::connect(address).await.unwrap();
        Self::over(socket, address.to_string(), "http").await
    }

    pub(crate) async fn tls(emulator: &Emulator, name: &str) -> std::io::Result<Self> {
        let address = emulator.https_addr();
        let socket = tls_socket(address, emulator.ca_pem(), name, &["h2"]).await?;
        Ok(Self::over(socket, format!("{name}:{}", address.port()), "https").await)
    }

    /// Cleartext, with a copy of every byte the emulator sends, for tests of frames that h2 keeps to itself.
    pub(crate) async fn recorded(emulator: &Emulator) -> (Self, JoinHandle<Vec<u8>>) {
        let address = emulator.http_addr();
        let (mut down, mut up) = TcpStream::connect(address).await.unwrap().into_split();
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (mut far_reads, mut far_writes) = tokio::io::split(far);
        tokio::spawn(async move { tokio::io::copy(&mut far_reads, &mut up).await });
        let recording = tokio::spawn(async move {
            let mut bytes = Vec::new();
            let mut piece = vec![0; 16 * 1024];
            loop {
                let len = down.read(&mut piece).await.expect("a FIN, not a reset");
                if len == 0 {
                    return bytes;
                }
                bytes.extend_from_slice(&piece[..len]);
                let _ = far_writes.write_all(&piece[..len]).await;
            }
        });
        (Self::over(near, address.to_string(), "http").await, recording)
    }

    async fn over<S>(socket: S, authority: String, scheme: &'static str) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // Narrow streams in a wide connection: one that is not read stops itself and no neighbour.
        let (requests, mut connection) = h2::client::Builder::new()
            .initial_window_size(65_535)
            .initial_connection_window_size(16 * 1024 * 1024)
            .handshake(socket)
            .await
            .unwrap();
        let pings = connection.ping_pong();
        let ended = tokio::spawn(connection);
        Self { requests, authority, scheme, ended, pings }
    }

    pub(crate) async fn ping(&mut self) -> Result<(), h2::Error> {
        self.pings.as_mut().unwrap().ping(h2::Ping::opaque()).await.map(drop)
    }

    /// What the peer's SETTINGS allow.
    pub(crate) fn max_streams(&self) -> usize {
        self.requests.current_max_send_streams()
    }

    pub(crate) fn request(&self) -> Request<()> {
        Request::post(format!("{}://{}{PATH}", self.scheme, self.authority))
            .header("content-type", "application/vnd.amazon.eventstream")
            .body(())
            .unwrap()
    }

    /// Opens a stream as `signer` signs it.
    pub(crate) async fn open(&self, signer: Option<Signer>) -> Stream {
        let mut request = self.request();
        let mut signer = signer;
        if let Some(signer) = &mut signer {
            signer.sign_request(&mut request);
        }
        self.send(request, signer).await
    }

    /// Whether the connection takes another request.
    pub(crate) async fn try_open(&self) -> Result<(), h2::Error> {
        let (_, mut sending) = self.requests.clone().ready().await?.send_request(self.request(), false)?;
        sending.send_reset(h2::Reason::CANCEL);
        Ok(())
    }

    pub(crate) async fn send(&self, request: Request<()>, signer: Option<Signer>) -> Stream {
        let mut requests = self.requests.clone().ready().await.unwrap();
        let (response, sending) = requests.send_request(request, false).unwrap();
        Stream {
            sending,
            response: Some(response),
            body: None,
            decoder: MessageFrameDecoder::new(),
            received: BytesMut::new(),
            partial: 0,
            frames: Vec::new(),
            signer,
        }
    }
}

pub(crate) async fn tls_socket(
    address: SocketAddr,
    ca_pem: &str,
    name: &str,
    alpn: &[&str],
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let socket = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

/// Signs as the AWS SDK for Rust does.
#[derive(Clone)]
pub(crate) struct Signer {
    identity: Identity,
    region: String,
    service: &'static str,
    pub(crate) time: SystemTime,
    prior: String,
}

impl Signer {
    pub(crate) fn new() -> Self {
        let settings = Settings::default();
        Self::with_keys(&settings.access_key_id, &settings.secret_access_key, None)
    }

    pub(crate) fn with_keys(id: &str, secret: &str, token: Option<&str>) -> Self {
        let credentials = Credentials::new(id, secret, token.map(Into::into), None, "test");
        Self {
            identity: credentials.into(),
            region: "us-east-1".into(),
            service: "bedrock",
            time: SystemTime::now(),
            prior: String::new(),
        }
    }

    pub(crate) fn in_region(mut self, region: &str) -> Self {
        region.clone_into(&mut self.region);
        self
    }

    pub(crate) fn for_service(mut self, service: &'static str) -> Self {
        self.service = service;
        self
    }

    fn params<S: Default>(&self, settings: S) -> SigningParams<'_, S> {
        SigningParams::builder()
            .identity(&self.identity)
            .region(&self.region)
            .name(self.service)
            .time(self.time)
            .settings(settings)
            .build()
            .unwrap()
    }

    pub(crate) fn sign_request(&mut self, request: &mut Request<()>) {
        let uri = request.uri().to_string();
        let headers: Vec<(String, String)> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let signable = SignableRequest::new("POST", &uri, headers, SignableBody::empty()).unwrap();
        let params = self.params(SigningSettings::default()).into();
        let (instructions, signature) = sign(signable, &params).unwrap().into_parts();
        instructions.apply_to_request_http1x(request);
        self.prior = signature;
    }

    /// Signs in the query, and the host alone, as the SDK for JavaScript does for a WebSocket.
    pub(crate) fn presign(&mut self, request: &mut Request<()>, life: Duration) {
        let uri = request.uri().to_string();
        let signable = SignableRequest::new("GET", &uri, std::iter::empty(), SignableBody::empty()).unwrap();
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(life);
        let params = self.params(settings).into();
        let (instructions, signature) = sign(signable, &params).unwrap().into_parts();
        instructions.apply_to_request_http1x(request);
        self.prior = signature;
    }

    fn sign_event(&mut self, inner: &Message) -> Message {
        let (message, signature) = sign_message(inner, &self.prior, &self.params(())).unwrap().into_parts();
        self.prior = signature;
        message
    }

    fn sign_end(&mut self) -> Message {
        let (message, signature) = sign_empty_message(&self.prior, &self.params(())).unwrap().into_parts();
        self.prior = signature;
        message
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) enum Received {
    Event(Value),
    Exception {
        name: String,
        message: String,
    },
    /// `:message-type: error`.
    Error {
        code: String,
        message: String,
    },
    /// A message that is no event that this client knows: what is wrong with it.
    Strange(String),
    End,
    /// The end came inside a message.
    Truncated,
    Failed(h2::Error),
}

impl Received {
    pub(crate) fn exception(self) -> (String, String) {
        match self {
            Self::Exception { name, message } => (name, message),
            other => panic!("expected an exception, got {other:?}"),
        }
    }
}

pub(crate) struct Stream {
    pub(crate) sending: SendStream<Bytes>,
    response: Option<ResponseFuture>,
    body: Option<RecvStream>,
    decoder: MessageFrameDecoder,
    received: BytesMut,
    /// Bytes of a message that is not complete.
    partial: usize,
    /// Lengths of the DATA frames so far.
    pub(crate) frames: Vec<usize>,
    signer: Option<Signer>,
}

impl Stream {
    pub(crate) fn event(&mut self, event: &Value) {
        let bytes = self.encode(event);
        self.bytes(bytes);
    }

    /// One event as it goes on the wire.
    pub(crate) fn encode(&mut self, event: &Value) -> Bytes {
        encode_event(self.signer.as_mut(), event)
    }

    pub(crate) fn bytes(&mut self, bytes: impl Into<Bytes>) {
        self.sending.send_data(bytes.into(), false).unwrap();
    }

    /// sessionStart, promptStart and an open AUDIO block.
    pub(crate) fn begin(&mut self) {
        for event in opening() {
            self.event(&event);
        }
    }

    pub(crate) fn audio(&mut self, pcm: &[u8]) {
        self.event(&audio_input(pcm));
    }

    /// Every block closed, sessionEnd, the signed empty message, END_STREAM.
    pub(crate) fn finish(&mut self) {
        for event in closing() {
            self.event(&event);
        }
        if let Some(signer) = &mut self.signer {
            let end = encode_end(signer);
            self.bytes(end);
        }
        self.end_stream();
    }

    pub(crate) fn end_stream(&mut self) {
        self.sending.send_data(Bytes::new(), true).unwrap();
    }

    /// The head of the response; its body is then read by [`Self::next`].
    pub(crate) async fn head(&mut self) -> Result<Response<()>, h2::Error> {
        let response = timeout(LIMIT, self.response.take().expect("asked once")).await.expect("response headers")?;
        let (parts, body) = response.into_parts();
        self.body = Some(body);
        Ok(Response::from_parts(parts, ()))
    }

    /// The name, status and message of a refusal.
    pub(crate) async fn refusal(&mut self) -> (u16, String, String) {
        let head = self.head().await.unwrap();
        assert!(head.headers().contains_key("x-amzn-requestid"));
        let name = head.headers()["x-amzn-errortype"].to_str().unwrap().split(':').next().unwrap().to_owned();
        let message = self.error_body().await["message"].as_str().unwrap().to_owned();
        (head.status().as_u16(), name, message)
    }

    /// The body of an error.
    async fn error_body(&mut self) -> Value {
        let mut all = BytesMut::new();
        while let Some(data) = self.body.as_mut().unwrap().data().await {
            all.extend_from_slice(&data.unwrap());
        }
        serde_json::from_slice(&all).unwrap()
    }

    pub(crate) async fn next(&mut self) -> Received {
        timeout(LIMIT, self.read()).await.expect("something from the emulator")
    }

    /// PCM bytes of the next audioOutput, whatever else is said around it.
    pub(crate) async fn next_audio(&mut self) -> Vec<u8> {
        loop {
            match self.next().await {
                Received::Event(event) => {
                    if let Some(content) = event["event"]["audioOutput"]["content"].as_str() {
                        return STANDARD.decode(content).unwrap();
                    }
                }
                other => panic!("expected audioOutput, got {other:?}"),
            }
        }
    }

    /// Reads to the end; what ended it.
    pub(crate) async fn rest(&mut self) -> Received {
        loop {
            match self.next().await {
                Received::Event(_) => {}
                other => return other,
            }
        }
    }

    async fn read(&mut self) -> Received {
        if self.body.is_none() {
            match self.head().await {
                Ok(head) => assert_eq!(head.status(), 200),
                Err(error) => return Received::Failed(error),
            }
        }
        loop {
            match self.decoder.decode_frame(&mut self.received) {
                Ok(DecodedFrame::Incomplete) => {}
                Ok(DecodedFrame::Complete(message)) => {
                    self.partial = self.received.len();
                    return decode(&message);
                }
                Err(error) => {
                    self.partial = self.received.len();
                    return Received::Strange(format!("{error:?}"));
                }
            }
            let body = self.body.as_mut().unwrap();
            match body.data().await {
                Some(Ok(data)) => {
                    body.flow_control().release_capacity(data.len()).unwrap();
                    self.frames.push(data.len());
                    self.partial += data.len();
                    self.received.extend_from_slice(&data);
                }
                Some(Err(error)) => return Received::Failed(error),
                None if self.partial > 0 => return Received::Truncated,
                None => return Received::End,
            }
        }
    }
}

/// The emulator's only stream, once it has ended.
pub(crate) async fn ended(emulator: &Emulator) -> StreamReport {
    let reports = all_ended(emulator).await;
    let [report] = reports.as_slice() else { panic!("no single stream: {reports:?}") };
    report.clone()
}

/// The emulator's streams, once all have ended.
pub(crate) async fn all_ended(emulator: &Emulator) -> Vec<StreamReport> {
    let reports = async {
        loop {
            let reports = emulator.streams();
            if !reports.is_empty() && reports.iter().all(|report| report.ended.is_some()) {
                return reports;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(LIMIT, reports).await.unwrap_or_else(|_| panic!("still live: {:?}", emulator.streams()))
}

/// One event as it goes on the wire.
pub(crate) fn encode_event(signer: Option<&mut Signer>, event: &Value) -> Bytes {
    let payload = json!({ "bytes": STANDARD.encode(event.to_string()) }).to_string();
    let string = |name: &'static str, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
    let inner = Message::new(payload)
        .add_header(string(":message-type", "event"))
        .add_header(string(":event-type", "chunk"))
        .add_header(string(":content-type", "application/json"));
    encode(&signer.map_or(inner.clone(), |signer| signer.sign_event(&inner)))
}

/// The signed empty message that ends the input.
pub(crate) fn encode_end(signer: &mut Signer) -> Bytes {
    encode(&signer.sign_end())
}

fn encode(message: &Message) -> Bytes {
    let mut bytes = Vec::new();
    write_message_to(message, &mut bytes).unwrap();
    bytes.into()
}

pub(crate) fn decode(message: &Message) -> Received {
    let header = |name: &str| {
        let found = message.headers().iter().find(|header| header.name().as_str() == name);
        found.map(|header| header.value().as_string().unwrap().as_str().to_owned())
    };
    let payload: Result<Value, _> = serde_json::from_slice(message.payload());
    let message_type = header(":message-type").expect("a type");
    match (message_type.as_str(), payload) {
        ("error", _) => {
            Received::Error { code: header(":error-code").unwrap(), message: header(":error-message").unwrap() }
        }
        ("exception", Ok(payload)) => Received::Exception {
            name: header(":exception-type").unwrap(),
            message: payload["message"].as_str().unwrap().to_owned(),
        },
        ("event", payload) => {
            let kind = header(":event-type").unwrap();
            if kind != "chunk" {
                return Received::Strange(format!(":event-type {kind}"));
            }
            let Ok(payload) = payload else { return Received::Strange("no JSON".into()) };
            let Ok(event) = STANDARD.decode(payload["bytes"].as_str().unwrap()) else {
                return Received::Strange("no base64".into());
            };
            serde_json::from_slice(&event).map_or_else(|_| Received::Strange("no event".into()), Received::Event)
        }
        other => panic!("message type {other:?}"),
    }
}

pub(crate) fn opening() -> [Value; 3] {
    let audio = json!({"mediaType": "audio/lpcm", "sampleRateHertz": 16000, "sampleSizeBits": 16, "channelCount": 1,
                       "audioType": "SPEECH", "encoding": "base64"});
    let mut voice = audio.clone();
    voice["voiceId"] = json!("tiffany");
    [
        json!({"event": {"sessionStart": {"inferenceConfiguration": {"maxTokens": 1024}}}}),
        json!({"event": {"promptStart": {"promptName": "p", "textOutputConfiguration": {"mediaType": "text/plain"},
                                         "audioOutputConfiguration": voice}}}),
        json!({"event": {"contentStart": {"promptName": "p", "contentName": "a", "type": "AUDIO", "interactive": true,
                                          "role": "USER", "audioInputConfiguration": audio}}}),
    ]
}

pub(crate) fn audio_input(pcm: &[u8]) -> Value {
    json!({"event": {"audioInput": {"promptName": "p", "contentName": "a", "content": STANDARD.encode(pcm)}}})
}

pub(crate) fn closing() -> [Value; 3] {
    [
        json!({"event": {"contentEnd": {"promptName": "p", "contentName": "a"}}}),
        json!({"event": {"promptEnd": {"promptName": "p"}}}),
        json!({"event": {"sessionEnd": {}}}),
    ]
}
