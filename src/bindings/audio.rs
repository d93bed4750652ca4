//! `crate::audio` for `novasonic/audio.py`: bytes in, bytes out.

use std::sync::{Mutex, TryLockError};

use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict},
};

use super::errors;
use crate::{
    audio::{self, Form, Law, Level, SAMPLE_BYTES},
    error::{Error, ErrorKind},
};

/// Below this the work takes some 0.1 ms at most, and to let go of the interpreter and wait for it again costs more.
const SHORT_BYTES: usize = 16_384;

/// Runs `work` on `data` with the interpreter released where it is long.
fn away<T: Send>(py: Python<'_>, data: &[u8], work: impl Fn(&[u8]) -> T + Send + Sync) -> T {
    if data.len() < SHORT_BYTES { work(data) } else { py.detach(|| work(data)) }
}

fn whole(py: Python<'_>, pcm: &[u8]) -> PyResult<()> {
    if pcm.len().is_multiple_of(SAMPLE_BYTES) {
        return Ok(());
    }
    let message = format!("The audio has {} bytes, which is not a whole number of 16-bit samples.", pcm.len());
    let error = Error::new(ErrorKind::AudioFormat, "odd_audio", message)
        .with_cure("Give PCM16 little-endian mono, and cut it between samples.");
    Err(errors::to_py_err(py, &error))
}

fn resampler(py: Python<'_>, from_hz: u32, to_hz: u32) -> PyResult<audio::Resampler> {
    audio::Resampler::new(from_hz, to_hz).ok_or_else(|| {
        let error = Error::new(ErrorKind::Config, "sample_rate", format!("From {from_hz} to {to_hz} Hz."))
            .with_cure("Rates from 1,000 to 384,000 Hz can be converted.");
        errors::to_py_err(py, &error)
    })
}

fn law(py: Python<'_>, name: &str) -> PyResult<Law> {
    match name {
        "mu" => Ok(Law::Mu),
        "a" => Ok(Law::A),
        _ => {
            let error = Error::new(ErrorKind::Config, "invalid_law", format!("law is {name:?}."));
            Err(errors::to_py_err(py, &error.with_cure("Use \"mu\" or \"a\".")))
        }
    }
}

/// PCM16LE mono at another rate.
#[pyfunction]
pub(super) fn resample<'py>(py: Python<'py>, pcm: &[u8], from_hz: u32, to_hz: u32) -> PyResult<Bound<'py, PyBytes>> {
    let resampler = Resampler::new(py, from_hz, to_hz)?;
    resampler.work(py, pcm, true)
}

#[pyclass(frozen, module = "novasonic._core")]
pub(super) struct Resampler(Mutex<audio::Resampler>);

#[pymethods]
impl Resampler {
    #[new]
    fn new(py: Python<'_>, from_hz: u32, to_hz: u32) -> PyResult<Self> {
        Ok(Self(Mutex::new(resampler(py, from_hz, to_hz)?)))
    }

    fn push<'py>(&self, py: Python<'py>, pcm: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        self.work(py, pcm, false)
    }

    fn flush<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.work(py, &[], true)
    }
}

impl Resampler {
    fn work<'py>(&self, py: Python<'py>, pcm: &[u8], flush: bool) -> PyResult<Bound<'py, PyBytes>> {
        whole(py, pcm)?;
        let out = away(py, pcm, |pcm| {
            // Not waiting: pieces from two threads have no order, and the child of a fork could wait for ever.
            let mut resampler = match self.0.try_lock() {
                Ok(resampler) => resampler,
                // What a panic leaves behind is still a filter.
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return None,
            };
            let samples: Vec<i16> = audio::samples(pcm).collect();
            let mut out = Vec::new();
            resampler.push(&samples, &mut out);
            if flush {
                resampler.flush(&mut out);
            }
            Some(audio::bytes(out))
        });
        Ok(PyBytes::new(py, &out.ok_or_else(|| busy(py))?))
    }
}

fn busy(py: Python<'_>) -> PyErr {
    let build = || -> PyResult<PyErr> {
        let fields = PyDict::new(py);
        fields.set_item("code", "resampler_in_use")?;
        fields.set_item("cure", "Give each stream of audio a Resampler of its own.")?;
        let class = py.import("novasonic.exceptions")?.getattr("ConcurrencyError")?;
        Ok(PyErr::from_value(class.call(("Two threads use one Resampler at once.",), Some(&fields))?))
    };
    build().unwrap_or_else(|failure| failure)
}

/// G.711 ("mu" or "a") as PCM16LE at the same rate.
#[pyfunction]
pub(super) fn decode_g711<'py>(py: Python<'py>, data: &[u8], law: &str) -> PyResult<Bound<'py, PyBytes>> {
    let law = self::law(py, law)?;
    let pcm = away(py, data, |data| audio::bytes(data.iter().map(|code| law.decode(*code))));
    Ok(PyBytes::new(py, &pcm))
}

#[pyfunction]
pub(super) fn encode_g711<'py>(py: Python<'py>, pcm: &[u8], law: &str) -> PyResult<Bound<'py, PyBytes>> {
    let law = self::law(py, law)?;
    whole(py, pcm)?;
    let data: Vec<u8> = away(py, pcm, |pcm| audio::samples(pcm).map(|sample| law.encode(sample)).collect());
    Ok(PyBytes::new(py, &data))
}

/// `(rms, peak)` in parts of full scale.
#[pyfunction]
pub(super) fn level(py: Python<'_>, pcm: &[u8]) -> PyResult<(f64, f64)> {
    whole(py, pcm)?;
    let Level { rms, peak } = away(py, pcm, |pcm| Level::of(audio::samples(pcm)));
    Ok((rms, peak))
}

/// Interleaved channels of another sample format as PCM16LE mono. `form` is `novasonic.audio`'s name for it.
#[pyfunction]
pub(super) fn to_mono<'py>(py: Python<'py>, data: &[u8], form: &str, channels: usize) -> PyResult<Bound<'py, PyBytes>> {
    let format_error = |message: String| {
        let error = Error::new(ErrorKind::AudioFormat, "audio_type", message);
        errors::to_py_err(py, &error)
    };
    let form = match form {
        "u8" => Form::U8,
        "i16" => Form::I16,
        "i24" => Form::I24,
        "i32" => Form::I32,
        "f32" => Form::F32,
        "f64" => Form::F64,
        other => return Err(format_error(format!("No sample format is called {other:?}."))),
    };
    let pcm = away(py, data, |data| form.to_mono(data, channels)).ok_or_else(|| {
        format_error(format!("{} bytes are no whole number of frames of {channels} samples.", data.len()))
    })?;
    Ok(PyBytes::new(py, &pcm))
}
