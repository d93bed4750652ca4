//! A service that a test plays frame by frame: stream limits, resets, silence and whatever else a well-behaved server
//! never does. It answers nothing on its own but SETTINGS and pings.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_smithy_eventstream::frame::{read_message_from, write_message_to};
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{Buf, Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_rustls::TlsAcceptor;

use crate::transport_client::LONG;

#[derive(Clone)]
pub(crate) struct PeerOptions {
    pub(crate) max_streams: Option<u32>,
    /// How long nothing is sent on a new connection, SETTINGS included.
    pub(crate) late: Duration,
    /// How long everything is under way that is sent.
    pub(crate) latency: Duration,
    pub(crate) tls: Option<TlsAcceptor>,
}

impl Default for PeerOptions {
    fn default() -> Self {
        Self { max_streams: None, late: Duration::ZERO, latency: Duration::ZERO, tls: None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Line {
    Open,
    /// Nothing goes out any more, though all is read.
    Frozen,
    /// Nothing is read either, as by a stopped process: TCP itself stays up.
    Stopped,
    Fin,
    Rst,
}

/// What goes for the connections up to a number; others are open.
type Lines = (Line, usize);

#[derive(Debug)]
enum Command {
    GoAwayGraceful,
    GoAway(Reason),
    Limit(u32),
}

/// h2 can announce a new window on a running connection, but no new stream limit: the pump makes the one of the other.
const WINDOW: u32 = 1 << 20;

const NO_NEWS: u32 = u32::MAX;

pub(crate) struct Peer {
    pub(crate) addr: SocketAddr,
    streams: mpsc::Receiver<PeerStream>,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    most_streams: Arc<AtomicUsize>,
    line: watch::Sender<Lines>,
    commands: Arc<Mutex<Vec<mpsc::Sender<Command>>>>,
    _tasks: JoinSet<()>,
}

/// One stream as the service sees it.
pub(crate) struct PeerStream {
    /// Connections are numbered from 1 as they come.
    pub(crate) connection: usize,
    pub(crate) request: http::request::Parts,
    uplink: RecvStream,
    buffer: BytesMut,
    respond: SendResponse<Bytes>,
    down: Option<SendStream<Bytes>>,
    _open: Counted,
}

/// Counts what is open.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Peer {
    pub(crate) async fn start(options: PeerOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (streams_in, streams) = mpsc::channel(1000);
        let (line, watched) = watch::channel((Line::Open, 0));
        let connections = Arc::new(AtomicUsize::new(0));
        let open = Arc::new(AtomicUsize::new(0));
        let most_streams = Arc::new(AtomicUsize::new(0));
        let commands = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let (count, most, all_commands) = (Arc::clone(&connections), Arc::clone(&most_streams), Arc::clone(&commands));
        let now_open = Arc::clone(&open);
        tasks.spawn(async move {
            let mut serving = JoinSet::new();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                let (sender, receiver) = mpsc::channel(10);
                all_commands.lock().unwrap().push(sender);
                let serve = serve(number, tcp, options.clone(), streams_in.clone(), watched.clone(), receiver);
                let most = Arc::clone(&most);
                now_open.fetch_add(1, Ordering::SeqCst);
                let counted = Counted(Arc::clone(&now_open));
                serving.spawn(async move {
                    let _counted = counted;
                    serve.run(most).await;
                });
            }
        });
        Self { addr, streams, connections, open, most_streams, line, commands, _tasks: tasks }
    }

    pub(crate) async fn limited(max_streams: u32) -> Self {
        Self::start(PeerOptions { max_streams: Some(max_streams), ..PeerOptions::default() }).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The next stream that a client opens.
    pub(crate) async fn accept(&mut self) -> PeerStream {
        tokio::time::timeout(LONG, self.streams.recv()).await.expect("a stream in time").unwrap()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn open_connections(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// The most streams that were ever open at once on one connection.
    pub(crate) fn most_streams(&self) -> usize {
        self.most_streams.load(Ordering::SeqCst)
    }

    /// Nothing more is said on the connections there are, though all is read.
    pub(crate) fn freeze(&self) {
        self.set_line(Line::Frozen);
    }

    /// As [`Self::freeze`], and nothing is read.
    pub(crate) fn stop(&self) {
        self.set_line(Line::Stopped);
    }

    pub(crate) fn fin(&self) {
        self.set_line(Line::Fin);
    }

    pub(crate) fn rst(&self) {
        self.set_line(Line::Rst);
    }

    fn set_line(&self, line: Line) {
        self.line.send_replace((line, self.connections()));
    }

    /// Sends GOAWAY on a connection that lets its streams go on.
    pub(crate) async fn go_away(&self, connection: usize) {
        self.command(connection, Command::GoAwayGraceful).await;
    }

    /// Ends a connection with a code.
    pub(crate) async fn throw_out(&self, connection: usize, reason: Reason) {
        self.command(connection, Command::GoAway(reason)).await;
    }

    /// Tells another stream limit on a running connection.
    pub(crate) async fn set_limit(&self, connection: usize, limit: u32) {
        self.command(connection, Command::Limit(limit)).await;
    }

    async fn command(&self, connection: usize, command: Command) {
        let sender = self.commands.lock().unwrap()[connection - 1].clone();
        sender.send(command).await.unwrap();
    }
}

struct Serve {
    number: usize,
    tcp: TcpStream,
    options: PeerOptions,
    streams: mpsc::Sender<PeerStream>,
    line: watch::Receiver<Lines>,
    commands: mpsc::Receiver<Command>,
}

fn serve(
    number: usize,
    tcp: TcpStream,
    options: PeerOptions,
    streams: mpsc::Sender<PeerStream>,
    line: watch::Receiver<Lines>,
    commands: mpsc::Receiver<Command>,
) -> Serve {
    Serve { number, tcp, options, streams, line, commands }
}

impl Serve {
    async fn run(mut self, most: Arc<AtomicUsize>) {
        self.tcp.set_nodelay(true).unwrap();
        let (near, far) = tokio::io::duplex(1 << 22);
        let new_limit = Arc::new(AtomicU32::new(NO_NEWS));
        let mut pumping = JoinSet::new();
        let pump = Pump {
            number: self.number,
            line: self.line,
            late: self.options.late,
            latency: self.options.latency,
            new_limit: Arc::clone(&new_limit),
        };
        match self.options.tls.clone() {
            None => drop(pumping.spawn(pump.run(self.tcp, far))),
            Some(tls) => {
                let Ok(stream) = tls.accept(self.tcp).await else { return };
                drop(pumping.spawn(pump.run(stream, far)));
            }
        }
        let mut builder = h2::server::Builder::new();
        builder.initial_window_size(WINDOW).initial_connection_window_size(1 << 24);
        if let Some(max) = self.options.max_streams {
            builder.max_concurrent_streams(max);
        }
        let Ok(mut connection) = builder.handshake::<_, Bytes>(near).await else { return };
        let open = Arc::new(AtomicUsize::new(0));
        loop {
            tokio::select! {
                accepted = connection.accept() => match accepted {
                    Some(Ok((request, respond))) => {
                        let now = open.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        let stream = PeerStream::new(self.number, request, respond, Counted(Arc::clone(&open)));
                        let _ = self.streams.send(stream).await;
                    }
                    Some(Err(_)) | None => break,
                },
                Some(command) = self.commands.recv() => match command {
                    Command::GoAwayGraceful => connection.graceful_shutdown(),
                    Command::GoAway(reason) => connection.abrupt_shutdown(reason),
                    Command::Limit(limit) => {
                        new_limit.store(limit, Ordering::SeqCst);
                        connection.set_initial_window_size(WINDOW).unwrap();
                    }
                },
            }
        }
        // What the last GOAWAY said must still get out.
        drop(connection);
        pumping.join_next().await;
    }
}

trait Socket: AsyncRead + AsyncWrite + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Socket for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Socket for tokio_rustls::server::TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Carries bytes between the socket and h2, as the line allows.
struct Pump {
    number: usize,
    line: watch::Receiver<Lines>,
    late: Duration,
    latency: Duration,
    new_limit: Arc<AtomicU32>,
}

impl Pump {
    async fn run(mut self, mut socket: impl Socket, mut far: DuplexStream) {
        let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        let mut quiet = std::pin::pin!(tokio::time::sleep(self.late));
        let mut speaks = self.late.is_zero();
        let mut under_way: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
        loop {
            let (line, upto) = *self.line.borrow_and_update();
            let state = if self.number <= upto { line } else { Line::Open };
            match state {
                Line::Open | Line::Frozen | Line::Stopped => {}
                Line::Fin => {
                    let _ = socket.shutdown().await;
                    return;
                }
                Line::Rst => {
                    socket.tcp().set_zero_linger().unwrap();
                    return;
                }
            }
            let arrives = under_way.front().map_or_else(Instant::now, |(at, _)| *at);
            tokio::select! {
                read = socket.read(&mut up), if state != Line::Stopped => match read {
                    Ok(0) | Err(_) => return,
                    Ok(n) => if far.write_all(&up[..n]).await.is_err() { return },
                },
                read = far.read(&mut down), if speaks && state == Line::Open => match read {
                    Ok(0) | Err(_) => {
                        let _ = socket.shutdown().await;
                        return;
                    }
                    Ok(n) => {
                        rewrite_limit(&mut down[..n], self.new_limit.load(Ordering::SeqCst));
                        // A timer takes a millisecond at least, which is a long time to some tests.
                        if self.latency.is_zero() {
                            if socket.write_all(&down[..n]).await.is_err() {
                                return;
                            }
                        } else {
                            under_way.push_back((Instant::now() + self.latency, down[..n].to_vec()));
                        }
                    }
                },
                () = tokio::time::sleep_until(arrives), if !under_way.is_empty() => {
                    let (_, bytes) = under_way.pop_front().unwrap();
                    if socket.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                () = &mut quiet, if !speaks => speaks = true,
                changed = self.line.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// Turns a SETTINGS frame that says only `INITIAL_WINDOW_SIZE` (4) into one that says `MAX_CONCURRENT_STREAMS` (3).
fn rewrite_limit(bytes: &mut [u8], limit: u32) {
    if limit == NO_NEWS {
        return;
    }
    let [w0, w1, w2, w3] = WINDOW.to_be_bytes();
    let said = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, w0, w1, w2, w3];
    if let Some(at) = bytes.windows(said.len()).position(|window| window == said) {
        bytes[at + 10] = 3;
        bytes[at + 11..at + 15].copy_from_slice(&limit.to_be_bytes());
    }
}

pub(crate) fn frame(headers: &[(&str, &str)], payload: impl Into<Bytes>) -> Bytes {
    let headers = headers
        .iter()
        .map(|(name, value)| Header::new((*name).to_owned(), HeaderValue::String((*value).to_owned().into())))
        .collect();
    let mut bytes = Vec::new();
    write_message_to(&Message::new_from_parts(headers, payload), &mut bytes).unwrap();
    Bytes::from(bytes)
}

pub(crate) fn chunk(payload: impl Into<Bytes>) -> Bytes {
    let headers = [(":message-type", "event"), (":event-type", "chunk"), (":content-type", "application/json")];
    frame(&headers, payload)
}

pub(crate) fn exception(name: &str, message: &str) -> Bytes {
    let headers = [(":message-type", "exception"), (":exception-type", name), (":content-type", "application/json")];
    frame(&headers, json!({ "message": message }).to_string())
}

impl PeerStream {
    fn new(connection: usize, request: Request<RecvStream>, respond: SendResponse<Bytes>, open: Counted) -> Self {
        let (request, uplink) = request.into_parts();
        Self { connection, request, uplink, buffer: BytesMut::new(), respond, down: None, _open: open }
    }

    pub(crate) fn headers(&mut self) {
        let response = Response::builder()
            .header("content-type", "application/vnd.amazon.eventstream")
            .header("x-amzn-requestid", "11111111-2222-3333-4444-555555555555")
            .body(())
            .unwrap();
        // A client that has given up needs none.
        self.down = self.respond.send_response(response, false).ok();
    }

    /// Answers with an HTTP error.
    pub(crate) fn refuse(&mut self, status: u16, kind: &str, message: &str) {
        let response = Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .header("x-amzn-errortype", kind)
            .header("x-amzn-requestid", "req-1")
            .body(())
            .unwrap();
        let mut body = self.respond.send_response(response, false).unwrap();
        body.send_data(Bytes::from(json!({ "message": message }).to_string()), true).unwrap();
    }

    pub(crate) fn send_raw(&mut self, bytes: impl Into<Bytes>) {
        self.down.as_mut().expect("headers first").send_data(bytes.into(), false).unwrap();
    }

    pub(crate) fn send(&mut self, event: &Value) {
        let encoded = STANDARD.encode(event.to_string());
        self.send_raw(chunk(json!({ "bytes": encoded }).to_string()));
    }

    pub(crate) fn end(&mut self) {
        self.down.as_mut().expect("headers first").send_data(Bytes::new(), true).unwrap();
    }

    pub(crate) fn reset(&mut self, reason: Reason) {
        match &mut self.down {
            Some(down) => down.send_reset(reason),
            None => self.respond.send_reset(reason),
        }
    }

    /// The next event, out of its two envelopes; None: signed empty message and `END_STREAM`. An Err is a reset.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, Reason> {
        let mut said_end = false;
        loop {
            if let Some(outer) = self.take_message() {
                let signed = outer.headers().iter().any(|header| header.name().as_str() == ":chunk-signature");
                assert!(signed, "events are signed");
                if outer.payload().is_empty() {
                    said_end = true;
                    continue;
                }
                let inner = read_message_from(outer.payload().clone()).unwrap();
                let payload: Value = serde_json::from_slice(inner.payload()).unwrap();
                let json = STANDARD.decode(payload["bytes"].as_str().unwrap()).unwrap();
                return Ok(Some(serde_json::from_slice(&json).unwrap()));
            }
            match tokio::time::timeout(LONG, self.uplink.data()).await.expect("an event in time") {
                Some(Ok(data)) => {
                    self.uplink.flow_control().release_capacity(data.len()).unwrap();
                    self.buffer.extend_from_slice(&data);
                }
                Some(Err(error)) => return Err(error.reason().unwrap_or(Reason::INTERNAL_ERROR)),
                None => {
                    assert!(said_end, "END_STREAM without the signed empty message");
                    return Ok(None);
                }
            }
        }
    }

    fn take_message(&mut self) -> Option<Message> {
        let length = usize::try_from(u32::from_be_bytes(self.buffer.get(..4)?.try_into().unwrap())).unwrap();
        if self.buffer.len() < length {
            return None;
        }
        let whole = Bytes::copy_from_slice(&self.buffer[..length]);
        self.buffer.advance(length);
        Some(read_message_from(whole).unwrap())
    }
}
