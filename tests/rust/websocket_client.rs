//! The WebSocket form of the operation by hand: what a browser sends, and every frame that comes back.

use std::time::{Duration, SystemTime};

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use http::Request;
use novasonic::emulator::Emulator;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, handshake::client::generate_key, protocol::frame::coding::CloseCode},
};

use crate::raw_client::{
    Received, Signer, audio_input, closing, decode, encode_end, encode_event, opening, tls_socket,
};

pub(crate) const PATH: &str = "/model/amazon.nova-2-sonic-v1%3A0/invoke-with-bidirectional-stream-websocket";
const LIMIT: Duration = Duration::from_secs(10);

pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Transport for S {}

/// Of the cleartext port, whatever is asked of it.
pub(crate) fn request(emulator: &Emulator, path: &str) -> Request<()> {
    Request::get(format!("ws://{}{path}", emulator.http_addr())).body(()).unwrap()
}

/// The headers that make a request one for a WebSocket; a browser sends more.
fn upgrading(mut request: Request<()>) -> Request<()> {
    let host = request.uri().authority().unwrap().to_string();
    for (name, value) in [
        ("host", host.as_str()),
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", &generate_key()),
        ("origin", "https://anybody.example"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

pub(crate) struct WebSocket {
    pub(crate) socket: WebSocketStream<Box<dyn Transport>>,
    signer: Option<Signer>,
}

impl WebSocket {
    /// On the cleartext port, as `signer` signs it.
    pub(crate) async fn open(emulator: &Emulator, signer: Option<Signer>) -> Self {
        Self::try_open(emulator, signer).await.unwrap()
    }

    pub(crate) async fn try_open(emulator: &Emulator, mut signer: Option<Signer>) -> Result<Self, Error> {
        let mut request = request(emulator, PATH);
        if let Some(signer) = &mut signer {
            signer.presign(&mut request, Duration::from_mins(1));
        }
        Self::send(emulator, request, signer).await
    }

    /// With a request as it stands.
    pub(crate) async fn send(emulator: &Emulator, request: Request<()>, signer: Option<Signer>) -> Result<Self, Error> {
        let socket: Box<dyn Transport> = Box::new(TcpStream::connect(emulator.http_addr()).await.unwrap());
        Self::over(socket, request, signer).await
    }

    pub(crate) async fn tls(emulator: &Emulator, alpn: &[&str]) -> Self {
        let address = emulator.https_addr();
        let socket = tls_socket(address, emulator.ca_pem(), "localhost", alpn).await.unwrap();
        let url = format!("wss://localhost:{}{PATH}", address.port());
        let (mut request, mut signer) = (Request::get(url).body(()).unwrap(), Signer::new());
        signer.presign(&mut request, Duration::from_mins(1));
        Self::over(Box::new(socket), request, Some(signer)).await.unwrap()
    }

    async fn over(socket: Box<dyn Transport>, request: Request<()>, signer: Option<Signer>) -> Result<Self, Error> {
        let opened = timeout(LIMIT, client_async(upgrading(request), socket)).await.expect("an answer");
        opened.map(|(socket, _)| Self { socket, signer })
    }

    pub(crate) fn encode(&mut self, event: &Value) -> Bytes {
        encode_event(self.signer.as_mut(), event)
    }

    pub(crate) async fn event(&mut self, event: &Value) {
        let message = self.encode(event);
        self.message(Message::Binary(message)).await;
    }

    pub(crate) async fn message(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    /// sessionStart, promptStart and an open AUDIO block.
    pub(crate) async fn begin(&mut self) {
        for event in opening() {
            self.event(&event).await;
        }
    }

    pub(crate) async fn audio(&mut self, pcm: &[u8]) {
        self.event(&audio_input(pcm)).await;
    }

    /// Every block closed, sessionEnd, the signed empty message; the close is the caller's.
    pub(crate) async fn finish(&mut self) {
        for event in closing() {
            self.event(&event).await;
        }
        if let Some(signer) = &mut self.signer {
            let end = encode_end(signer);
            self.message(Message::Binary(end)).await;
        }
    }

    pub(crate) async fn next_message(&mut self) -> Option<Result<Message, Error>> {
        timeout(LIMIT, self.socket.next()).await.expect("something from the emulator")
    }

    /// Each binary message must be one message of the event stream.
    pub(crate) async fn next(&mut self) -> Heard {
        loop {
            match self.next_message().await {
                Some(Ok(Message::Binary(message))) => {
                    let mut rest = BytesMut::from(&message[..]);
                    let decoded = MessageFrameDecoder::new().decode_frame(&mut rest);
                    let Ok(DecodedFrame::Complete(message)) = decoded else { return Heard::Half };
                    assert!(rest.is_empty(), "more than one message in one");
                    return Heard::Said(decode(&message));
                }
                Some(Ok(Message::Close(frame))) => {
                    // The answering close goes out with this.
                    let _ = self.socket.flush().await;
                    return Heard::Closed(frame.expect("a code").code);
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Heard::Broken(error.into()),
                None => panic!("read on after the end"),
            }
        }
    }

    pub(crate) async fn next_audio(&mut self) -> Vec<u8> {
        loop {
            match self.next().await {
                Heard::Said(Received::Event(event)) => {
                    if let Some(pcm) = audio_of(&event) {
                        return pcm;
                    }
                }
                other => panic!("expected audioOutput, got {other:?}"),
            }
        }
    }

    /// Reads to whatever is no event.
    pub(crate) async fn rest(&mut self) -> Heard {
        loop {
            match self.next().await {
                Heard::Said(Received::Event(_)) => {}
                other => return other,
            }
        }
    }
}

fn audio_of(event: &Value) -> Option<Vec<u8>> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    event["event"]["audioOutput"]["content"].as_str().map(|content| STANDARD.decode(content).unwrap())
}

#[derive(Debug)]
pub(crate) enum Heard {
    Said(Received),
    /// A message that ends before its time, or is damaged.
    Half,
    Closed(CloseCode),
    Broken(Box<Error>),
}

impl Heard {
    pub(crate) fn exception(self) -> (String, String) {
        match self {
            Self::Said(received) => received.exception(),
            other => panic!("expected an exception, got {other:?}"),
        }
    }

    pub(crate) fn code(self) -> u16 {
        match self {
            Self::Closed(code) => code.into(),
            other => panic!("expected a close, got {other:?}"),
        }
    }
}

/// A signer whose clock is so far behind.
pub(crate) fn signer_of(ago: Duration) -> Signer {
    let mut signer = Signer::new();
    signer.time = SystemTime::now() - ago;
    signer
}
