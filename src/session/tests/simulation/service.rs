//! Where the streams of one conversation arrive, and what befalls them.

use std::time::Duration;

use bytes::Bytes;
use tokio::{task::JoinSet, time::Instant};

use super::{
    dice::{Fate, Fault, When, second_stream, silent},
    model::Model,
    world::{SharedWorld, StreamState, lock},
};
use crate::{
    error::{Error, ErrorKind},
    session::tests::peer::Judge,
    transport::memory::{MemoryPeer, MemoryService, PeerInput},
};

/// What pings need to tell that a peer is silent.
const NOTICED: Duration = Duration::from_millis(2_400);

/// Serves until the transport is gone; panics where the client breaks a rule.
pub(super) async fn serve(mut service: MemoryService, world: SharedWorld, begin: Instant) {
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(served) = streams.join_next() => served.unwrap_or_else(|broken| std::panic::resume_unwind(broken.into_panic())),
            peer = service.accept() => {
                let Some(peer) = peer else { break };
                let number = lock(&world).streams.len();
                lock(&world).streams.push(StreamState { alive: true, ..StreamState::default() });
                streams.spawn(Served::new(peer, number, &world, begin).live());
            }
        }
    }
    while let Some(served) = streams.join_next().await {
        served.unwrap_or_else(|broken| std::panic::resume_unwind(broken.into_panic()));
    }
}

struct Served {
    peer: MemoryPeer,
    number: usize,
    world: SharedWorld,
    begin: Instant,
    model: Model,
    judge: Judge,
    fate: Fate,
    inputs: u64,
    outputs: u64,
    headers_sent: bool,
}

impl Drop for Served {
    fn drop(&mut self) {
        // Also where a panic ends it.
        if let Ok(mut world) = self.world.lock() {
            world.streams[self.number].alive = false;
        }
    }
}

impl Served {
    fn new(peer: MemoryPeer, number: usize, world: &SharedWorld, begin: Instant) -> Self {
        let fate = {
            let world = lock(world);
            Fate::of(&mut world.dice(100 + number as u64), &world.weather, world.faults)
        };
        let model = Model::new(number, world);
        let judge = Judge::default();
        let world = world.clone();
        Self { peer, number, world, begin, model, judge, fate, inputs: 0, outputs: 0, headers_sent: false }
    }

    fn note(&self, what: impl FnOnce() -> String) {
        lock(&self.world).note(self.begin.elapsed(), || format!("stream {}: {}", self.number, what()));
    }

    fn needs_leave(&self) -> bool {
        let world = lock(&self.world);
        world.asks && !world.leave
    }

    async fn live(mut self) {
        if self.needs_leave() {
            let world = lock(&self.world);
            let beside = |other: &&StreamState| other.alive && !other.left;
            assert_eq!(world.streams.iter().filter(beside).count(), 1, "two streams without leave");
        }
        if self.is_one_too_many() {
            self.note(|| "refused: one stream at a time".into());
            self.peer.refuse(second_stream());
            return;
        }
        let opened = Instant::now();
        let fault_at = match self.fate.fault {
            Some((When::After(after), _)) => Some(opened + after),
            _ => None,
        };
        loop {
            if self.fault_is_due(fault_at) {
                return self.fails().await;
            }
            let next_line = self.model.script.first_key_value().map(|((at, _), _)| self.begin + *at);
            let headers_at = (!self.headers_sent).then_some(opened + self.fate.headers_after);
            let of_open = [next_line, fault_at].into_iter().filter(|_| self.headers_sent);
            let wake = of_open.chain([headers_at]).flatten().min();
            tokio::select! {
                biased;
                input = self.peer.next() => match input {
                    PeerInput::Reset => return self.note(|| "reset by the client".into()),
                    input => {
                        self.hear(&input);
                        if self.judge.is_over() {
                            return self.says_goodbye().await;
                        }
                    }
                },
                () = sleep_until(wake) => {
                    if headers_at.is_some_and(|at| at <= Instant::now()) {
                        if matches!(self.fate.fault, Some((When::BeforeHeaders, _))) {
                            return self.fails().await;
                        }
                        self.headers_sent = true;
                        lock(&self.world).streams[self.number].opened = true;
                        self.peer.send_headers();
                    } else if !self.say_what_is_due().await {
                        return;
                    }
                }
            }
        }
    }

    fn is_one_too_many(&self) -> bool {
        let world = lock(&self.world);
        let others = || world.streams.iter().take(self.number).filter(|other| other.alive && !other.left);
        assert!(others().filter(|other| !other.begun).count() <= 1, "three streams wait: {:?}", world.streams);
        assert!(others().count() <= 2, "four streams: {:?}", world.streams);
        world.weather.one_stream && world.streams.iter().take(self.number).any(|other| other.alive)
    }

    fn hear(&mut self, input: &PeerInput) {
        self.inputs += 1;
        let begun = self.judge.has_begun();
        self.judge.hear(input);
        let now = self.begin.elapsed();
        let history_bytes = lock(&self.world).weather.continuation.history_bytes;
        for heard in self.judge.heard.drain(..) {
            self.model.hears(heard, now);
        }
        if !begun && self.judge.has_begun() {
            self.note(|| "begins".into());
            self.model.begins(history_bytes, now);
            let mut world = lock(&self.world);
            let waiting =
                world.streams.iter().take(self.number).filter(|other| other.alive && !other.left && !other.begun);
            assert_eq!(waiting.count(), 0, "a stream waits for an older one");
            world.streams[self.number].begun = true;
            world.streams[self.number].voice.clone_from(&self.judge.voice);
        }
    }

    async fn say_what_is_due(&mut self) -> bool {
        let Some(event) = self.model.due(self.begin.elapsed()) else { return true };
        let copies = if self.model.dice.percent(lock(&self.world).weather.duplicates) { 2 } else { 1 };
        for _ in 0..copies {
            self.outputs += 1;
            if !self.peer.send(&event).await {
                self.note(|| "reset by the client".into());
                return false;
            }
        }
        true
    }

    /// The client has ended its input: what is left is said, then the stream ends.
    async fn says_goodbye(mut self) {
        lock(&self.world).streams[self.number].left = true;
        self.note(|| "is left".into());
        while let Some(((at, _), _)) = self.model.script.first_key_value() {
            tokio::time::sleep_until(self.begin + *at).await;
            if !self.say_what_is_due().await {
                return;
            }
        }
        self.peer.end();
    }

    fn fault_is_due(&self, at: Option<Instant>) -> bool {
        match self.fate.fault {
            Some((When::Input(count), _)) => self.headers_sent && self.inputs >= count,
            Some((When::Output(count), _)) => self.headers_sent && self.outputs >= count,
            Some((When::After(_), _)) => self.headers_sent && at.is_some_and(|at| at <= Instant::now()),
            Some((When::BeforeHeaders, _)) | None => false,
        }
    }

    /// Until the client gives the stream up, at most so long.
    async fn sleep(&self, most: Duration) {
        let end = Instant::now() + most;
        while Instant::now() < end && !self.peer.is_reset() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn fails(mut self) {
        let Some((_, fault)) = self.fate.fault.take() else { return };
        self.note(|| format!("meets {fault:?}"));
        let error = match &fault {
            Fault::Fails(error) => error.clone(),
            Fault::Junk => Error::new(ErrorKind::Service, "bad_event", "Junk."),
            Fault::End | Fault::Silence | Fault::Deaf { .. } => silent(),
        };
        {
            let mut world = lock(&self.world);
            world.meets(&error);
            world.streams[self.number].left = true;
        }
        match fault {
            Fault::Fails(_) | Fault::Silence if !self.headers_sent => self.peer.refuse(error),
            Fault::Fails(_) => self.peer.fail(error).await,
            Fault::End => self.peer.end(),
            Fault::Silence => {
                self.sleep(NOTICED).await;
                self.peer.fail(error).await;
            }
            Fault::Deaf { ends } => {
                self.peer.refuse_input();
                if ends {
                    self.sleep(Duration::from_secs(1)).await;
                    self.peer.fail(error).await;
                } else {
                    // Until the client has given it up.
                    self.sleep(Duration::from_mins(1)).await;
                }
            }
            Fault::Junk => {
                self.peer.send_bytes(Bytes::from_static(b"{")).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
