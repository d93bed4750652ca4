//! What the control interface does, once it has let a request in.
//!
//! ```text
//! GET    /streams            every stream, as reports tell it
//! GET    /streams/7          one of them, with its recording (all but the audio) where recordings were asked for
//! GET    /streams/7/pcm      the user's audio as it came
//! GET    /faults             those set, and how often each was committed
//! POST   /faults             one fault or a list of them (see faults/table.rs), for streams opened from now on
//! DELETE /faults             none any more
//! POST   /commit             one fault without a place, at once on the live streams of its account
//! ```

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::Answer;
use crate::emulator::{
    faults::{Fault, Table},
    recording::Recording,
    registry::Registry,
};

pub(super) fn answer(method: &Method, path: &str, body: &[u8], registry: &Registry) -> Answer {
    let path: Vec<&str> = path.split('/').skip(1).collect();
    match (method.as_str(), path.as_slice()) {
        ("GET", ["streams"]) => ok(json!({ "streams": registry.reports() })),
        ("GET", ["streams", id]) => stream(id, registry),
        ("GET", ["streams", id, "pcm"]) => {
            let recording = id.parse().ok().and_then(|id| registry.recording(id));
            recording.map_or_else(not_found, |recording| Answer::Bytes(recording.pcm))
        }
        ("GET", ["faults"]) => ok(json!({ "faults": registry.faults.list() })),
        ("POST", ["faults"]) => done(
            read(body)
                .and_then(|faults| registry.add_faults(faults))
                .map(|()| json!({ "faults": registry.faults.list() })),
        ),
        ("DELETE", ["faults"]) => {
            registry.faults.clear();
            ok(json!({ "faults": [] }))
        }
        ("POST", ["commit"]) => done(read(body).and_then(|faults| match <[Fault; 1]>::try_from(faults) {
            Ok([fault]) => registry.commit(fault).map(|streams| json!({ "streams": streams })),
            Err(_) => Err("one fault at a time".into()),
        })),
        (_, ["streams" | "faults" | "commit", ..]) => {
            Answer::wrong(StatusCode::METHOD_NOT_ALLOWED, "not by this method")
        }
        _ => not_found(),
    }
}

fn stream(id: &str, registry: &Registry) -> Answer {
    let Some(id) = id.parse().ok() else { return not_found() };
    let Some(report) = registry.reports().into_iter().find(|report| report.stream_id == id) else {
        return not_found();
    };
    let recording = registry.recording(id).map(|recording: Recording| {
        json!({
            "pcm_bytes": recording.pcm.len(),
            "system": recording.system,
            "history": recording.history,
            "typed": recording.typed,
            "tool_results": recording.tool_results,
            "truncated": recording.truncated,
        })
    });
    ok(json!({ "stream": report, "recording": recording }))
}

/// One fault or several.
fn read(body: &[u8]) -> Result<Vec<Fault>, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
    let tables = if let Value::Array(tables) = value { tables } else { vec![value] };
    let read = |table| {
        let table: Table = serde_json::from_value(table).map_err(|error| format!("fault: {error}"))?;
        table.fault()
    };
    tables.into_iter().map(read).collect()
}

fn ok(value: Value) -> Answer {
    Answer::Json(StatusCode::OK, value)
}

fn done(result: Result<Value, String>) -> Answer {
    result.map_or_else(|error| Answer::wrong(StatusCode::BAD_REQUEST, error), ok)
}

fn not_found() -> Answer {
    Answer::wrong(StatusCode::NOT_FOUND, "there is no such thing, or it was not recorded")
}
