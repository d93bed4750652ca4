//! Between the caller's sound card and the three rates of the service.
//!
//! Where a device has one of those, audio passes untouched. Going up, one filter serves the whole conversation; coming
//! down, each turn begins anew: its last 10 ms come with its end, and go with an interruption.

use std::{mem, ops::RangeInclusive, time::Duration};

use bytes::Bytes;

use crate::{
    audio::{Resampler, SAMPLE_BYTES, bytes, samples},
    conversation::{Event, EventKind},
    protocol::{SampleRate, StreamConfig},
};

const DEVICES_HZ: RangeInclusive<u32> = 8_000..=192_000;

/// What the caller gives and takes, whatever rates the stream has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRates {
    pub input_hz: u32,
    pub output_hz: u32,
}

impl DeviceRates {
    /// Those of the stream.
    pub fn of(stream: &StreamConfig) -> Self {
        Self { input_hz: stream.input_rate.hz(), output_hz: stream.output_rate.hz() }
    }
}

/// The stream's rate for a device's: the same where the service has it, else `otherwise`. None for no device's rate.
pub fn stream_rate(device_hz: u32, otherwise: SampleRate) -> Option<SampleRate> {
    SampleRate::from_hz(device_hz).or_else(|| DEVICES_HZ.contains(&device_hz).then_some(otherwise))
}

pub(super) struct Rates {
    /// None: both sides have the same rate.
    up: Option<Resampler>,
    /// Of the stream.
    input_hz: u32,
    output_hz: u32,
    /// The turn that comes down, if it does so at another rate.
    down: Option<Down>,
}

struct Down {
    turn: Option<u32>,
    from_hz: u32,
    resampler: Resampler,
}

impl Rates {
    pub(super) fn new(device: DeviceRates, stream: &StreamConfig) -> Self {
        let input_hz = stream.input_rate.hz();
        let up = (device.input_hz != input_hz).then(|| Resampler::new(device.input_hz, input_hz)).flatten();
        Self { up, input_hz, output_hz: device.output_hz, down: None }
    }

    /// How long so many bytes last on the stream's way up.
    pub(super) fn length_sent(&self, pcm_bytes: usize) -> Duration {
        let samples = u32::try_from(pcm_bytes / SAMPLE_BYTES).unwrap_or(u32::MAX);
        Duration::from_secs(1) * samples / self.input_hz
    }

    /// A piece of the caller's, as the stream takes it. Empty where the filter holds all of it back.
    pub(super) fn up(&mut self, pcm: Bytes) -> Bytes {
        match &mut self.up {
            Some(resampler) => converted(resampler, &pcm, false),
            None => pcm,
        }
    }

    /// What the filter still holds of the caller's audio, which ends here.
    pub(super) fn up_end(&mut self) -> Bytes {
        self.up.as_mut().map_or_else(Bytes::new, |resampler| converted(resampler, &[], true))
    }

    /// Brings the audio in `batch` to the caller's rate.
    pub(super) fn down(&mut self, batch: &mut Vec<Event>) {
        let touches =
            |event: &Event| matches!(event.kind, EventKind::Audio { rate_hz, .. } if rate_hz != self.output_hz);
        if self.down.is_none() && !batch.iter().any(touches) {
            return;
        }
        for event in mem::take(batch) {
            self.event_down(event, batch);
        }
    }

    fn event_down(&mut self, mut event: Event, out: &mut Vec<Event>) {
        let (at, turn) = (event.at, event.turn);
        match &mut event.kind {
            EventKind::Audio { pcm, rate_hz } if *rate_hz != self.output_hz => {
                if !self.down.as_ref().is_some_and(|down| down.turn == turn && down.from_hz == *rate_hz) {
                    self.end_down(at, out);
                    // A rate that no filter takes is delivered as it is: the event says so.
                    self.down = Resampler::new(*rate_hz, self.output_hz).map(|resampler| Down {
                        turn: event.turn,
                        from_hz: *rate_hz,
                        resampler,
                    });
                }
                if let Some(down) = &mut self.down {
                    (*pcm, *rate_hz) = (converted(&mut down.resampler, pcm, false), self.output_hz);
                }
                if pcm.is_empty() {
                    return;
                }
            }
            EventKind::TurnEnded { .. } if self.is_down(turn) => self.end_down(at, out),
            EventKind::Interrupted { .. } if self.is_down(turn) => self.down = None,
            _ => {}
        }
        out.push(event);
    }

    fn is_down(&self, turn: Option<u32>) -> bool {
        self.down.as_ref().is_some_and(|down| down.turn == turn)
    }

    /// Adds what is left of the turn that came down.
    fn end_down(&mut self, at: Duration, out: &mut Vec<Event>) {
        let Some(mut down) = self.down.take() else { return };
        let pcm = converted(&mut down.resampler, &[], true);
        if !pcm.is_empty() {
            let kind = EventKind::Audio { pcm, rate_hz: self.output_hz };
            out.push(Event { at, turn: down.turn, raw_type: "audioOutput".into(), kind });
        }
    }
}

fn converted(resampler: &mut Resampler, pcm: &[u8], end: bool) -> Bytes {
    let given: Vec<i16> = samples(pcm).collect();
    let mut out = Vec::new();
    resampler.push(&given, &mut out);
    if end {
        resampler.flush(&mut out);
    }
    bytes(out).into()
}

#[cfg(test)]
mod tests;
