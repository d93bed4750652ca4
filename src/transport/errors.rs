//! Every way a stream can fail, sorted into [`ErrorKind`] by what the caller can do about it.

use std::{error::Error as StdError, fmt::Write as _, io, time::Duration};

use aws_sdk_bedrockruntime::{
    error::ProvideErrorMetadata,
    operation::{
        RequestId, invoke_model_with_bidirectional_stream::InvokeModelWithBidirectionalStreamError as OpenError,
    },
    types::error::InvokeModelWithBidirectionalStreamOutputError as StreamError,
};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::event_stream::{Message, RawMessage};
use hyper_util::client::legacy::connect::HttpConnector;
use tower_service::Service;

use super::{
    texts::{Place, meaning},
    tidy,
};
use crate::error::{CLOSED_EARLY, Error, ErrorKind, PEER_SILENT};

type ConnectError = <HttpConnector as Service<http::Uri>>::Error;

pub(super) fn internal(message: &str) -> Error {
    Error::new(ErrorKind::Internal, "internal", message).with_cure("This is a defect of novasonic: please report it.")
}

/// What an error and its causes say, each once.
pub(super) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            // Writing to a String does not fail.
            let _ = write!(text, ": {said}");
        }
        cause = error.source();
    }
    text
}

fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // An io::Error hides what it carries from source(): it shows that one's own source instead.
        if let Some(carried) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            cause = Some(carried);
            continue;
        }
        cause = error.source();
    }
    None
}

/// DNS and TCP.
pub(super) fn from_connect(error: &ConnectError, place: &str) -> Error {
    let refused = find::<io::Error>(error).is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    let code = if refused { "refused" } else { "connect_failed" };
    Error::new(ErrorKind::Connect, code, format!("No connection to {place}: {}.", chain(error)))
        .with_cure("Check the region and endpoint_url, and that the endpoint can be reached from here.")
}

/// The TLS handshake.
pub(super) fn from_tls(error: &io::Error, place: &str) -> Error {
    match find::<rustls::Error>(error) {
        Some(rustls::Error::InvalidCertificate(reason)) => Error::new(
            ErrorKind::Certificate,
            "untrusted_certificate",
            format!("{place} shows a certificate that is not trusted: {reason}."),
        )
        .with_cure("Check the endpoint, or name the authority that signed it as ca_bundle or AWS_CA_BUNDLE."),
        Some(rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)) => no_http2(place),
        _ => Error::new(ErrorKind::Connect, "tls_failed", format!("No TLS connection to {place}: {}.", chain(error)))
            .with_cure("Check that the endpoint speaks TLS on this port."),
    }
}

pub(super) fn no_http2(place: &str) -> Error {
    Error::new(ErrorKind::Connect, "no_http2", format!("{place} does not speak HTTP/2, which this service needs."))
        .with_cure("Check the endpoint, and proxies on the way that terminate TLS.")
        .retryable(false)
}

/// The connection failed before the peer said anything in HTTP/2.
pub(super) fn from_handshake(error: &hyper::Error, place: &str) -> Error {
    let garbled = find::<h2::Error>(error).is_some_and(|error| error.is_library() && error.reason().is_some());
    if garbled {
        return no_http2(place);
    }
    Error::new(
        ErrorKind::Connect,
        CLOSED_EARLY,
        format!("{place} closed the connection before it spoke HTTP/2: {}.", chain(error)),
    )
    .with_cure("Check that the endpoint speaks HTTP/2 on this port.")
}

/// One connection after the other closed before it took the request.
pub(super) fn from_closing(place: &str) -> Error {
    Error::new(ErrorKind::Connect, CLOSED_EARLY, format!("{place} closes its connections as soon as they are open."))
        .with_cure("Try again later.")
}

/// Whether the peer ended the connection because it was pinged too much.
pub(super) fn asks_for_calm(error: &hyper::Error) -> bool {
    find::<h2::Error>(error).is_some_and(|error| {
        error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM)
    })
}

/// The bound on opening ran out.
pub(super) fn open_timeout(bound: Duration, waited_for: &str) -> Error {
    Error::new(
        ErrorKind::Timeout,
        "open_timeout",
        format!("The stream did not open within {} s: still waiting for {waited_for}.", bound.as_secs_f32()),
    )
    .with_cure("Try again, or raise Timeouts.open.")
}

/// The stream did not open.
pub(super) fn from_open(error: &SdkError<OpenError, HttpResponse>) -> Error {
    let SdkError::ServiceError(service) = error else { return from_transport(error) };
    let status = service.raw().status().as_u16();
    let name = service.err().code().map_or_else(|| format!("Http{status}"), bare_name);
    let message = service.err().message().unwrap_or_default();
    from_service(&name, message, Place::Opening { status }, service.err().request_id())
}

/// The open stream failed.
pub(super) fn from_stream(error: &SdkError<StreamError, RawMessage>, request_id: Option<&str>) -> Error {
    let (name, message) = match error {
        SdkError::ServiceError(service) => {
            let raw = service.raw();
            // `.code()` is None for these: only the variant, or the frame's own header, names them.
            let name = match service.err() {
                StreamError::InternalServerException(_) => "InternalServerException".to_owned(),
                StreamError::ModelStreamErrorException(_) => "ModelStreamErrorException".to_owned(),
                StreamError::ModelTimeoutException(_) => "ModelTimeoutException".to_owned(),
                StreamError::ServiceUnavailableException(_) => "ServiceUnavailableException".to_owned(),
                StreamError::ThrottlingException(_) => "ThrottlingException".to_owned(),
                StreamError::ValidationException(_) => "ValidationException".to_owned(),
                _ => header(raw, ":exception-type").unwrap_or_else(|| "UnknownException".to_owned()),
            };
            let message = service.err().message().map(str::to_owned).or_else(|| payload_message(raw));
            (name, message.unwrap_or_default())
        }
        // An unmodelled failure of the service: the SDK does not know this type of message.
        SdkError::ResponseError(response) if header(response.raw(), ":message-type").as_deref() == Some("error") => {
            let raw = response.raw();
            let name = header(raw, ":error-code").unwrap_or_else(|| "UnknownError".to_owned());
            (name, header(raw, ":error-message").unwrap_or_default())
        }
        SdkError::ResponseError(_) => {
            return Error::new(
                ErrorKind::StreamLost,
                "bad_frame",
                format!("The service sent something that is not an event: {}.", tidy::text(&chain(error)).1),
            )
            .with_cure("Open a new stream.")
            .with_request_id(request_id.map(str::to_owned));
        }
        _ => return from_transport(error).with_request_id(request_id.map(str::to_owned)),
    };
    from_service(&name, &message, Place::Stream, request_id)
}

/// Whatever is not the service's own word.
fn from_transport(error: &(dyn StdError + 'static)) -> Error {
    if let Some(ours) = find::<Error>(error) {
        return ours.clone();
    }
    internal(&format!("The request could not be made: {}.", chain(error)))
}

/// Whether a stream failed because its connection did, and so does not know why.
pub(super) fn lost_with_connection(error: &hyper::Error) -> bool {
    find::<h2::Error>(error).is_none_or(h2::Error::is_io)
}

/// A stream was lost, and perhaps its connection for a reason of its own.
pub(super) fn from_lost(stream: &hyper::Error, connection: Option<&hyper::Error>) -> Error {
    let lost =
        |code: &str, message: String| Error::new(ErrorKind::StreamLost, code, message).with_cure("Open a new stream.");
    if connection.is_some_and(hyper::Error::is_timeout) {
        return lost(PEER_SILENT, "The service stopped answering on this connection.".to_owned());
    }
    let http2 = [Some(stream), connection].into_iter().flatten().find_map(|error| {
        let http2 = find::<h2::Error>(error)?;
        Some((http2, http2.reason()?))
    });
    match http2 {
        Some((http2, reason)) => {
            let (code, what) = if http2.is_go_away() {
                ("connection_closed", "closed the connection")
            } else {
                ("stream_reset", "reset the stream")
            };
            let who = if http2.is_remote() { "The service" } else { "The HTTP/2 layer" };
            lost(code, format!("{who} {what}: {reason:?} ({}).", reason.description()))
        }
        None => lost("connection_lost", format!("The connection was lost: {}.", chain(connection.unwrap_or(stream)))),
    }
}

/// The service answers, but takes nothing of this stream.
pub(super) fn stalled(bound: Duration) -> Error {
    Error::new(
        ErrorKind::StreamLost,
        "uplink_stalled",
        format!("The service has taken nothing on this stream for {} s.", bound.as_secs_f32()),
    )
    .with_cure("Open a new stream.")
}

/// An exception of the service, by its name and by what it says.
fn from_service(name: &str, said: &str, place: Place, request_id: Option<&str>) -> Error {
    let name = match tidy::name(name) {
        name if name.is_empty() => "UnknownException".to_owned(),
        name => name,
    };
    let (said_id, text) = tidy::text(said);
    let text = if text.is_empty() { "The service gave no reason." } else { &text };
    let meaning = meaning(&name, said, place);
    let code = meaning.code.unwrap_or(&name);
    Error::new(meaning.kind, code, format!("{name}: {text}"))
        .recovering(meaning.recovery)
        .with_cure(meaning.cure)
        .with_request_id(request_id.map(str::to_owned).or(said_id))
}

/// `x-amzn-errortype` may carry a namespace before `#` and a URL after `:`.
fn bare_name(code: &str) -> String {
    let code = code.split(':').next().unwrap_or(code);
    code.rsplit('#').next().unwrap_or(code).to_owned()
}

fn decoded(raw: &RawMessage) -> Option<&Message> {
    match raw {
        RawMessage::Decoded(message) => Some(message),
        _ => None,
    }
}

fn header(raw: &RawMessage, name: &str) -> Option<String> {
    let header = decoded(raw)?.headers().iter().find(|header| header.name().as_str() == name)?;
    Some(header.value().as_string().ok()?.as_str().to_owned())
}

fn payload_message(raw: &RawMessage) -> Option<String> {
    let payload: serde_json::Value = serde_json::from_slice(decoded(raw)?.payload()).ok()?;
    let message = payload.get("message").or_else(|| payload.get("Message"))?;
    Some(message.as_str()?.to_owned())
}
