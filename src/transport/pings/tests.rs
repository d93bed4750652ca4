use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

const TALKING: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(15);
const ANSWERED: Duration = Duration::from_millis(1_200);
const FOREVER: Duration = Duration::from_hours(2);

struct World {
    calm: Arc<AtomicBool>,
    timer: PingTimer,
}

impl World {
    fn new() -> Self {
        let calm = Arc::new(AtomicBool::new(false));
        let pulse = Arc::new(Pulse::new(Arc::clone(&calm)));
        let bounds = Bounds { talking: TALKING, idle: IDLE, answer: ANSWERED };
        Self { calm, timer: PingTimer { pulse, bounds } }
    }

    fn need(&self) -> Pin<Box<dyn Sleep>> {
        self.timer.sleep_until(self.timer.now())
    }

    fn answer(&self) -> Pin<Box<dyn Sleep>> {
        self.timer.sleep_until(self.timer.now() + ANSWER)
    }

    fn pulse(&self) -> &Pulse {
        &self.timer.pulse
    }
}

async fn took(sleep: impl Future<Output = ()>) -> Option<Duration> {
    let began = Instant::now();
    tokio::time::timeout(FOREVER, sleep).await.ok().map(|()| began.elapsed())
}

fn is_pending(sleep: &mut Pin<Box<dyn Sleep>>) -> bool {
    sleep.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending()
}

fn close_to(took: Option<Duration>, expected: Duration) -> bool {
    took.is_some_and(|took| took.abs_diff(expected) <= Duration::from_millis(30))
}

#[tokio::test(start_paused = true)]
async fn who_sends_and_hears_nothing_asks_soon_and_who_is_idle_late() {
    let world = World::new();
    assert!(close_to(took(world.need()).await, IDLE));
    world.pulse().note_sent();
    // Silent for fifteen seconds already.
    assert!(close_to(took(world.need()).await, Duration::ZERO));
    world.pulse().note_read();
    world.pulse().note_sent();
    tokio::time::advance(Duration::from_millis(1)).await;
    world.pulse().note_sent();
    assert!(close_to(took(world.need()).await, TALKING));
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_later_brings_the_ping_forward() {
    let world = World::new();
    let mut need = world.need();
    assert!(tokio::time::timeout(Duration::from_secs(5), &mut need).await.is_err());
    world.pulse().note_sent();
    // The connection is polled as it writes.
    assert!(close_to(took(need).await, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_heard_is_not_asked() {
    let world = World::new();
    let mut need = world.need();
    for _ in 0..50 {
        world.pulse().note_sent();
        assert!(tokio::time::timeout(Duration::from_millis(900), &mut need).await.is_err());
        world.pulse().note_read();
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_is_missed() {
    let world = World::new();
    assert!(!world.pulse().is_doubtful());
    let answer = world.answer();
    assert!(!world.pulse().is_doubtful(), "it may be on its way");
    assert!(close_to(took(answer).await, ANSWERED + LAST_LOOK));
    assert!(world.pulse().is_doubtful());
    world.pulse().note_read();
    assert!(!world.pulse().is_doubtful());
}

#[tokio::test(start_paused = true)]
async fn any_byte_is_an_answer() {
    let world = World::new();
    let mut answer = world.answer();
    for _ in 0..20 {
        assert!(tokio::time::timeout(Duration::from_secs(1), &mut answer).await.is_err());
        world.pulse().note_read();
    }
    assert!(close_to(took(answer).await, ANSWERED + LAST_LOOK));
}

#[tokio::test(start_paused = true)]
async fn who_did_not_run_looks_again_before_it_judges() {
    let world = World::new();
    let mut answer = world.answer();
    assert!(is_pending(&mut answer));
    // Nobody polls for three seconds; then the timer is looked at before the socket.
    tokio::time::advance(Duration::from_secs(3)).await;
    assert!(is_pending(&mut answer));
    world.pulse().note_read();
    assert!(close_to(took(answer).await, ANSWERED + LAST_LOOK));

    // And where there is nothing to read, it ends all the same.
    let mut answer = world.answer();
    tokio::time::advance(Duration::from_secs(3)).await;
    assert!(close_to(took(&mut answer).await, LATE_GRACE));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_wants_calm_is_neither_asked_nor_missed() {
    let world = World::new();
    let (need, answer) = (world.need(), world.answer());
    world.pulse().note_sent();
    world.calm.store(true, Ordering::Relaxed);
    assert_eq!((took(need).await, took(answer).await), (None, None));
    assert!(!world.pulse().is_doubtful(), "no answer is due");
}
