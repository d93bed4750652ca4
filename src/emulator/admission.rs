//! Who may open a stream: its route, its signature, and the faults that await it.

use http::request::Parts;
use time::OffsetDateTime;

use super::{
    registry::{Registry, unix_time},
    request::{self, Form, Refusal},
    settings::StreamReport,
    signature::{self, Claim},
    stream::Admitted,
};

/// Routing and the request's signature.
pub(super) fn admit(parts: &Parts, form: Form, connection_id: u64, registry: &Registry) -> Result<Admitted, Refusal> {
    let admitted = judge(parts, form, connection_id, registry);
    if let Err(refusal) = &admitted {
        registry.log(&format!("refused a request: {} {}: {}", refusal.status, refusal.code, refusal.message));
    }
    admitted
}

fn judge(parts: &Parts, form: Form, connection_id: u64, registry: &Registry) -> Result<Admitted, Refusal> {
    let model_id = request::model_id(parts, form)?;
    let claim = Claim::of(parts, form).ok();
    let account = claim.as_ref().map_or(String::new(), |claim| registry.account(&claim.access_key_id));
    let mut faults = registry.faults.of(&account);
    let skewed = if registry.settings.verify { faults.skew() } else { None };
    let skew = skewed.as_ref().map_or(time::Duration::ZERO, |(_, seconds)| time::Duration::seconds(*seconds));
    let chain = if registry.settings.verify {
        Some(signature::verify_request(&registry.keys, parts, form, OffsetDateTime::now_utc() + skew)?)
    } else {
        None
    };
    let report = StreamReport {
        stream_id: registry.next_stream_id(),
        connection_id,
        model_id,
        websocket: form == Form::WebSocket,
        region: claim.as_ref().map_or(String::new(), |claim| claim.region.clone()),
        access_key_id: claim.map(|claim| claim.access_key_id),
        number: registry.next_number(&account),
        account,
        faults: skewed.iter().map(|(armed, _)| armed.fault.to_string()).collect(),
        opened_at: unix_time(),
        ..StreamReport::default()
    };
    Ok(Admitted { report, chain, faults, skew })
}
