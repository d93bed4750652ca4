//! The border to Python: the only place that may use pyo3.
//!
//! Wake-ups travel by descriptor ([`wake`]), data by queues that the event loop's own thread drains; Tokio threads
//! never touch a Python object on that path. Signatures are in `python/novasonic/_core.pyi`, documentation on the
//! Python facade.

mod audio;
mod client;
mod emulator;
mod errors;
mod event;
mod live;
mod raw;
mod runtime;
mod session;
mod wake;

#[pyo3::pymodule]
mod _core {
    use pyo3::{prelude::*, types::PyModule};

    use super::{errors, event};

    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_export]
    use super::audio::{Resampler, decode_g711, encode_g711, level, resample, to_mono};
    #[pymodule_export]
    use super::client::Client;
    #[pymodule_export]
    use super::emulator::Emulator;
    #[pymodule_export]
    use super::raw::RawStream;
    #[pymodule_export]
    use super::session::Session;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        // What Rust sends and raises, for the tests that compare it with events.py and exceptions.py.
        module.add("EVENT_FIELDS", event::EVENT_FIELDS.to_vec())?;
        module.add("ERROR_CLASSES", errors::KINDS.map(errors::class_name).to_vec())
    }
}
