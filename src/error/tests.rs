use super::*;

const KINDS: [ErrorKind; 13] = [
    ErrorKind::Config,
    ErrorKind::AudioFormat,
    ErrorKind::Credentials,
    ErrorKind::AccessDenied,
    ErrorKind::Certificate,
    ErrorKind::Connect,
    ErrorKind::Timeout,
    ErrorKind::Throttled,
    ErrorKind::Validation,
    ErrorKind::Service,
    ErrorKind::StreamLost,
    ErrorKind::Closed,
    ErrorKind::Internal,
];

#[test]
fn what_may_be_retried_is_recovered_and_the_rest_is_not() {
    for kind in KINDS {
        let error = Error::new(kind, "code", "message");
        assert_eq!(error.retryable, error.recovery() != Recovery::Never, "{kind:?}");
        let changed = error.clone().retryable(!error.retryable);
        assert_eq!(changed.retryable, changed.recovery() != Recovery::Never, "{kind:?}");
        assert_ne!(changed.recovery(), error.recovery(), "{kind:?}");
    }
}

#[test]
fn what_needs_a_change_is_not_retryable_as_it_is() {
    for (recovery, retryable) in [
        (Recovery::Restart, true),
        (Recovery::BackOff, true),
        (Recovery::RestartOnce, false),
        (Recovery::TrimHistory, false),
        (Recovery::WithoutHistory, false),
        (Recovery::Never, false),
    ] {
        let error = Error::new(ErrorKind::Validation, "code", "message").recovering(recovery);
        assert_eq!((error.recovery(), error.retryable), (recovery, retryable));
        // Saying again what is so changes nothing.
        assert_eq!(error.clone().retryable(retryable), error);
    }
}

#[test]
fn an_idle_end_tells_its_limit() {
    let idle = |message| Error::new(ErrorKind::StreamLost, IDLE, message).idle_limit();
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(idle("InternalErrorCode=532::Timed out: gaps must be less than 55 seconds."), seconds(55));
    assert_eq!(idle("Timed out: less than 295 seconds between, 3 seconds ago"), seconds(295));
    assert_eq!(idle("Timed out waiting for input events."), None);
    assert_eq!(idle("Timed out after some seconds"), None);
    assert_eq!(idle("Timed out after 99999999999999999999999 seconds"), None);
    assert_eq!(Error::new(ErrorKind::Service, "other", "in 55 seconds").idle_limit(), None);
}

#[test]
fn only_ends_that_had_to_come_are_planned() {
    for (code, planned) in [(IDLE, true), (STREAM_LIMIT, true), (PEER_SILENT, false), ("stream_reset", false)] {
        assert_eq!(Error::new(ErrorKind::StreamLost, code, "").is_planned_end(), planned, "{code}");
    }
}
