//! A configured client: one transport, and the sessions it opens.

use std::{path::PathBuf, sync::Arc, time::Duration};

use pyo3::prelude::*;

use super::{
    errors, live,
    raw::RawStream,
    runtime::OfProcess,
    session::{Session, ToolRow, tool_spec},
};
use crate::{
    conversation::{AnswerBounds, Continuation, Limits, Prices},
    error::{Error, ErrorKind},
    protocol::{EndpointingSensitivity, Message, Role, SampleRate, StreamConfig, ToolChoice},
    session::{
        Buffers, DeviceRates, SessionConfig, Timeouts, TokioClock,
        raw::{RawBuffers, RawConfig},
        stream_rate,
    },
    transport::{CredentialSource, Patience, TransportConfig, sdk::SdkTransport},
};

#[pyclass(frozen, module = "novasonic._core")]
pub(super) struct Client(OfProcess<Arc<SdkTransport>>);

/// `(access_key_id, secret_access_key, session_token, expires_at)`.
type Keys = (String, String, Option<String>, Option<f64>);

/// The fields of `novasonic.Continuation`, in their order.
type ContinuationRow = (f64, f64, f64, f64, u32, u32, usize);

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (*, region, profile, credentials, ask_credentials, endpoint_url, ca_bundle, allow_insecure))]
    #[expect(clippy::too_many_arguments, reason = "the facade's keywords, one to one")]
    fn new(
        py: Python<'_>,
        region: Option<String>,
        profile: Option<String>,
        credentials: Option<Keys>,
        ask_credentials: bool,
        endpoint_url: Option<String>,
        ca_bundle: Option<PathBuf>,
        allow_insecure: bool,
    ) -> PyResult<Self> {
        let credentials = match credentials {
            Some((id, secret, token, expires_at)) => {
                CredentialSource::Static(live::credentials(id, secret, token, expires_at))
            }
            None if ask_credentials => CredentialSource::Ask,
            None => CredentialSource::DefaultChain,
        };
        let config = TransportConfig { region, profile, credentials, endpoint_url, ca_bundle, allow_insecure };
        let transport = SdkTransport::new(config).map_err(|error| errors::to_py_err(py, &error))?;
        Ok(Self(OfProcess::new("NovaSonic client", Arc::new(transport))))
    }

    /// Begins to open a session and returns at once.
    #[pyo3(signature = (
        *, model, regions, system, voice, input_rate, output_rate, turn_taking, max_tokens, top_p, temperature, tools,
        tool_choice, history, first_turn, input_buffer, output_buffer, timeouts, realtime, prices, limits, continuation,
        asks_overlap
    ))]
    #[expect(clippy::too_many_arguments, reason = "the facade's keywords, one to one")]
    fn open(
        &self,
        py: Python<'_>,
        model: String,
        regions: Vec<String>,
        system: Option<String>,
        voice: String,
        input_rate: u32,
        output_rate: u32,
        turn_taking: Option<&str>,
        max_tokens: Option<u32>,
        top_p: Option<f64>,
        temperature: Option<f64>,
        tools: Vec<ToolRow>,
        tool_choice: Option<&str>,
        history: Vec<(String, String)>,
        first_turn: u32,
        input_buffer: f64,
        output_buffer: f64,
        timeouts: TimeoutsRow,
        realtime: bool,
        prices: (f64, f64, f64, f64),
        limits: (Option<f64>, Option<f64>, Option<u64>, Option<f64>),
        continuation: Option<ContinuationRow>,
        asks_overlap: bool,
    ) -> PyResult<Session> {
        let transport = Arc::clone(self.0.get(py)?);
        let config = || -> Result<SessionConfig, Error> {
            Ok(SessionConfig {
                model_id: model,
                regions,
                stream: StreamConfig {
                    system,
                    voice,
                    input_rate: rate("input_rate", input_rate, SampleRate::Hz16000)?,
                    output_rate: rate("output_rate", output_rate, SampleRate::Hz24000)?,
                    sensitivity: turn_taking.map(sensitivity).transpose()?,
                    max_tokens,
                    top_p,
                    temperature,
                    tools: tools.into_iter().map(tool_spec).collect(),
                    tool_choice: match tool_choice {
                        None => ToolChoice::Auto,
                        Some("any") => ToolChoice::Any,
                        Some(name) => ToolChoice::Tool(name.to_owned()),
                    },
                },
                history: history.into_iter().map(message).collect::<Result<_, _>>()?,
                first_turn,
                continuation: continuation.map(self::continuation).transpose()?,
                asks_overlap,
                device: DeviceRates { input_hz: input_rate, output_hz: output_rate },
                buffers: Buffers {
                    input_ms: milliseconds("Buffers.input", input_buffer)?,
                    output_ms: milliseconds("Buffers.output", output_buffer)?,
                },
                timeouts: timeouts_of(timeouts)?,
                realtime,
                prices: {
                    let (speech_in, text_in, speech_out, text_out) = prices;
                    Prices { speech_in, text_in, speech_out, text_out }
                },
                limits: {
                    let (length, idle, tokens, usd) = limits;
                    let bound = |name, seconds: Option<f64>| seconds.map(|s| duration(name, s)).transpose();
                    Limits {
                        length: bound("Limits.seconds", length)?,
                        idle: bound("Limits.idle_seconds", idle)?,
                        tokens,
                        usd,
                    }
                },
                clock: Arc::new(TokioClock::default()),
            })
        };
        let config = config().map_err(|error| errors::to_py_err(py, &error))?;
        Session::spawn(py, transport, config)
    }

    /// Begins to open a raw stream and returns at once.
    #[pyo3(signature = (*, model, regions, input_bytes, output_bytes, timeouts))]
    fn open_stream(
        &self,
        py: Python<'_>,
        model: String,
        regions: Vec<String>,
        input_bytes: usize,
        output_bytes: usize,
        timeouts: TimeoutsRow,
    ) -> PyResult<RawStream> {
        let transport = Arc::clone(self.0.get(py)?);
        let timeouts = timeouts_of(timeouts).map_err(|error| errors::to_py_err(py, &error))?;
        let config = RawConfig {
            model_id: model,
            regions,
            buffers: RawBuffers { input_bytes, output_bytes },
            timeouts,
            clock: Arc::new(TokioClock::default()),
        };
        RawStream::spawn(py, transport, config)
    }
}

fn invalid(code: &str, message: String) -> Error {
    Error::new(ErrorKind::Config, code, message)
}

/// Of the stream, for a device's.
fn rate(name: &str, hz: u32, otherwise: SampleRate) -> Result<SampleRate, Error> {
    stream_rate(hz, otherwise).ok_or_else(|| {
        invalid("sample_rate", format!("{name} is {hz} Hz.")).with_cure("Rates from 8000 to 192000 Hz are taken.")
    })
}

fn sensitivity(name: &str) -> Result<EndpointingSensitivity, Error> {
    match name {
        "high" => Ok(EndpointingSensitivity::High),
        "medium" => Ok(EndpointingSensitivity::Medium),
        "low" => Ok(EndpointingSensitivity::Low),
        _ => Err(invalid("invalid_turn_taking", format!("turn_taking is {name:?}."))
            .with_cure("Use \"high\", \"medium\", \"low\" or None.")),
    }
}

fn message((role, text): (String, String)) -> Result<Message, Error> {
    let role = match role.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return Err(invalid("invalid_history", format!("a message of history has the role {role:?}."))),
    };
    Ok(Message { role, text })
}

fn continuation(row: ContinuationRow) -> Result<Continuation, Error> {
    let (renew_after, force_after, idle_after, before_expiry, attempts, restarts_per_hour, history_bytes) = row;
    Ok(Continuation {
        renew_after: duration("Continuation.renew_after", renew_after)?,
        force_after: duration("Continuation.force_after", force_after)?,
        idle_after: duration("Continuation.idle_after", idle_after)?,
        before_expiry: duration("Continuation.before_expiry", before_expiry)?,
        attempts,
        restarts_per_hour,
        history_bytes,
    })
}

fn duration(name: &str, seconds: f64) -> Result<Duration, Error> {
    Duration::try_from_secs_f64(seconds).map_err(|_| invalid("invalid_seconds", format!("{name} is {seconds}.")))
}

/// Twin of `Timeouts` in `novasonic/config.py`: open, close, peer, stall, first event, turn.
type TimeoutsRow = (f64, f64, f64, f64, f64, f64);

fn timeouts_of((open, close, peer, stall, first_event, turn): TimeoutsRow) -> Result<Timeouts, Error> {
    Ok(Timeouts {
        open: duration("Timeouts.open", open)?,
        close: duration("Timeouts.close", close)?,
        patience: Patience { peer: duration("Timeouts.peer", peer)?, stall: duration("Timeouts.stall", stall)? },
        answer: AnswerBounds {
            first_event: duration("Timeouts.first_event", first_event)?,
            turn: duration("Timeouts.turn", turn)?,
        },
    })
}

fn milliseconds(name: &str, seconds: f64) -> Result<u64, Error> {
    let duration = duration(name, seconds)?;
    u64::try_from(duration.as_millis()).map_err(|_| invalid("invalid_seconds", format!("{name} is {seconds}.")))
}
