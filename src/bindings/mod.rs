//! The border to Python: the only place that may use pyo3.
//!
//! Wake-ups travel by descriptor ([`wake`]), data by queues that the event loop's own thread drains; Tokio threads
//! never touch a Python object on that path. Signatures are in `python/novasonic/_core.pyi`, documentation on the
//! Python facade.

mod errors;
mod runtime;
mod wake;

#[pyo3::pymodule]
mod _core {
    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
