//! What the user's loudspeaker plays, by our clock: sentences are announced ahead of it and heard in its time.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How long a loudspeaker may lag behind our clock: network, jitter buffer, sound card.
const LOUDSPEAKER_LAG: Duration = Duration::from_millis(600);

/// A sentence that was announced.
pub(super) struct Sentence {
    pub(super) text: String,
    starts: Instant,
    pub(super) ends: Instant,
    /// Of its turn.
    pub(super) last: bool,
}

pub(super) struct Played {
    /// Announced and not yet heard to the end.
    sentences: VecDeque<Sentence>,
    /// When all that was announced has been played.
    until: Instant,
    /// The loudest 20 ms of what is being played.
    level: f32,
}

impl Played {
    pub(super) fn new(now: Instant) -> Self {
        Self { sentences: VecDeque::new(), until: now, level: 0.0 }
    }

    /// `earliest` is when its first piece can be sent; it is heard after what was announced before it.
    pub(super) fn announce(&mut self, text: String, length: Duration, loudest: f32, earliest: Instant, now: Instant) {
        if self.level(now).is_none() {
            self.level = 0.0;
        }
        self.level = self.level.max(loudest);
        let starts = self.until.max(earliest);
        self.until = starts + length;
        self.sentences.push_back(Sentence { text, starts, ends: self.until, last: false });
    }

    /// The sentence announced last is, or is not, the last of its turn.
    pub(super) fn close(&mut self, last: bool) {
        if let Some(sentence) = self.sentences.back_mut() {
            sentence.last = last;
        }
    }

    /// What the user's loudspeaker plays now, as the RMS of its loudest 20 ms.
    pub(super) fn level(&self, now: Instant) -> Option<f32> {
        (self.level > 0.0 && now < self.until + LOUDSPEAKER_LAG).then_some(self.level)
    }

    pub(super) fn is_silent(&self) -> bool {
        self.sentences.is_empty()
    }

    pub(super) fn next_end(&self) -> Option<Instant> {
        self.sentences.front().map(|sentence| sentence.ends)
    }

    /// The next sentence that has been heard to its end.
    pub(super) fn heard(&mut self, now: Instant) -> Option<Sentence> {
        self.sentences.pop_front_if(|sentence| sentence.ends <= now)
    }

    /// The next sentence, heard or not.
    pub(super) fn next(&mut self) -> Option<Sentence> {
        self.sentences.pop_front()
    }

    /// The loudspeaker is silenced. Gives the words of the present sentence that were heard.
    pub(super) fn cut(&mut self, now: Instant) -> String {
        let sentence = self.sentences.pop_front();
        self.sentences.clear();
        self.until = now;
        self.level = 0.0;
        let Some(Sentence { text, starts, ends, .. }) = sentence else { return String::new() };
        let heard = now.saturating_duration_since(starts);
        let whole = ends.saturating_duration_since(starts);
        first_words(&text, heard.as_secs_f64() / whole.as_secs_f64()).to_owned()
    }
}

/// The words that fit wholly into the first `share` of `text`.
pub(super) fn first_words(text: &str, share: f64) -> &str {
    if share >= 1.0 {
        return text;
    }
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let bytes = (text.len() as f64 * share.max(0.0)) as usize;
    let end = text.char_indices().rfind(|(at, letter)| *at <= bytes && letter.is_whitespace()).map_or(0, |(at, _)| at);
    text.get(..end).unwrap_or_default()
}
