//! The border to Python: the only place that may use pyo3.

#[pyo3::pymodule]
mod _core {}
