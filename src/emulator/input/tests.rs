use super::*;
use crate::emulator::client_events::audio_input;

#[test]
fn audio_borrows_from_the_payload() {
    let payload = audio_input("a", &[1, 2, 3, 4]);
    let Event::AudioInput(content) = Event::parse(&payload).unwrap() else { panic!("not audio") };
    assert!(matches!(content.content, Cow::Borrowed("AQIDBA==")));
    assert!(matches!(content.content_name, Cow::Borrowed("a")));
}

#[test]
fn what_a_tolerant_reader_takes() {
    for payload in [
        // Escaped slashes, as PHP writes base64.
        r#"{"event":{"audioInput":{"promptName":"p","contentName":"a","content":"AA\/\/AA=="}}}"#,
        r#"{"event":{"audioInput":{"content":"","contentName":"a","promptName":"p","later":{"x":[1]}}},"more":1}"#,
        r#" { "event" : { "sessionEnd" : { } } } "#,
    ] {
        assert!(Event::parse(payload.as_bytes()).is_ok(), "{payload}");
    }
}

#[test]
fn what_no_reader_takes() {
    let table: &[&[u8]] = &[
        b"",
        b"{}",
        b"null",
        b"[]",
        b"{\"event\":{}}",
        b"{\"event\":{\"sessionEnd\":{},\"promptEnd\":{\"promptName\":\"p\"}}}",
        b"{\"event\":{\"promptEnd\":{}}}",
        b"{\"event\":{\"textInput\":{\"promptName\":\"p\",\"contentName\":\"c\",\"content\":\"\xff\"}}}",
        b"{\"event\":{\"sessionEnd\":{}}} trailing",
    ];
    for payload in table {
        assert!(Event::parse(payload).is_err(), "{}", String::from_utf8_lossy(payload));
    }
}
