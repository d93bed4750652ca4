use std::time::Duration;

use super::*;

fn start(settings: Settings) -> io::Result<Emulator> {
    Emulator::start(settings)
}

#[test]
fn only_this_machine_may_reach_it_unless_allowed() {
    let settings = Settings { host: "0.0.0.0".parse().unwrap(), ..Settings::default() };
    let error = start(settings.clone()).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("--allow-remote"), "{error}");
    let emulator = start(Settings { allow_remote: true, ..settings }).unwrap();
    assert!(emulator.https_addr().ip().is_unspecified());
}

#[test]
fn a_taken_port_is_named() {
    let first = start(Settings::default()).unwrap();
    let error = start(Settings { port: first.https_addr().port(), ..Settings::default() }).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&first.https_addr().to_string()), "{error}");
}

#[test]
fn settings_that_mean_nothing_are_refused() {
    for speed in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(start(Settings { speed, ..Settings::default() }).is_err(), "{speed}");
    }
    let refuse = FaultKind::Refuse { status: 429, code: "ThrottlingException".into(), message: String::new() };
    let late = Settings { faults: vec![Fault::after_input(7, refuse)], ..Settings::default() };
    assert!(start(late).is_err());
}

#[test]
fn stopping_joins_the_worker_and_frees_both_ports() {
    let mut emulator = start(Settings::default()).unwrap();
    let (https, http) = (emulator.https_addr(), emulator.http_addr());
    let begun = std::time::Instant::now();
    emulator.stop();
    emulator.stop();
    assert!(begun.elapsed() < Duration::from_secs(5));
    for address in [https, http] {
        TcpListener::bind(address).unwrap();
    }
}
