use super::*;
use crate::{
    audio::resample,
    conversation::{InterruptSource, Timings},
    protocol::ToolChoice,
};

fn stream() -> StreamConfig {
    StreamConfig {
        system: None,
        voice: "tiffany".into(),
        input_rate: SampleRate::Hz16000,
        output_rate: SampleRate::Hz24000,
        sensitivity: None,
        max_tokens: None,
        top_p: None,
        temperature: None,
        tools: Vec::new(),
        tool_choice: ToolChoice::Auto,
    }
}

fn rates(input_hz: u32, output_hz: u32) -> Rates {
    Rates::new(DeviceRates { input_hz, output_hz }, &stream())
}

fn noise(count: usize) -> Vec<u8> {
    bytes((0..count).map(|n| i16::try_from(n * 7_919 % 20_011).unwrap() - 10_000))
}

fn event(turn: u32, kind: EventKind) -> Event {
    Event { at: Duration::ZERO, turn: Some(turn), raw_type: "test".into(), kind }
}

fn audio(turn: u32, pcm: &[u8], rate_hz: u32) -> Event {
    event(turn, EventKind::Audio { pcm: Bytes::copy_from_slice(pcm), rate_hz })
}

fn turn_ended(turn: u32, interrupted: bool) -> Event {
    event(turn, EventKind::TurnEnded { interrupted, timings: Timings::default() })
}

/// The audio of one turn, all of which must be at `rate_hz`.
fn heard(events: &[Event], turn: u32, rate_hz: u32) -> Vec<u8> {
    let mut all = Vec::new();
    for event in events.iter().filter(|event| event.turn == Some(turn)) {
        if let EventKind::Audio { pcm, rate_hz: rate } = &event.kind {
            assert!(*rate == rate_hz && !pcm.is_empty());
            all.extend_from_slice(pcm);
        }
    }
    all
}

fn at_rate(pcm: &[u8], from_hz: u32, to_hz: u32) -> Vec<u8> {
    bytes(resample(&samples(pcm).collect::<Vec<_>>(), from_hz, to_hz))
}

#[test]
fn the_stream_has_the_devices_rate_where_the_service_has_it() {
    for (device_hz, input, output) in [
        (8_000, Some(8_000), Some(8_000)),
        (16_000, Some(16_000), Some(16_000)),
        (24_000, Some(24_000), Some(24_000)),
        (44_100, Some(16_000), Some(24_000)),
        (192_000, Some(16_000), Some(24_000)),
        (8_001, Some(16_000), Some(24_000)),
        (7_999, None, None),
        (192_001, None, None),
        (0, None, None),
    ] {
        assert_eq!(stream_rate(device_hz, SampleRate::Hz16000).map(SampleRate::hz), input, "{device_hz} Hz");
        assert_eq!(stream_rate(device_hz, SampleRate::Hz24000).map(SampleRate::hz), output, "{device_hz} Hz");
    }
}

#[test]
fn equal_rates_touch_nothing() {
    let mut rates = Rates::new(DeviceRates::of(&stream()), &stream());
    let pcm = Bytes::from(noise(1_000));
    assert_eq!(rates.up(pcm.clone()).as_ptr(), pcm.as_ptr(), "not even a copy");
    assert!(rates.up_end().is_empty());
    let mut batch = vec![event(1, EventKind::TurnStarted), audio(1, &pcm, 24_000), turn_ended(1, false)];
    let wanted = batch.clone();
    rates.down(&mut batch);
    assert_eq!(batch, wanted);
}

#[test]
fn up_is_one_stream_however_it_is_cut() {
    let (mut rates, pcm) = (rates(44_100, 24_000), noise(44_100));
    let mut sent = Vec::new();
    for piece in pcm.chunks(2 * 37) {
        sent.extend_from_slice(&rates.up(Bytes::copy_from_slice(piece)));
    }
    let held = sent.len();
    sent.extend_from_slice(&rates.up_end());
    assert_eq!(sent, at_rate(&pcm, 44_100, 16_000));
    assert!((1..=320).contains(&(sent.len() - held)), "10 ms at most were held back");
    assert_eq!(rates.length_sent(sent.len()), Duration::from_secs(1));
    assert!(rates.up_end().is_empty(), "an end comes once");
}

#[test]
fn down_each_turn_is_whole_and_ends_before_it_is_ended() {
    let (mut rates, first, second) = (rates(16_000, 48_000), noise(24_000), noise(3_001));
    let mut events = Vec::new();
    let mut told = vec![event(1, EventKind::TurnStarted)];
    told.extend(first.chunks(1_000).map(|pcm| audio(1, pcm, 24_000)));
    told.extend([turn_ended(1, false), event(2, EventKind::TurnStarted)]);
    told.extend(second.chunks(2).map(|pcm| audio(2, pcm, 24_000)));
    told.push(turn_ended(2, false));
    for event in told {
        let mut batch = vec![event];
        rates.down(&mut batch);
        events.append(&mut batch);
    }
    assert_eq!(heard(&events, 1, 48_000), at_rate(&first, 24_000, 48_000));
    assert_eq!(heard(&events, 2, 48_000), at_rate(&second, 24_000, 48_000));
    for turn in [1, 2] {
        let ended = events.iter().position(|e| e.turn == Some(turn) && matches!(e.kind, EventKind::TurnEnded { .. }));
        let last = events.iter().rposition(|e| e.turn == Some(turn) && matches!(e.kind, EventKind::Audio { .. }));
        assert_eq!(last.map(|last| last + 1), ended, "turn {turn}");
    }
}

#[test]
fn an_interruption_takes_the_rest_with_it() {
    let (mut rates, pcm) = (rates(16_000, 44_100), noise(4_800));
    let interrupted = event(1, EventKind::Interrupted { source: InterruptSource::Model });
    let mut batch = vec![audio(1, &pcm, 24_000), interrupted.clone(), turn_ended(1, true), audio(2, &pcm, 24_000)];
    rates.down(&mut batch);
    let cut = batch.iter().position(|event| *event == interrupted).unwrap();
    assert!(!batch[cut..].iter().any(|e| e.turn == Some(1) && matches!(e.kind, EventKind::Audio { .. })));
    // The next turn hears nothing of it.
    batch.push(turn_ended(2, false));
    let mut end = vec![turn_ended(2, false)];
    rates.down(&mut end);
    let rest = heard(&end, 2, 44_100);
    assert_eq!([heard(&batch, 2, 44_100), rest].concat(), at_rate(&pcm, 24_000, 44_100));
}

#[test]
fn an_interruption_of_another_turn_and_its_end_take_nothing() {
    let (mut rates, pcm) = (rates(16_000, 44_100), noise(4_800));
    let other = event(1, EventKind::Interrupted { source: InterruptSource::Client });
    let mut batch = vec![
        audio(2, &pcm[..2_000], 24_000),
        other,
        turn_ended(1, true),
        audio(2, &pcm[2_000..], 24_000),
        turn_ended(2, false),
    ];
    rates.down(&mut batch);
    assert_eq!(heard(&batch, 2, 44_100), at_rate(&pcm, 24_000, 44_100));
}

#[test]
fn a_turn_that_follows_unended_leaves_the_rest_of_the_last() {
    let (mut rates, pcm) = (rates(16_000, 48_000), noise(4_800));
    let mut batch = vec![audio(1, &pcm, 24_000), audio(2, &pcm, 24_000), turn_ended(2, false)];
    rates.down(&mut batch);
    assert_eq!(heard(&batch, 1, 48_000), at_rate(&pcm, 24_000, 48_000));
    assert_eq!(heard(&batch, 2, 48_000), at_rate(&pcm, 24_000, 48_000));
}

#[test]
fn audio_whose_block_names_another_rate_is_brought_to_the_devices_too() {
    let (mut rates, pcm) = (rates(16_000, 24_000), noise(4_800));
    let mut batch = vec![audio(1, &pcm, 16_000), turn_ended(1, false), audio(2, &pcm, 24_000), audio(3, &pcm, 7)];
    rates.down(&mut batch);
    assert_eq!(heard(&batch, 1, 24_000), at_rate(&pcm, 16_000, 24_000));
    assert_eq!(heard(&batch, 2, 24_000), pcm);
    assert_eq!(heard(&batch, 3, 7), pcm, "as it is, for want of a filter");
}
