use ErrorKind::{AccessDenied, Service, StreamLost, Throttled, Validation};
use Recovery::{BackOff, Never, Restart, RestartOnce, TrimHistory, WithoutHistory};

use super::*;

const REFUSED: Place = Place::Opening { status: 400 };

/// Every string of the protocol reference, §5.2, whole as far as it is known, and what it must mean in a stream.
const SEEN: &[(&str, &str, &str, ErrorKind, Recovery)] = &[
    (
        "Validation",
        "InternalErrorCode=532::Timed out waiting for audio bytes or interactive content. Please ensure that gaps between \
         are less than 55 seconds.",
        "idle",
        StreamLost,
        Restart,
    ),
    ("Validation", "Timed out waiting for input events.", "idle", StreamLost, Restart),
    (
        "Validation",
        "InternalErrorCode=531::RST_STREAM closed stream. HTTP/2 error code: NO_ERROR",
        "service_closed",
        StreamLost,
        Restart,
    ),
    ("Validation", "RST_STREAM closed stream.", "service_closed", StreamLost, Restart),
    (
        "ModelTimeout",
        "Model has timed out in processing the request. Try your request again.",
        "stream_limit",
        StreamLost,
        Restart,
    ),
    ("Validation", "System instability detected. Please retry your request.", "instability", Service, Restart),
    (
        "InternalServer",
        "The system encountered an unexpected error during processing. Try your request again.",
        "InternalServerException",
        Service,
        Restart,
    ),
    (
        "Validation",
        "Chat history should be sent completely before streaming audio.",
        "event_order",
        Validation,
        RestartOnce,
    ),
    (
        "Validation",
        "Chat history is over max limit. Trim chat history and try again.",
        "history_too_long",
        Validation,
        TrimHistory,
    ),
    (
        "Validation",
        "Duplicate SYSTEM content. SYSTEM content can only be provided once per prompt",
        "event_order",
        Validation,
        RestartOnce,
    ),
    ("Validation", "Cannot end content [5f2a] as no content data was received", "event_order", Validation, RestartOnce),
    ("Validation", "All contents must be closed before ending prompt", "event_order", Validation, RestartOnce),
    ("Validation", "A prompt must have at least one audio content", "event_order", Validation, RestartOnce),
    ("Validation", "Tool Response parsing error", "tool_result", Validation, RestartOnce),
    ("Validation", "Unable to parse input chunk. Please check input format", "unreadable_event", Validation, Never),
    (
        "Validation",
        "Invalid input request, please fix your input and try again.",
        "invalid_input",
        Validation,
        RestartOnce,
    ),
    ("Validation", "No open prompt found with id 7", "event_order", Validation, RestartOnce),
    ("Validation", "No open content found with id 7", "event_order", Validation, RestartOnce),
    (
        "Validation",
        "This request has been blocked by our content filters.",
        "content_filter",
        Validation,
        WithoutHistory,
    ),
    ("Validation", "Received invalid voiceId: mathew", "invalid_voice", Validation, Never),
    ("Validation", "Invalid event bytes.", "bad_frame", StreamLost, Restart),
    ("Validation", "Attempted to write to closed stream.", "service_closed", StreamLost, Restart),
    ("Validation", "AWS_ERROR_HTTP_STREAM_HAS_COMPLETED", "service_closed", StreamLost, Restart),
];

#[test]
fn every_text_that_was_seen_is_known_however_it_is_wrapped() {
    for (name, said, code, kind, recovery) in SEEN {
        for said in [
            (*said).to_owned(),
            format!("RequestId=0f3c1c52-9d55-4a53-8c0a-0d2b1f0a8d11 : {said}"),
            format!("Error(s):\nError 1 : {said}\n"),
        ] {
            for name in [format!("{name}Exception"), format!("{}Exception", uncapitalised(name))] {
                let found = meaning(&name, &said, Place::Stream);
                let code_found = found.code.unwrap_or(&name);
                assert_eq!((code_found, found.kind, found.recovery), (*code, *kind, *recovery), "{name}: {said}");
                assert!(found.cure.ends_with('.'), "{}", found.cure);
            }
        }
    }
}

#[test]
fn no_text_of_the_table_is_left_out_of_the_test() {
    for text in TEXTS {
        assert!(SEEN.iter().any(|(_, said, ..)| said.contains(text.part)), "{}", text.part);
    }
}

#[test]
fn a_refused_opening_is_not_opened_again_for_what_it_says() {
    let catch_all = "Invalid input request, please fix your input and try again.";
    let found = meaning("ValidationException", catch_all, REFUSED);
    assert_eq!((found.kind, found.code, found.recovery), (Validation, None, Never));
    // No stream has lived for eight minutes before it opened.
    let timed_out = "Model has timed out in processing the request. Try your request again.";
    let found = meaning("ModelTimeoutException", timed_out, Place::Opening { status: 408 });
    assert_eq!((found.kind, found.code, found.recovery), (Service, None, Restart));
    // What helps helps here too.
    for (_, said, code, kind, recovery) in SEEN.iter().filter(|seen| matches!(seen.4, TrimHistory | WithoutHistory)) {
        let found = meaning("ValidationException", said, REFUSED);
        assert_eq!((found.code, found.kind, found.recovery), (Some(*code), *kind, *recovery));
    }
}

/// Reference §5.1 and §5.3, without a text that says more.
#[test]
fn names_alone_are_sorted_by_what_can_be_done() {
    for (name, kind, recovery) in [
        ("AccessDenied", AccessDenied, Never),
        ("UnrecognizedClient", AccessDenied, Never),
        ("ExpiredToken", AccessDenied, RestartOnce),
        ("InternalServer", Service, Restart),
        ("ModelError", Service, Restart),
        ("ModelNotReady", Service, Restart),
        ("ModelStreamError", Service, Restart),
        ("ModelTimeout", Service, Restart),
        ("ResourceNotFound", Validation, Never),
        ("ServiceQuotaExceeded", Throttled, BackOff),
        ("ServiceUnavailable", Service, Restart),
        ("Throttling", Throttled, BackOff),
        ("Validation", Validation, Never),
        ("SomethingNobodyKnows", Service, Restart),
    ] {
        for name in [format!("{name}Exception"), format!("{}Exception", uncapitalised(name))] {
            let found = meaning(&name, "words", Place::Stream);
            assert_eq!((found.kind, found.code, found.recovery), (kind, None, recovery), "{name}");
        }
    }
}

#[test]
fn an_unknown_name_goes_by_its_status() {
    for (status, kind, recovery) in [
        (401, AccessDenied, Never),
        (403, AccessDenied, Never),
        (418, Validation, Never),
        (429, Throttled, BackOff),
        (502, Service, Restart),
    ] {
        let found = meaning("Http", "", Place::Opening { status });
        assert_eq!((found.kind, found.recovery), (kind, recovery), "{status}");
    }
}

#[test]
fn throttling_and_refusal_are_not_talked_away() {
    let said = "System instability detected. Please retry your request.";
    assert_eq!(meaning("ThrottlingException", said, Place::Stream).kind, Throttled);
    assert_eq!(meaning("AccessDeniedException", said, Place::Stream).kind, AccessDenied);
}

fn uncapitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase().to_string() + letters.as_str()).unwrap_or_default()
}
