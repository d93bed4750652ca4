//! What the service says when it ends a stream, read for what can be done about it.
//!
//! One exception name, `ValidationException`, stands for an idle stream, for capacity, for a history too long and for
//! real mistakes: only the text tells them apart. It comes prefixed, wrapped and with a tail, so parts of it are looked
//! for (protocol reference §5.2).

use crate::error::{ErrorKind, IDLE, Recovery, STREAM_LIMIT};

/// Where an error came: the service words a refused request as it words a stream that it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the place of response headers.
    Opening {
        status: u16,
    },
    Stream,
}

#[derive(Clone, Copy)]
pub(super) struct Meaning {
    pub(super) kind: ErrorKind,
    /// None: the exception's own name.
    pub(super) code: Option<&'static str>,
    pub(super) recovery: Recovery,
    pub(super) cure: &'static str,
}

#[derive(Clone, Copy)]
struct Text {
    part: &'static str,
    meaning: Meaning,
    /// Counts only in an open stream; a refused request with it means no more than its name.
    in_stream: bool,
}

const fn text(part: &'static str, code: &'static str, kind: ErrorKind, recovery: Recovery, cure: &'static str) -> Text {
    Text { part, meaning: Meaning { kind, code: Some(code), recovery, cure }, in_stream: false }
}

const fn in_stream(text: Text) -> Text {
    Text { in_stream: true, ..text }
}

/// A rule of the event order, broken on this stream only. The next one begins anew.
const fn order(part: &'static str) -> Text {
    in_stream(text(
        part,
        "event_order",
        ErrorKind::Validation,
        Recovery::RestartOnce,
        "Send events in the service's order; in a conversation of novasonic this is a defect, please report it.",
    ))
}

const NEW_STREAM: &str = "Open a new stream with the history.";
const KEEP_TALKING: &str = "Open a new stream with the history, and send silence while nobody speaks.";

/// The first that is found counts.
static TEXTS: &[Text] = &[
    text(
        "Timed out waiting for audio bytes or interactive content",
        IDLE,
        ErrorKind::StreamLost,
        Recovery::Restart,
        KEEP_TALKING,
    ),
    text("Timed out waiting for input events", IDLE, ErrorKind::StreamLost, Recovery::Restart, KEEP_TALKING),
    text("InternalErrorCode=531", "service_closed", ErrorKind::StreamLost, Recovery::Restart, NEW_STREAM),
    text("RST_STREAM closed stream", "service_closed", ErrorKind::StreamLost, Recovery::Restart, NEW_STREAM),
    // Whoever hears this has met the true reason before.
    text(
        "Attempted to write to closed stream",
        "service_closed",
        ErrorKind::StreamLost,
        Recovery::Restart,
        "Open a new stream; an earlier error says why this one ended.",
    ),
    text(
        "AWS_ERROR_HTTP_STREAM_HAS_COMPLETED",
        "service_closed",
        ErrorKind::StreamLost,
        Recovery::Restart,
        "Open a new stream; an earlier error says why this one ended.",
    ),
    in_stream(text(
        "Model has timed out in processing the request",
        STREAM_LIMIT,
        ErrorKind::StreamLost,
        Recovery::Restart,
        "Open a new stream with the history: one lives for eight minutes.",
    )),
    text(
        "System instability detected",
        "instability",
        ErrorKind::Service,
        Recovery::Restart,
        "Open a new stream with the history; wait a little longer each time.",
    ),
    text(
        "The system encountered an unexpected error during processing",
        "InternalServerException",
        ErrorKind::Service,
        Recovery::Restart,
        "Open a new stream with the history; wait a little longer each time.",
    ),
    text("Invalid event bytes", "bad_frame", ErrorKind::StreamLost, Recovery::Restart, NEW_STREAM),
    text(
        "Chat history is over max limit",
        "history_too_long",
        ErrorKind::Validation,
        Recovery::TrimHistory,
        "Leave out the oldest messages: 50 KB each and 200 KB together are taken.",
    ),
    text(
        "blocked by our content filters",
        "content_filter",
        ErrorKind::Validation,
        Recovery::WithoutHistory,
        "Change the system prompt or the history: unchanged, it is refused again.",
    ),
    text(
        "Received invalid voiceId",
        "invalid_voice",
        ErrorKind::Validation,
        Recovery::Never,
        "Name a voice of this model: novasonic.voices() lists them.",
    ),
    text(
        "Tool Response parsing error",
        "tool_result",
        ErrorKind::Validation,
        Recovery::RestartOnce,
        "Give a tool result as text of a JSON object.",
    ),
    text(
        "Unable to parse input chunk",
        "unreadable_event",
        ErrorKind::Validation,
        Recovery::Never,
        "Send valid JSON; a tool's schema goes as a string.",
    ),
    order("Chat history should be sent completely before streaming audio"),
    order("Duplicate SYSTEM content"),
    order("as no content data was received"),
    order("All contents must be closed before ending prompt"),
    order("must have at least one audio content"),
    order("No open prompt found"),
    order("No open content found"),
    in_stream(text(
        "Invalid input request, please fix your input",
        "invalid_input",
        ErrorKind::Validation,
        Recovery::RestartOnce,
        "The service does not say what it objects to: check settings, tools and the order of events.",
    )),
];

/// What an exception means, by its name, the HTTP status where it has one, and its text.
pub(super) fn meaning(name: &str, said: &str, place: Place) -> Meaning {
    let named = by_name(name, place);
    // Who may not, or not now, is told so in many words; names say it all.
    if matches!(named.kind, ErrorKind::AccessDenied | ErrorKind::Throttled) {
        return named;
    }
    let found = TEXTS.iter().find(|text| said.contains(text.part));
    found.filter(|text| place == Place::Stream || !text.in_stream).map_or(named, |text| text.meaning)
}

fn by_name(name: &str, place: Place) -> Meaning {
    const DENIED: &str = "Check the keys, the clock of this machine, the region, access to the model, and the IAM \
                          action bedrock:InvokeModelWithBidirectionalStream.";
    const LATER: &str = "Wait a little and open again, or ask AWS for a higher quota.";
    const FAILED: &str = "Open a new stream; if it goes on, see the AWS Health dashboard.";
    const UNKNOWN: &str = "See the service's text; novasonic does not know this error.";
    let meaning = |kind, recovery, cure| Meaning { kind, code: None, recovery, cure };
    // In the stream the same names begin with a small letter.
    let name = name.strip_suffix("Exception").unwrap_or(name);
    let is = |others: &[&str]| others.iter().any(|other| name.eq_ignore_ascii_case(other));
    if is(&["ExpiredToken", "TokenRefreshRequired"]) {
        // A provider may have fresh ones by now.
        meaning(ErrorKind::AccessDenied, Recovery::RestartOnce, "The credentials have expired: fetch new ones.")
    } else if is(&[
        "AccessDenied",
        "UnrecognizedClient",
        "InvalidSignature",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "OptInRequired",
    ]) {
        meaning(ErrorKind::AccessDenied, Recovery::Never, DENIED)
    } else if is(&["Throttling", "ThrottledException", "Throttled", "TooManyRequests", "ServiceQuotaExceeded"]) {
        meaning(ErrorKind::Throttled, Recovery::BackOff, LATER)
    } else if is(&["ModelNotReady"]) {
        meaning(ErrorKind::Service, Recovery::Restart, "Open again in a moment: the model is getting ready.")
    } else if is(&["ResourceNotFound"]) {
        meaning(ErrorKind::Validation, Recovery::Never, "Check the model id, and that the model exists in this region.")
    } else if is(&["Validation"]) {
        meaning(ErrorKind::Validation, Recovery::Never, "Mend what the service objects to.")
    } else if is(&["InternalServer", "ServiceUnavailable", "ModelError", "ModelStreamError", "ModelTimeout"]) {
        meaning(ErrorKind::Service, Recovery::Restart, FAILED)
    } else {
        match place {
            Place::Opening { status: 401 | 403 } => meaning(ErrorKind::AccessDenied, Recovery::Never, DENIED),
            Place::Opening { status: 429 } => meaning(ErrorKind::Throttled, Recovery::BackOff, LATER),
            Place::Opening { status: 400..=499 } => meaning(ErrorKind::Validation, Recovery::Never, UNKNOWN),
            _ => meaning(ErrorKind::Service, Recovery::Restart, UNKNOWN),
        }
    }
}

#[cfg(test)]
mod tests;
