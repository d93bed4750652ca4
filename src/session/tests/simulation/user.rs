//! Who speaks, types, runs tools and listens, and what they may expect of a session.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::{
    dice::Dice,
    reader::Reader,
    world::{SharedWorld, UNIT_SAMPLES, lock},
};
use crate::conversation::EventKind;
use crate::session::{Answer, Reconfiguration, RequestKind, tests::Host};

/// Longer than anything takes that is allowed: ten attempts at opening, a tool, a reply.
const PATIENCE: Duration = Duration::from_mins(4);
/// The pause before the next utterance of somebody in a hurry.
const HASTE: Duration = Duration::from_millis(600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Speak,
    Type,
    Prompt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Listen to the answer to its end.
    Listen,
    /// Go on after a breath, whatever comes.
    Hurry,
    /// Speak into the answer, so long after it began.
    BargeIn(Duration),
    /// Have the answer cut.
    Interrupt,
}

enum Doing {
    Pausing { until: Instant },
    Speaking(VecDeque<i16>),
    Listening { since: Instant },
}

pub(super) struct User {
    host: Host,
    pub(super) reader: Reader,
    world: SharedWorld,
    begin: Instant,
    dice: Dice,
    /// For questions about second streams.
    leaves: Dice,
    acts: VecDeque<(Act, Then)>,
    doing: Doing,
    then: Then,
    /// What was asked last.
    last: String,
    number: u32,
    unit: i16,
    next_frame: Instant,
    frame: Duration,
    microphone: bool,
    /// Tools that run: when they are done, by which id, for what.
    tools: VecDeque<(Instant, String, u32)>,
    executed: Vec<u32>,
    reconfigurations: u64,
    reconfigured: u64,
    voice: String,
    voice_before: String,
}

impl User {
    pub(super) fn new(host: Host, world: SharedWorld, begin: Instant) -> Self {
        let (mut dice, leaves, frame, microphone) = {
            let world = lock(&world);
            (world.dice(1), world.dice(4), world.weather.frame, world.weather.microphone)
        };
        let acts = (0..dice.within(1, 4)).map(|_| {
            let act = match dice.within(0, 9) {
                0 => Act::Type,
                1 => Act::Prompt,
                _ => Act::Speak,
            };
            let then = match dice.within(0, 9) {
                0..=5 => Then::Listen,
                6 | 7 => Then::Hurry,
                8 => Then::BargeIn(dice.ms(0, 300)),
                _ => Then::Interrupt,
            };
            (act, then)
        });
        let acts = acts.collect();
        Self {
            host,
            reader: Reader::default(),
            world,
            begin,
            acts,
            doing: Doing::Pausing { until: begin + dice.ms(0, 1_000) },
            dice,
            leaves,
            then: Then::Listen,
            last: String::new(),
            number: 0,
            unit: 1_000,
            next_frame: begin,
            frame,
            microphone,
            tools: VecDeque::new(),
            executed: Vec::new(),
            reconfigurations: 0,
            reconfigured: 0,
            voice: "tiffany".into(),
            voice_before: "tiffany".into(),
        }
    }

    /// Talks until all is said and answered, or the session has ended. True: all was.
    pub(super) async fn talk(&mut self) -> bool {
        loop {
            self.take_in();
            if self.reader.is_over() {
                return false;
            }
            self.act();
            if self.is_done() {
                return true;
            }
            let now = Instant::now();
            assert!(now < self.begin + PATIENCE, "waits for {} in vain; {:?}", self.last, self.reader);
            let tool = self.tools.iter().map(|(at, ..)| *at).min();
            let pause = match self.doing {
                Doing::Pausing { until } => Some(until),
                Doing::Listening { since } => Some(since + HASTE),
                Doing::Speaking(_) => None,
            };
            let runs = self.microphone || matches!(self.doing, Doing::Speaking(_));
            let frame = runs.then_some(self.next_frame);
            let next = [tool, pause.filter(|at| *at > now), frame, Some(now + Duration::from_secs(1))];
            let next = next.into_iter().flatten().min().unwrap_or(now);
            tokio::select! {
                biased;
                () = self.host.bell.notified() => {}
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    fn take_in(&mut self) {
        self.host.drain();
        let at = self.begin.elapsed();
        for event in self.host.events.drain(..) {
            if !matches!(event.kind, EventKind::Audio { .. }) {
                lock(&self.world).note(at, || format!("event {:?} {:?}", event.turn, event.kind));
            }
            self.reader.reads(&event);
        }
        for request in std::mem::take(&mut self.host.requests) {
            lock(&self.world).note(at, || format!("request {:?}", request.kind));
            match request.kind {
                RequestKind::Tool { id, arguments, .. } => {
                    let number = arguments.trim_matches(|letter: char| !letter.is_ascii_digit()).parse().unwrap();
                    assert!(!self.executed.contains(&number), "the tool of u{number} runs twice");
                    self.executed.push(number);
                    let slow = if self.dice.percent(20) { 6_000 } else { 400 };
                    self.tools.push_back((Instant::now() + self.dice.ms(0, slow), id, number));
                }
                RequestKind::Prompted { token, turn } => self.reader.prompted(&format!("p{token}"), turn),
                RequestKind::Reconfigured { token, error } => {
                    if error.is_some() {
                        self.voice.clone_from(&self.voice_before);
                    }
                    self.voice_before.clone_from(&self.voice);
                    assert!(token > self.reconfigured, "told twice");
                    self.reconfigured = token;
                }
                RequestKind::MayOverlap => {
                    assert!(!lock(&self.world).leave, "asked again while there is leave");
                    // Some answer late, or never.
                    let late = self.leaves.percent(20);
                    let may = self.leaves.percent(60);
                    if !late && self.host.session.answer(request.id, Answer::MayOverlap(may)) {
                        lock(&self.world).leave = may;
                    }
                }
                RequestKind::OverlapEnded => {
                    assert!(std::mem::take(&mut lock(&self.world).leave), "given back twice");
                }
                RequestKind::Credentials => unreachable!("the memory asks for none"),
            }
        }
        let now = Instant::now();
        while let Some(at) = self.tools.iter().position(|(at, ..)| *at <= now) {
            let (_, id, number) = self.tools.remove(at).unwrap();
            if !self.reader.is_over() {
                self.host.session.send_tool_result(id, format!("{{\"result\":{number}}}"), true).unwrap();
            }
        }
    }

    fn act(&mut self) {
        let now = Instant::now();
        while self.next_frame <= now {
            self.next_frame += self.frame;
            self.frame_is_due(now);
        }
        match self.doing {
            Doing::Pausing { until } if until <= now => self.begins(now),
            Doing::Listening { since } => {
                if !self.has_listened(since, now) {
                    return;
                }
                let longest = if self.dice.percent(10) { 20_000 } else { 1_000 };
                self.doing = Doing::Pausing { until: now + self.dice.ms(0, longest) };
            }
            _ => {}
        }
    }

    fn has_listened(&mut self, since: Instant, now: Instant) -> bool {
        match self.then {
            Then::Listen => self.reader.is_answered(&self.last),
            Then::Hurry => since + HASTE <= now,
            Then::BargeIn(after) => {
                let began = self.reader.answer_began(&self.last);
                began.is_some_and(|began| began + after <= now) || self.reader.is_answered(&self.last)
            }
            Then::Interrupt => {
                let began = self.reader.answer_began(&self.last).is_some();
                if began {
                    self.host.session.interrupt();
                }
                began || self.reader.is_answered(&self.last)
            }
        }
    }

    /// The next frame of the microphone.
    fn frame_is_due(&mut self, now: Instant) {
        let samples = usize::try_from(self.frame.as_millis()).unwrap() * super::world::MS / 2;
        let mut pcm = Vec::with_capacity(samples * 2);
        if let Doing::Speaking(units) = &mut self.doing {
            while pcm.len() < samples * 2
                && let Some(unit) = units.pop_front()
            {
                pcm.extend(unit.to_le_bytes().repeat(UNIT_SAMPLES));
            }
            if units.is_empty() {
                self.doing = Doing::Listening { since: now };
            }
        }
        if self.microphone {
            pcm.resize(samples * 2, 0);
        }
        if !pcm.is_empty() {
            assert!(self.host.session.try_send_audio(&pcm).unwrap(), "half a minute waits");
        }
    }

    fn begins(&mut self, now: Instant) {
        let Some((act, then)) = self.acts.pop_front() else {
            self.doing = Doing::Listening { since: now };
            return;
        };
        if self.dice.percent(8) {
            self.reconfigurations += 1;
            self.voice = format!("voice-{}", self.reconfigurations);
            let voice = Some(self.voice.clone());
            let wish = Reconfiguration { token: self.reconfigurations, voice, ..Reconfiguration::default() };
            self.host.session.reconfigure(wish).unwrap();
        }
        self.number += 1;
        self.then = then;
        let number = self.number;
        let session = &self.host.session;
        self.doing = Doing::Listening { since: now };
        match act {
            Act::Type => {
                self.last = format!("t{number}");
                session.send_text(self.last.clone()).unwrap();
            }
            Act::Prompt => {
                self.last = format!("p{number}");
                session.prompt(u64::from(number), self.last.clone()).unwrap();
            }
            Act::Speak => {
                self.last = format!("u{number}");
                self.doing = Doing::Speaking(self.utterance());
                self.next_frame = self.next_frame.max(now);
            }
        }
        lock(&self.world).note(self.begin.elapsed(), || format!("says {} and {then:?}", self.last));
        self.reader.asked.push(self.last.clone());
    }

    /// Its units, with now and then a breath in it, too short to end it.
    fn utterance(&mut self) -> VecDeque<i16> {
        let first = self.unit;
        let count = i16::try_from(self.dice.within(8, 120)).unwrap();
        self.unit += count;
        lock(&self.world).spoken.insert(self.number, first..self.unit);
        let mut units: VecDeque<i16> = (first..self.unit).collect();
        if self.dice.percent(30) && count > 40 {
            for _ in 0..self.dice.within(5, 20) {
                units.insert(30, 0);
            }
        }
        units
    }

    fn is_done(&self) -> bool {
        let world = lock(&self.world);
        self.acts.is_empty()
            && matches!(self.doing, Doing::Listening { .. } | Doing::Pausing { .. })
            && self.reader.asked.iter().all(|token| self.reader.is_answered(token))
            && self.tools.is_empty()
            && self.executed.iter().all(|number| world.told.contains(number))
            && self.reconfigured == self.reconfigurations
    }

    pub(super) async fn closes(&mut self) {
        self.host.session.close();
        while !self.reader.is_over() {
            self.take_in();
            if !self.reader.is_over() {
                self.host.told().await;
            }
        }
    }

    /// What must hold where all was said and answered.
    pub(super) fn check(&self) {
        let world = lock(&self.world);
        for number in world.spoken.keys() {
            assert!(world.whole.contains(number), "no stream heard all of u{number}");
        }
        let present = world.streams.iter().rfind(|stream| stream.begun).unwrap();
        // One that broke may not have told.
        let voice = world.faults > 0 || present.voice == self.voice;
        assert!(voice, "the last stream speaks as {}, not as {}", present.voice, self.voice);
        self.reader.check(world.weather.offsets);
    }
}
