//! The transport against the emulator: real TLS, signatures of the request and of every event verified.

use bytes::Bytes;
use novasonic::{
    emulator::{BrainChoice, Emulator, Settings},
    error::ErrorKind,
    transport::{Downlink, Transport, TransportConfig, sdk::SdkTransport},
};
use serde_json::{Value, json};

use crate::transport_client::{LONG, TempFile, config, keys, next, open_error, request};

struct Served {
    emulator: Emulator,
    ca: TempFile,
}

fn serve(settings: Settings) -> Served {
    let emulator = Emulator::start(settings).unwrap();
    let ca = TempFile::new(emulator.ca_pem());
    Served { emulator, ca }
}

impl Served {
    fn config(&self) -> TransportConfig {
        let settings = Settings::default();
        TransportConfig {
            credentials: keys(&settings.access_key_id, &settings.secret_access_key),
            ca_bundle: Some(self.ca.0.clone()),
            ..config(&format!("https://localhost:{}", self.emulator.https_addr().port()))
        }
    }
}

fn echo() -> Settings {
    Settings { brain: BrainChoice::Echo, ..Settings::default() }
}

fn bytes(event: &Value) -> Bytes {
    Bytes::from(json!({ "event": event }).to_string())
}

fn opening_events() -> Vec<Bytes> {
    let text = json!({"mediaType": "text/plain"});
    let audio = |rate: u32| json!({"mediaType": "audio/lpcm", "sampleRateHertz": rate, "sampleSizeBits": 16, "channelCount": 1, "encoding": "base64", "audioType": "SPEECH"});
    let mut output = audio(24_000);
    output["voiceId"] = json!("tiffany");
    [
        json!({"sessionStart": {"inferenceConfiguration": {"maxTokens": 1024, "topP": 0.9, "temperature": 0.7}}}),
        json!({"promptStart": {"promptName": "p", "textOutputConfiguration": text, "audioOutputConfiguration": output}}),
        json!({"contentStart": {"promptName": "p", "contentName": "s", "type": "TEXT", "interactive": false, "role": "SYSTEM", "textInputConfiguration": text}}),
        json!({"textInput": {"promptName": "p", "contentName": "s", "content": "Be brief."}}),
        json!({"contentEnd": {"promptName": "p", "contentName": "s"}}),
        json!({"contentStart": {"promptName": "p", "contentName": "a", "type": "AUDIO", "interactive": true, "role": "USER", "audioInputConfiguration": audio(16_000)}}),
    ]
    .iter()
    .map(bytes)
    .collect()
}

fn closing_events() -> Vec<Bytes> {
    [
        json!({"contentEnd": {"promptName": "p", "contentName": "a"}}),
        json!({"promptEnd": {"promptName": "p"}}),
        json!({"sessionEnd": {}}),
    ]
    .iter()
    .map(bytes)
    .collect()
}

async fn next_audio(downlink: &mut Downlink) -> String {
    loop {
        let event = next(downlink).await.unwrap().expect("audio before the end");
        if let Some(content) = event["event"]["audioOutput"]["content"].as_str() {
            return content.to_owned();
        }
    }
}

/// Headers come only after the first event here, so this also shows that sending does not wait for them.
#[tokio::test]
async fn a_conversation_over_tls_with_every_signature_verified() {
    let served = serve(echo());
    let transport = SdkTransport::new(served.config()).unwrap();
    let opening = transport.open(request());
    let uplink = opening.uplink;
    let sending = tokio::spawn(async move {
        for event in opening_events() {
            uplink.send(event).await.unwrap();
        }
        uplink
    });
    let mut downlink = tokio::time::timeout(LONG, opening.headers).await.unwrap().unwrap();
    assert!(downlink.request_id().is_some());
    let uplink = sending.await.unwrap();

    let pcm = "AAAA".repeat(256);
    let audio = bytes(&json!({"audioInput": {"promptName": "p", "contentName": "a", "content": pcm}}));
    for _ in 0..50 {
        uplink.send(audio.clone()).await.unwrap();
        assert_eq!(next_audio(&mut downlink).await, pcm);
    }
    for event in closing_events() {
        uplink.send(event).await.unwrap();
    }
    drop(uplink);
    while next(&mut downlink).await.unwrap().is_some() {}

    let ended = || served.emulator.streams().first().and_then(|stream| stream.ended.clone());
    while ended().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(ended().as_deref(), Some("clean"));
}

#[tokio::test]
async fn a_wrong_secret_is_access_denied() {
    let served = serve(echo());
    let config =
        TransportConfig { credentials: keys(&Settings::default().access_key_id, "not the secret"), ..served.config() };
    let error = open_error(&SdkTransport::new(config).unwrap()).await;
    assert_eq!((error.kind, error.retryable), (ErrorKind::AccessDenied, false), "{error:?}");
    assert!(error.cure.is_some());
}

#[tokio::test]
async fn an_authority_that_nobody_named_is_not_trusted() {
    let served = serve(echo());
    let began = std::time::Instant::now();
    let config = TransportConfig { ca_bundle: None, ..served.config() };
    let error = open_error(&SdkTransport::new(config).unwrap()).await;
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Certificate, "untrusted_certificate"), "{error:?}");
    assert!(began.elapsed().as_secs_f32() < 1.0, "{:?}", began.elapsed());
}
