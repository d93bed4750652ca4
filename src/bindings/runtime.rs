//! The Tokio runtime of this process: lazy, ours, gone before the interpreter is, and never shared over a fork.
//!
//! The global runtime of pyo3-async-runtimes cannot be shut down, and its threads attach to an interpreter that is
//! being torn down: 8 of 40 processes crashed at exit with streams in flight. Ours is shut down from `atexit`, with
//! the thread detached and a deadline: 0 of 100.
//!
//! Worker threads do not survive `fork`, and any lock may be held by one of them at that moment. So whoever needs
//! the runtime compares PIDs first, and a child gets a slot of its own instead of a look into its parent's.

use std::{
    future::Future,
    io, mem,
    num::NonZero,
    pin::Pin,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};

use pyo3::{exceptions::PyRuntimeError, prelude::*, types::PyDict};
use pyo3_async_runtimes::{TaskLocals, generic};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::JoinHandle,
};

use super::errors;

/// Two workers carry hundreds of streams (their work is TLS records and base64, some 20 us a frame); the second one
/// is there so that a handshake or a decode in one stream does not hold up the others. More would only compete with
/// the interpreter for cores.
const MAX_WORKERS: usize = 2;
/// Name lookups and hand-overs of open and close; each is short.
const MAX_BLOCKING_THREADS: usize = 32;
/// How long exit may wait for tasks that are between two awaits.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(1);

enum State {
    Unbuilt,
    Running(Runtime),
    ShutDown,
}

/// The runtime of one process. A fork appends a slot; those before it are left alone for ever, since dropping a
/// runtime joins threads that do not exist here.
struct Slot {
    pid: u32,
    state: Mutex<State>,
    next: OnceLock<Box<Slot>>,
}

static FIRST: OnceLock<Slot> = OnceLock::new();

impl Slot {
    fn new() -> Self {
        Self { pid: std::process::id(), state: Mutex::new(State::Unbuilt), next: OnceLock::new() }
    }

    /// The slot of the running process, appended if the last one is an ancestor's. Takes no lock of an ancestor.
    fn current() -> &'static Self {
        let pid = std::process::id();
        let mut slot = FIRST.get_or_init(Self::new);
        while let Some(next) = slot.next.get() {
            slot = next;
        }
        // Only the last slot counts: a grandchild may be given the PID of an ancestor that is long dead.
        if slot.pid == pid { slot } else { slot.next.get_or_init(|| Box::new(Self::new())) }
    }

    fn handle(&self) -> Result<Handle, Unavailable> {
        // A panic under this lock leaves the state as it was.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Running(runtime) => Ok(runtime.handle().clone()),
            State::ShutDown => Err(Unavailable::ShutDown),
            State::Unbuilt => {
                let runtime = build().map_err(Unavailable::Build)?;
                let handle = runtime.handle().clone();
                *state = State::Running(runtime);
                Ok(handle)
            }
        }
    }

    fn shut_down(&self) {
        let state = mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), State::ShutDown);
        if let State::Running(runtime) = state {
            runtime.shutdown_timeout(SHUTDOWN_LIMIT);
        }
    }
}

#[derive(Debug)]
enum Unavailable {
    ShutDown,
    Build(io::Error),
}

fn build() -> io::Result<Runtime> {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    Builder::new_multi_thread()
        .worker_threads(cores.min(MAX_WORKERS))
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .thread_name_fn(|| format!("novasonic-io-{}", THREADS.fetch_add(1, Ordering::Relaxed)))
        .enable_all()
        .build()
}

/// The runtime of this process, built at the first call.
pub(crate) fn handle(py: Python<'_>) -> PyResult<Handle> {
    register_hooks(py)?;
    // Building starts threads; none of them attaches, so holding the interpreter meanwhile cannot deadlock.
    Slot::current().handle().map_err(|unavailable| match unavailable {
        Unavailable::ShutDown => PyRuntimeError::new_err(
            "novasonic was already shut down because the interpreter is exiting. Open sessions before exit handlers run.",
        ),
        Unavailable::Build(error) => {
            PyRuntimeError::new_err(format!("novasonic could not start its I/O threads: {error}"))
        }
    })
}

/// Registers the exit and fork hooks at the first use, not at import.
fn register_hooks(py: Python<'_>) -> PyResult<()> {
    static REGISTERED: OnceLock<()> = OnceLock::new();
    if REGISTERED.get().is_some() {
        return Ok(());
    }
    let exit = wrap_pyfunction!(shut_down_at_exit, py)?;
    py.import("atexit")?.call_method1("register", (exit,))?;
    let hooks = PyDict::new(py);
    hooks.set_item("after_in_child", wrap_pyfunction!(forget_parent_after_fork, py)?)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&hooks))?;
    // Two threads may both get here on a free-threaded build; both hooks are idempotent.
    let _ = REGISTERED.set(());
    Ok(())
}

#[pyfunction]
fn shut_down_at_exit(py: Python<'_>) {
    // A forked child inherits the registration; its own slot is then empty.
    // Detached, because a thread that is handing over a result must be able to attach and finish.
    py.detach(|| Slot::current().shut_down());
}

#[pyfunction]
fn forget_parent_after_fork() {
    Slot::current();
}

/// A value that belongs to the process that made it.
///
/// A child of that process gets `ForkError` instead, and does not run its destructor: it would take locks and wake
/// threads that live in the parent only.
pub(crate) struct OfProcess<T> {
    pid: u32,
    what: &'static str,
    value: Option<T>,
}

impl<T> OfProcess<T> {
    /// `what` names the thing in the error ("Session").
    pub(crate) fn new(what: &'static str, value: T) -> Self {
        Self { pid: std::process::id(), what, value: Some(value) }
    }

    pub(crate) fn get(&self, py: Python<'_>) -> PyResult<&T> {
        match &self.value {
            Some(value) if self.pid == std::process::id() => Ok(value),
            _ => Err(errors::fork_error(py, self.what, self.pid)),
        }
    }
}

impl<T> Drop for OfProcess<T> {
    fn drop(&mut self) {
        if self.pid != std::process::id() {
            mem::forget(self.value.take());
        }
    }
}

/// Turns `future` into an `asyncio` future of the running loop.
///
/// For opening and closing only: it costs 85 to 105 us, and drops its result if the caller was cancelled meanwhile.
pub(crate) fn future_into_py<F, T>(py: Python<'_>, future: F) -> PyResult<Bound<'_, PyAny>>
where
    F: Future<Output = T> + Send + 'static,
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    generic::future_into_py::<OwnRuntime, _, _>(py, async move { Ok(future.await) })
}

/// Lets pyo3-async-runtimes run on our runtime.
struct OwnRuntime;

/// A task's end, or the news that there was no runtime to start it on.
struct Spawned(Option<JoinHandle<()>>);

struct NotFinished(Option<tokio::task::JoinError>);

impl Future for Spawned {
    type Output = Result<(), NotFinished>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Some(handle) => Pin::new(handle).poll(context).map_err(|error| NotFinished(Some(error))),
            None => Poll::Ready(Err(NotFinished(None))),
        }
    }
}

impl generic::JoinError for NotFinished {
    fn is_panic(&self) -> bool {
        self.0.as_ref().is_some_and(tokio::task::JoinError::is_panic)
    }

    fn into_panic(self) -> Box<dyn std::any::Any + Send + 'static> {
        match self.0 {
            Some(error) if error.is_panic() => error.into_panic(),
            _ => Box::new("the task was dropped"),
        }
    }
}

impl generic::Runtime for OwnRuntime {
    type JoinError = NotFinished;
    type JoinHandle = Spawned;

    fn spawn<F>(future: F) -> Spawned
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Spawned(Slot::current().handle().ok().map(|runtime| runtime.spawn(future)))
    }

    fn spawn_blocking<F>(work: F) -> Spawned
    where
        F: FnOnce() + Send + 'static,
    {
        Spawned(Slot::current().handle().ok().map(|runtime| runtime.spawn_blocking(work)))
    }
}

/// Task locals tell Rust which loop and context to call Python coroutines with; ours never calls any.
impl generic::ContextExt for OwnRuntime {
    fn scope<F, R>(_locals: TaskLocals, future: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        Box::pin(future)
    }

    fn get_task_locals() -> Option<TaskLocals> {
        None
    }
}
