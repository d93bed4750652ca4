//! Whatever the caller's tasks do, in whatever order: the peer hears a legal stream, and nothing is lost or told twice.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use super::{Host, MS, OUT_MS, audio_end, audio_output, audio_start, config, peer::Judge, service, settle, unknown};
use crate::{
    conversation::{EndReason, EventKind},
    session::tests::peer::Heard,
    transport::memory::MemoryPeer,
};

#[derive(Debug, Clone)]
enum Op {
    Audio {
        ms: usize,
    },
    Text,
    Mute(bool),
    Interrupt,
    WantRoom,
    Drain(usize),
    /// The peer reads so many events.
    Listen(usize),
    /// The peer says a whole turn of so many pieces, as far as the window goes.
    Say(usize),
    SayUnknown,
    Headers,
    Wait(u64),
    Settle,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (1_usize..250).prop_map(|ms| Op::Audio { ms }),
        2 => Just(Op::Text),
        1 => any::<bool>().prop_map(Op::Mute),
        1 => Just(Op::Interrupt),
        1 => Just(Op::WantRoom),
        2 => (1_usize..10).prop_map(Op::Drain),
        3 => (1_usize..12).prop_map(Op::Listen),
        3 => (1_usize..4).prop_map(Op::Say),
        2 => Just(Op::SayUnknown),
        1 => Just(Op::Headers),
        1 => (1_u64..900).prop_map(Op::Wait),
        4 => Just(Op::Settle),
    ]
}

/// Both ends of one conversation and what each has said.
struct Play {
    host: Host,
    peer: MemoryPeer,
    judge: Judge,
    /// Each chunk of the caller under a value of its own, text in between; None where it was muted.
    said: Vec<Result<(u8, usize), String>>,
    muted: bool,
    muted_bytes: usize,
    /// Pieces of the model's audio, numbered in their samples.
    pieces: u32,
    blocks: u32,
    unknowns: usize,
    open_block: Option<String>,
}

impl Play {
    async fn step(&mut self, op: Op) {
        match op {
            Op::Audio { ms } => {
                let value = u8::try_from(self.said.len() % 255).unwrap() + 1;
                if self.host.session.try_send_audio(&vec![value; ms * MS]).unwrap() {
                    if self.muted {
                        self.muted_bytes += ms * MS;
                    } else {
                        self.said.push(Ok((value, ms * MS)));
                    }
                }
            }
            Op::Text => {
                let text = format!("text {}", self.said.len());
                if self.host.session.send_text(text.clone()).is_ok() {
                    self.said.push(Err(text));
                }
            }
            Op::Mute(muted) => {
                self.muted = muted;
                self.host.session.mute(muted);
            }
            Op::Interrupt => self.host.session.interrupt(),
            Op::WantRoom => self.host.session.want_room(100 * MS),
            Op::Drain(max) => {
                self.host.session.drain(max, &mut self.host.events, &mut self.host.requests);
            }
            Op::Listen(count) => {
                for _ in 0..count {
                    if self.peer.waiting() == 0 {
                        settle().await;
                    }
                    if self.peer.waiting() == 0 {
                        break;
                    }
                    self.judge.hear(&self.peer.next().await);
                }
            }
            Op::Say(pieces) => self.say(pieces),
            Op::SayUnknown => {
                if self.peer.try_send(&unknown(self.unknowns)) {
                    self.unknowns += 1;
                }
            }
            Op::Headers => self.peer.send_headers(),
            Op::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Op::Settle => settle().await,
        }
    }

    fn say(&mut self, pieces: usize) {
        let block = if let Some(block) = self.open_block.take() {
            block
        } else {
            let block = format!("block-{}", self.blocks);
            if !self.peer.try_send(&audio_start(&block)) {
                return;
            }
            self.blocks += 1;
            block
        };
        for _ in 0..pieces {
            let pcm: Vec<u8> = self.pieces.to_le_bytes().repeat(20 * OUT_MS / 4);
            if !self.peer.try_send(&audio_output(&block, &pcm)) {
                self.open_block = Some(block);
                return;
            }
            self.pieces += 1;
        }
        if !self.peer.try_send(&audio_end(&block, "END_TURN")) {
            self.open_block = Some(block);
        }
    }

    /// Closes and plays to the end.
    async fn finish(&mut self) {
        self.peer.send_headers();
        self.host.session.close();
        while !self.judge.is_over() {
            // The queue towards the host may be full; a host that reads keeps the session going.
            self.host.drain();
            self.judge.hear(&self.peer.next().await);
        }
        self.peer.end();
        assert_eq!(self.host.ended().await, (EndReason::Closed, None));
    }

    fn check_what_the_peer_heard(&self) {
        let mut heard: Vec<Result<(u8, usize), String>> = Vec::new();
        let mut silent_bytes = 0;
        for item in &self.judge.heard {
            match item {
                Heard::Text(text) => heard.push(Err(text.clone())),
                Heard::History(..) | Heard::Result(..) => unreachable!("neither is played"),
                Heard::Audio(pcm) if pcm.iter().all(|byte| *byte == 0) => silent_bytes += pcm.len(),
                // Chunks that are short and wait share an event.
                Heard::Audio(pcm) => {
                    for chunk in pcm.chunk_by(|a, b| a == b) {
                        match heard.last_mut() {
                            Some(Ok((value, bytes))) if *value == chunk[0] => *bytes += chunk.len(),
                            _ => heard.push(Ok((chunk[0], chunk.len()))),
                        }
                    }
                }
            }
        }
        assert_eq!(heard, self.said, "what was taken arrives, in order, once");
        let ours = silent_bytes - self.muted_bytes;
        assert_eq!(ours % (100 * MS), 0, "the rest of the silence is priming");
        let said: usize = self.said.iter().flatten().map(|(_, bytes)| bytes).sum();
        let stats = self.host.session.stats();
        assert_eq!(stats.sent_audio_ms, ((said + self.muted_bytes) / MS) as u64);
    }

    fn check_what_the_host_heard(&self) {
        let mut numbers = Vec::new();
        let mut unknowns = 0;
        let mut turns: BTreeMap<u32, (bool, bool)> = BTreeMap::new();
        for event in &self.host.events {
            let turn = event.turn.map(|turn| (turn, turns.get(&turn).copied()));
            match &event.kind {
                EventKind::Audio { pcm, .. } => {
                    numbers.push(u32::from_le_bytes(pcm[..4].try_into().unwrap()));
                    // It may follow the turn's end: text that is typed over a reply begins the next turn at once.
                    assert!(
                        matches!(turn, Some((_, Some((false, _))))),
                        "audio before its turn or after its interruption"
                    );
                }
                EventKind::TurnStarted => {
                    let (number, known) = turn.unwrap();
                    assert_eq!(known, None, "a turn starts once");
                    turns.insert(number, (false, false));
                }
                EventKind::Interrupted { .. } => turns.get_mut(&turn.unwrap().0).unwrap().0 = true,
                EventKind::TurnEnded { .. } => {
                    let ended = &mut turns.get_mut(&turn.unwrap().0).unwrap().1;
                    assert!(!*ended, "a turn ends once");
                    *ended = true;
                }
                EventKind::Unknown { raw, .. } => {
                    assert_eq!(*raw, unknown(unknowns).to_string(), "in order, none missing");
                    unknowns += 1;
                }
                _ => {}
            }
        }
        assert_eq!(unknowns, self.unknowns);
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "audio in order, none twice: {numbers:?}");
        assert!(turns.values().all(|(_, ended)| *ended), "every turn ends: {turns:?}");
        let stats = self.host.session.stats();
        assert_eq!(stats.queued_output_ms, 0);
        assert_eq!(stats.events, (self.host.events.len() as u64) + stats.purged_audio_ms / 20);
        assert_eq!(stats.received_audio_ms, (numbers.len() as u64) * 20 + stats.purged_audio_ms);
        if turns.values().all(|(interrupted, _)| !interrupted) {
            assert_eq!(
                u32::try_from(numbers.len()).unwrap(),
                self.pieces,
                "without an interruption every piece arrives"
            );
        }
    }
}

async fn play(ops: Vec<Op>) {
    let (transport, mut service) = service();
    let mut small = config();
    small.buffers.input_ms = 1_000;
    small.buffers.output_ms = 100;
    // Waits of the ops must not run into the opening's bound.
    small.timeouts.open = Duration::from_hours(1);
    small.timeouts.close = Duration::from_hours(1);
    let host = Host::spawn(&transport, small);
    let peer = service.accept().await.unwrap();
    let mut play = Play {
        host,
        peer,
        judge: Judge::default(),
        said: Vec::new(),
        muted: false,
        muted_bytes: 0,
        pieces: 0,
        blocks: 0,
        unknowns: 0,
        open_block: None,
    };
    for op in ops {
        play.step(op).await;
    }
    play.finish().await;
    play.check_what_the_peer_heard();
    play.check_what_the_host_heard();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_calls_is_a_legal_stream(ops in prop::collection::vec(op(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(ops));
    }
}
