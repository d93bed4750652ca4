//! Which requests are served, and how the others are refused: in AWS's shape, so that every SDK reads the error.

use bytes::Bytes;
use h2::{SendStream, server::SendResponse};
use http::{
    HeaderValue, Method, Response,
    header::{CONNECTION, CONTENT_TYPE},
    request::Parts,
};
use http_body_util::Full;
use uuid::Uuid;

pub(super) const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";
const OPERATION: &str = "/invoke-with-bidirectional-stream";
/// The same for browsers, which have no HTTP/2 stream that is open both ways.
const WEBSOCKET_OPERATION: &str = "/invoke-with-bidirectional-stream-websocket";

/// How a stream comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A POST of event-stream messages.
    Http2,
    /// A GET that HTTP/1.1 upgrades; each binary message is one event-stream message.
    WebSocket,
}

/// An error in place of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// The exception's name, as SDKs know it.
    pub(super) code: String,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into() }
    }

    fn body(&self) -> Bytes {
        serde_json::json!({ "message": self.message }).to_string().into()
    }

    /// The whole of it, for HTTP/1.1, and the last on its connection.
    pub(super) fn answer(&self) -> Response<Full<Bytes>> {
        let mut answer = self.head().map(|()| Full::new(self.body()));
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        answer
    }

    /// The response's head; [`Self::body`] follows.
    fn head(&self) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = http::StatusCode::from_u16(self.status).unwrap_or(http::StatusCode::BAD_REQUEST);
        // The service puts a URI behind the name; clients must cut it off (reference §5.1).
        let kind = format!("{}:http://internal.amazon.com/coral/com.amazon.bedrock/", self.code);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(kind) = HeaderValue::try_from(kind) {
            headers.insert("x-amzn-errortype", kind);
        }
        insert_request_id(headers);
        response
    }
}

/// The head of an accepted stream.
pub(super) fn accepted() -> Response<()> {
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    insert_request_id(response.headers_mut());
    response
}

/// Answers with an error. The client's body is the caller's to drain: a reset now could overtake the answer.
pub(super) fn refuse(respond: &mut SendResponse<Bytes>, refusal: &Refusal) -> Result<SendStream<Bytes>, h2::Error> {
    let mut stream = respond.send_response(refusal.head(), false)?;
    stream.send_data(refusal.body(), true)?;
    Ok(stream)
}

pub(super) fn insert_request_id(headers: &mut http::HeaderMap) {
    if let Ok(id) = HeaderValue::try_from(Uuid::new_v4().to_string()) {
        headers.insert("x-amzn-requestid", id);
    }
}

/// The model's id, if this request opens a stream to one.
pub(super) fn model_id(parts: &Parts, form: Form) -> Result<String, Refusal> {
    let (operation, method) = match form {
        Form::Http2 => (OPERATION, Method::POST),
        Form::WebSocket => (WEBSOCKET_OPERATION, Method::GET),
    };
    let Some(model) = model_in(parts.uri.path(), operation) else {
        return Err(Refusal::new(
            404,
            "UnknownOperationException",
            format!("The emulator serves {method} /model/{{modelId}}{operation} only, not {}", parts.uri.path()),
        ));
    };
    if parts.method != method {
        return Err(Refusal::new(
            405,
            "UnknownOperationException",
            format!("{operation} takes {method}, not {}", parts.method),
        ));
    }
    let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if form == Form::Http2 && content_type.split(';').next().map(str::trim) != Some(EVENT_STREAM) {
        return Err(Refusal::new(
            415,
            "UnsupportedMediaTypeException",
            format!("content-type must be {EVENT_STREAM}, not '{content_type}'"),
        ));
    }
    let model = percent_decode(model)
        .ok_or_else(|| Refusal::new(400, "ValidationException", "The model id is not valid percent-encoded UTF-8."))?;
    if !model.contains("sonic") {
        return Err(Refusal::new(400, "ValidationException", "The provided model identifier is invalid."));
    }
    Ok(model)
}

/// Whether a path is the WebSocket's, whatever else is wrong with the request.
pub(super) fn is_websocket_path(path: &str) -> bool {
    model_in(path, WEBSOCKET_OPERATION).is_some()
}

/// The model in the path of an operation, as it is encoded there.
fn model_in<'a>(path: &'a str, operation: &str) -> Option<&'a str> {
    path.strip_prefix("/model/")?.strip_suffix(operation).filter(|model| !model.is_empty() && !model.contains('/'))
}

pub(super) fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            decoded.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = tail;
        } else {
            decoded.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests;
