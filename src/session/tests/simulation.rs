//! Whole conversations drawn from a seed: people who speak, hurry, barge in and type, a service that understands and
//! answers them, and everything that may befall a stream. What was promised must hold at the end of each.
//!
//! `NOVASONIC_SIMULATIONS=100000` plays so many, `NOVASONIC_SEED=n` one of them again, telling all that happens.

mod dice;
mod model;
mod reader;
mod service;
mod user;
mod world;

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dice::Dice;
use tokio::time::Instant;
use user::User;
use world::{World, lock};

use super::{Host, config, service};
use crate::{
    conversation::EndReason,
    protocol::SampleRate,
    session::{Clock, DeviceRates, SessionConfig, TokioClock},
    transport::BoxFuture,
};

/// In `cargo test`; `make simulation` plays more.
const FEW: u64 = 2_000;
/// Seeds that fail until it gives up.
const ENOUGH: usize = 10;

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

fn is_replay() -> bool {
    env::var_os("NOVASONIC_SEED").is_some()
}

#[derive(Default)]
struct Figures {
    streams: AtomicU64,
    faults: AtomicU64,
    renewals: AtomicU64,
    turns: AtomicU64,
    ended_early: AtomicU64,
}

#[test]
fn simulation() {
    let figures = Figures::default();
    if let Some(seed) = number("NOVASONIC_SEED") {
        play(seed, &figures);
        return;
    }
    let count = number("NOVASONIC_SIMULATIONS").unwrap_or(FEW);
    let base = number("NOVASONIC_SEED_BASE").unwrap_or(0);
    let next = AtomicU64::new(0);
    let failed = Mutex::new(Vec::new());
    let begin = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, std::num::NonZero::get) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= count || failed.lock().unwrap().len() >= ENOUGH {
                        return;
                    }
                    if catch_unwind(AssertUnwindSafe(|| play(base + seed, &figures))).is_err() {
                        eprintln!("NOVASONIC_SEED={} plays this again", base + seed);
                        failed.lock().unwrap().push(base + seed);
                    }
                }
            });
        }
    });
    let of = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
    eprintln!(
        "{count} conversations from seed {base} in {:.1} s: {} turns, {} streams, {} faults, {} renewals, {} ended early",
        begin.elapsed().as_secs_f64(),
        of(&figures.turns),
        of(&figures.streams),
        of(&figures.faults),
        of(&figures.renewals),
        of(&figures.ended_early),
    );
    assert_eq!(failed.into_inner().unwrap(), [0_u64; 0], "seeds that failed");
}

/// Tokio's clock, whose dice are the seed's.
struct SeededClock(TokioClock, Mutex<Dice>);

impl Clock for SeededClock {
    fn now(&self) -> Duration {
        self.0.now()
    }

    fn sleep_until(&self, deadline: Duration) -> BoxFuture<()> {
        self.0.sleep_until(deadline)
    }

    fn chance(&self) -> f64 {
        f64::from(u32::try_from(self.1.lock().unwrap().within(0, 1_000)).unwrap()) / 1_000.0
    }
}

fn play(seed: u64, figures: &Figures) {
    let world = World::shared(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let played = catch_unwind(AssertUnwindSafe(|| runtime.block_on(conversation(&world, figures))));
    drop(runtime);
    if let Err(why) = played {
        resume_unwind(why);
    }
}

async fn conversation(world: &world::SharedWorld, figures: &Figures) {
    let begin = Instant::now();
    let (transport, memory) = service();
    let (weather, asks_overlap) = {
        let world = lock(world);
        (world.weather.clone(), world.asks)
    };
    lock(world).note(Duration::ZERO, || format!("{weather:?}"));
    let mut settings = SessionConfig {
        continuation: Some(weather.continuation.clone()),
        asks_overlap,
        realtime: true,
        device: DeviceRates { input_hz: 8_000, output_hz: 8_000 },
        clock: Arc::new(SeededClock(TokioClock::default(), Mutex::new(lock(world).dice(2)))),
        ..config()
    };
    settings.stream.input_rate = SampleRate::Hz8000;
    settings.stream.output_rate = SampleRate::Hz8000;
    let host = Host::spawn(&transport, settings);
    drop(transport);
    let mut user = User::new(host, world.clone(), begin);
    let mut all_said = false;
    {
        let serves = service::serve(memory, world.clone(), begin);
        let talks = async {
            all_said = user.talk().await;
            if all_said {
                user.closes().await;
            }
        };
        tokio::pin!(serves, talks);
        tokio::select! {
            biased;
            () = &mut serves => talks.await,
            () = &mut talks => {}
        }
    }
    let (reason, code) = user.reader.end.clone().unwrap();
    if all_said {
        assert_eq!((reason, code), (EndReason::Closed, None), "after all was said");
        user.check();
    } else {
        let may_end = lock(world).may_end.clone();
        assert!(!may_end.is_empty(), "the conversation ended by {code:?}, which is no reason to");
        figures.ended_early.fetch_add(1, Ordering::Relaxed);
    }
    let world = lock(world);
    figures.turns.fetch_add(user.reader.turns(), Ordering::Relaxed);
    figures.streams.fetch_add(world.streams.len() as u64, Ordering::Relaxed);
    figures.faults.fetch_add(u64::from(world.faults), Ordering::Relaxed);
    figures.renewals.fetch_add(u64::from(user.reader.renewed), Ordering::Relaxed);
}
