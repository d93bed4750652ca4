use super::*;

const ALL: Telling = Telling::All;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn error(kind: ErrorKind, cure: Cure) -> Error {
    Error::new(kind, "test", "Test.").recovering(cure)
}

fn reset() -> Error {
    error(ErrorKind::StreamLost, Cure::Restart)
}

fn restart(after: u64, telling: Telling) -> Verdict {
    Verdict::Restart { after: ms(after), telling }
}

fn recovery() -> Recovery {
    Recovery::new(Continuation { attempts: 8, restarts_per_hour: 30, ..Continuation::default() })
}

#[test]
fn each_cure_is_tried_as_often_as_it_may_help() {
    for (cure, has_history, verdicts) in [
        (Cure::Never, true, vec![Verdict::GiveUp]),
        (Cure::Restart, true, vec![restart(0, ALL), restart(250, ALL), restart(500, ALL), restart(1_000, ALL)]),
        (Cure::BackOff, true, vec![restart(1_000, ALL), restart(2_000, ALL), restart(4_000, ALL), restart(8_000, ALL)]),
        (Cure::RestartOnce, true, vec![restart(0, ALL), Verdict::GiveUp]),
        (Cure::TrimHistory, true, vec![restart(0, Telling::Half), Verdict::GiveUp]),
        (Cure::TrimHistory, false, vec![Verdict::GiveUp]),
        (Cure::WithoutHistory, true, vec![restart(0, Telling::Nothing), Verdict::GiveUp]),
        (Cure::WithoutHistory, false, vec![Verdict::GiveUp]),
    ] {
        let mut recovery = recovery();
        for verdict in verdicts {
            let broke = error(ErrorKind::Connect, cure);
            assert_eq!(recovery.lost(&broke, has_history, ms(1), 1.0), verdict, "{cure:?}");
        }
    }
}

/// The service sees a history only after a restart: that restart must not count against its trimming.
#[test]
fn a_history_is_trimmed_or_left_out_after_other_losses_too() {
    for (cure, telling) in [(Cure::TrimHistory, Telling::Half), (Cure::WithoutHistory, Telling::Nothing)] {
        let mut recovery = recovery();
        assert_eq!(recovery.lost(&reset(), false, ms(1), 1.0), restart(0, ALL));
        let refused = error(ErrorKind::Validation, cure);
        assert_eq!(recovery.lost(&refused, true, ms(2), 1.0), restart(250, telling));
    }
    // What is left out stays out until the conversation gets on.
    let mut recovery = recovery();
    recovery.lost(&error(ErrorKind::Validation, Cure::WithoutHistory), true, ms(1), 1.0);
    assert_eq!(recovery.lost(&reset(), false, ms(2), 1.0), restart(250, Telling::Nothing));
    recovery.got_on(ms(3));
    assert_eq!(recovery.lost(&reset(), false, ms(4), 1.0), restart(0, ALL));
}

#[test]
fn waits_are_spread_and_bounded() {
    let mut recovery = Recovery::new(Continuation { attempts: 100, restarts_per_hour: 100, ..Continuation::default() });
    let mut waits = |cure, chance| match recovery.lost(&error(ErrorKind::Connect, cure), false, ms(1), chance) {
        Verdict::Restart { after, .. } => after,
        Verdict::GiveUp => panic!("given up"),
    };
    assert_eq!(waits(Cure::Restart, 0.0), ms(0));
    assert_eq!(waits(Cure::Restart, 0.0), ms(125));
    assert_eq!(waits(Cure::Restart, 0.5), ms(375));
    for _ in 0..60 {
        waits(Cure::Restart, 1.0);
    }
    assert_eq!((waits(Cure::Restart, 7.0), waits(Cure::BackOff, 0.0)), (ms(10_000), ms(5_000)));
}

#[test]
fn attempts_in_a_row_are_bounded() {
    let mut recovery = recovery();
    for _ in 0..8 {
        assert_ne!(recovery.lost(&reset(), false, ms(1), 0.0), Verdict::GiveUp);
    }
    assert_eq!(recovery.lost(&reset(), false, ms(1), 0.0), Verdict::GiveUp);
    recovery.got_on(ms(2));
    assert_eq!(recovery.lost(&reset(), false, ms(3), 0.0), restart(0, ALL), "it got on");
}

#[test]
fn restarts_in_an_hour_are_bounded_but_for_ends_that_were_due() {
    let hour = Duration::from_hours(1);
    for (code, bounded) in [("test", true), (crate::error::STREAM_LIMIT, false), (crate::error::IDLE, false)] {
        let mut recovery = recovery();
        let end = Error::new(ErrorKind::StreamLost, code, "Test.");
        for second in 0..30 {
            recovery.opened(Duration::from_secs(second));
            assert_ne!(recovery.lost(&end, false, Duration::from_secs(second), 0.0), Verdict::GiveUp);
            recovery.got_on(Duration::from_secs(second));
        }
        recovery.opened(hour.saturating_sub(ms(2)));
        let last = recovery.lost(&end, false, hour.saturating_sub(ms(1)), 0.0);
        assert_eq!(last == Verdict::GiveUp, bounded, "{code}");
        assert_ne!(recovery.lost(&end, false, hour, 0.0), Verdict::GiveUp, "an hour after the first");
    }
}

/// Where nobody speaks, the service ends stream after stream, and nobody gets on.
#[test]
fn a_stream_that_lived_was_no_failed_attempt() {
    let mut recovery = recovery();
    let idle = Error::new(ErrorKind::StreamLost, crate::error::IDLE, "Idle.");
    for minute in 0..40 {
        let opened = Duration::from_mins(minute);
        recovery.opened(opened);
        assert_eq!(recovery.lost(&idle, false, opened + ms(30_000), 1.0), restart(0, ALL));
    }
    let hour = Duration::from_hours(1);
    for (life, verdict) in [(2_000, restart(0, ALL)), (1_999, restart(250, ALL)), (1_999, restart(500, ALL))] {
        recovery.opened(hour);
        assert_eq!(recovery.lost(&idle, false, hour + ms(life), 1.0), verdict, "short lives wait longer");
    }
}

/// Not even where it falls ten times in a minute.
#[test]
fn a_connection_that_opens_is_not_given_up() {
    let mut recovery = recovery();
    for second in 0..29 {
        recovery.opened(Duration::from_secs(second));
        assert_ne!(recovery.lost(&reset(), false, Duration::from_secs(second), 0.0), Verdict::GiveUp);
        // Each is replaced at the second attempt; those do not count as losses.
        assert_ne!(recovery.lost(&reset(), false, Duration::from_secs(second), 0.0), Verdict::GiveUp);
    }
}

#[test]
fn a_history_that_kills_streams_is_left_out_once() {
    for (kind, deaths) in [(ErrorKind::Service, 2), (ErrorKind::StreamLost, 4)] {
        let mut recovery = recovery();
        let dies = error(kind, Cure::Restart);
        for death in 1..=deaths {
            recovery.told(ms(0));
            let telling = if death == deaths { Telling::Nothing } else { ALL };
            let verdict = recovery.lost(&dies, true, ms(9_999), 0.0);
            assert!(matches!(verdict, Verdict::Restart { telling: told, .. } if told == telling), "{kind:?} {death}");
        }
        recovery.told(ms(0));
        assert!(
            matches!(recovery.lost(&dies, true, ms(1), 0.0), Verdict::Restart { telling: Telling::All, .. }),
            "once"
        );
    }
}

#[test]
fn a_history_is_not_suspected_of_what_it_did_not_do() {
    // Late deaths, refusals, and deaths of streams that were told nothing.
    for (kind, told, at) in [
        (ErrorKind::Service, true, 10_000),
        (ErrorKind::Connect, true, 1),
        (ErrorKind::Throttled, true, 1),
        (ErrorKind::Service, false, 1),
    ] {
        let mut recovery = recovery();
        for _ in 0..5 {
            if told {
                recovery.told(ms(0));
            }
            let verdict = recovery.lost(&error(kind, Cure::Restart), told, ms(at), 0.0);
            assert!(matches!(verdict, Verdict::Restart { telling: Telling::All, .. }), "{kind:?} {told} {at}");
        }
    }
    // A stream that lived on with it clears it.
    let mut recovery = recovery();
    let dies = error(ErrorKind::Service, Cure::Restart);
    recovery.told(ms(0));
    recovery.lost(&dies, true, ms(1), 0.0);
    recovery.told(ms(0));
    recovery.got_on(ms(10_000));
    recovery.told(ms(10_001));
    assert!(matches!(recovery.lost(&dies, true, ms(10_002), 0.0), Verdict::Restart { telling: Telling::All, .. }));
}
