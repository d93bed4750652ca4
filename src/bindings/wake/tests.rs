use std::{
    os::fd::BorrowedFd,
    sync::{Mutex, PoisonError},
    thread,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;

fn readable(wake: &Wake, wait_ms: i64) -> bool {
    let fd = wake.signal_fd();
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    let timeout = Timespec { tv_sec: wait_ms / 1_000, tv_nsec: (wait_ms % 1_000) * 1_000_000 };
    poll(&mut fds, Some(&timeout)).unwrap() == 1
}

impl Wake {
    fn signal_fd(&self) -> BorrowedFd<'_> {
        #[cfg(target_os = "linux")]
        return std::os::fd::AsFd::as_fd(&self.signal.0);
        #[cfg(not(target_os = "linux"))]
        return std::os::fd::AsFd::as_fd(&self.signal.reader);
    }
}

#[test]
fn a_burst_raises_the_signal_once_and_one_clear_lowers_it() {
    let wake = Wake::new().unwrap();
    assert!(!readable(&wake, 0));
    for _ in 0..1_000 {
        wake.notify();
    }
    assert!(readable(&wake, 0));
    wake.clear();
    assert!(!readable(&wake, 0));
    wake.notify();
    assert!(readable(&wake, 0), "a notify after a clear must raise it again");
}

#[test]
fn no_wake_up_is_lost_between_threads() {
    const ITEMS: usize = 50_000;
    let wake = Wake::new().unwrap();
    let queue = Arc::new(Mutex::new(0_usize));
    let producers: Vec<_> = (0..2)
        .map(|_| {
            let (wake, queue) = (Arc::clone(&wake), Arc::clone(&queue));
            thread::spawn(move || {
                for _ in 0..ITEMS / 2 {
                    *queue.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                    wake.notify();
                }
            })
        })
        .collect();
    let mut taken = 0;
    while taken < ITEMS {
        assert!(readable(&wake, 5_000), "{taken} of {ITEMS} taken, then no wake-up");
        wake.clear();
        taken += std::mem::take(&mut *queue.lock().unwrap());
    }
    for producer in producers {
        producer.join().unwrap();
    }
}
