//! A caller whose sound card has none of the service's rates.

use super::*;
use crate::{
    audio::{bytes, resample, samples},
    session::DeviceRates,
};

fn at_device(input_hz: u32, output_hz: u32) -> SessionConfig {
    SessionConfig { device: DeviceRates { input_hz, output_hz }, ..config() }
}

fn noise(count: usize) -> Vec<u8> {
    bytes((0..count).map(|n| i16::try_from(n * 7_919 % 20_011).unwrap() - 10_000))
}

fn at_rate(pcm: &[u8], from_hz: u32, to_hz: u32) -> Vec<u8> {
    bytes(resample(&samples(pcm).collect::<Vec<_>>(), from_hz, to_hz))
}

/// All the audio that comes until the block of the user's audio ends.
async fn until_close(peer: &mut MemoryPeer) -> (Vec<u8>, usize) {
    let (mut all, mut longest) = (Vec::new(), 0);
    loop {
        let PeerInput::Event(json) = peer.next().await else { return (all, longest) };
        match json["event"]["audioInput"]["content"].as_str() {
            Some(content) => {
                let pcm = BASE64.decode(content).unwrap();
                longest = longest.max(pcm.len());
                all.extend(pcm);
            }
            None => return (all, longest),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_up_is_one_stream_at_the_services_rate_to_its_last_sample() {
    for piece in [2, 886, 60_000] {
        let (host, mut peer) = live(at_device(44_100, 24_000)).await;
        let pcm = noise(44_100);
        for chunk in pcm.chunks(piece) {
            assert!(host.session.try_send_audio(chunk).unwrap());
        }
        host.session.close();
        let (sent, longest) = until_close(&mut peer).await;
        assert_eq!(sent, at_rate(&pcm, 44_100, 16_000), "in pieces of {piece} bytes");
        assert!(longest <= 3_200, "{longest}");
        settle().await;
        assert_eq!(host.session.stats().sent_audio_ms, 1_000);
    }
}

#[tokio::test(start_paused = true)]
async fn the_services_own_rates_pass_bit_for_bit() {
    let (host, mut peer) = live(config()).await;
    let sent = noise(1_600);
    host.session.try_send_audio(&sent).unwrap();
    assert_eq!(pcm(&mut peer).await, sent);
}

#[tokio::test(start_paused = true)]
async fn the_input_bound_is_time_at_the_devices_rate() {
    let buffers = Buffers { input_ms: 1_000, ..Buffers::default() };
    let (transport, _service) = service();
    let host = Host::spawn(&transport, SessionConfig { buffers, ..at_device(48_000, 24_000) });
    assert_eq!(host.session.try_send_audio(&vec![0; 96_000]), Ok(true));
    assert_eq!(host.session.try_send_audio(&[0; 2]), Ok(false));
    assert_eq!(host.session.stats().queued_input_ms, 1_000);
}

#[tokio::test(start_paused = true)]
async fn silence_that_stands_in_brings_the_last_words_and_has_the_services_length() {
    let (host, mut peer) = live(SessionConfig { realtime: true, ..at_device(48_000, 24_000) }).await;
    let said = noise(4_800);
    assert!(host.session.try_send_audio(&said).unwrap());
    let mut sent = Vec::new();
    while sent.len() < 2 * 16_000 {
        sent.extend(pcm(&mut peer).await);
    }
    let mut wanted = said;
    wanted.resize(2 * 48_000 * 2, 0);
    let wanted = at_rate(&wanted, 48_000, 16_000);
    assert_eq!(sent, wanted[..sent.len()]);
    assert!(host.session.stats().filled_silence_ms >= 800);
}

#[tokio::test(start_paused = true)]
async fn what_comes_down_has_the_devices_rate_and_nothing_is_missing() {
    let (mut host, peer) = live(at_device(16_000, 48_000)).await;
    let said = noise(24_000);
    assert!(peer.send(&audio_start("a")).await);
    for chunk in said.chunks(2_048) {
        assert!(peer.send(&audio_output("a", chunk)).await);
    }
    assert!(peer.send(&audio_end("a", "END_TURN")).await);
    host.until(|host| host.kinds().contains(&"turn ended")).await;
    let mut heard = Vec::new();
    for event in &host.events {
        if let EventKind::Audio { pcm, rate_hz } = &event.kind {
            assert_eq!((*rate_hz, event.turn), (48_000, Some(1)));
            heard.extend_from_slice(pcm);
        }
    }
    assert_eq!(heard, at_rate(&said, 24_000, 48_000));
    assert_eq!(host.session.stats().received_audio_ms, 1_000);
}

#[tokio::test(start_paused = true)]
async fn after_an_interruption_not_even_the_filters_rest_is_heard() {
    let (mut host, peer) = live(at_device(16_000, 48_000)).await;
    assert!(peer.send(&audio_start("a")).await);
    assert!(peer.send(&audio_output("a", &noise(4_800))).await);
    host.until(|host| host.kinds().contains(&"audio")).await;
    host.session.interrupt();
    host.until(|host| host.kinds().contains(&"interrupted")).await;
    assert!(peer.send(&audio_output("a", &noise(4_800))).await);
    assert!(peer.send(&audio_end("a", "END_TURN")).await);
    host.until(|host| host.kinds().contains(&"turn ended")).await;
    let kinds = host.kinds();
    let cut = kinds.iter().position(|kind| *kind == "interrupted").unwrap();
    assert!(!kinds[cut..].contains(&"audio"), "{kinds:?}");
}
