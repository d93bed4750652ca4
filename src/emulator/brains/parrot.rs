//! Says back what it heard, in the speaker's own voice; typed text comes back as text and a murmur.

use super::plan::Step;
use crate::{
    audio::duration_ms,
    emulator::{
        settings::{BrainAction, TurnRequest},
        sound,
    },
};

pub(super) fn answer(turn: &TurnRequest) -> Vec<Step> {
    let say = if let Some(text) = &turn.text {
        BrainAction::Say { text: format!("You wrote: {text}"), pcm: None }
    } else {
        let ms = duration_ms(turn.pcm.len(), turn.rate_hz);
        let pcm = sound::resample(&turn.pcm, turn.rate_hz, turn.output_rate_hz);
        let text = format!("I heard {}.{} seconds of speech.", ms / 1_000, ms % 1_000 / 100);
        BrainAction::Say { text, pcm: Some(pcm) }
    };
    vec![Step::at_once(say), Step::at_once(BrainAction::Done)]
}
