use super::*;

fn named(name: &str) -> Counting {
    Counting::Named(name.into())
}

fn due(schedule: &mut Schedule) -> Vec<String> {
    std::iter::from_fn(|| schedule.next()).map(|armed| armed.fault.to_string()).collect()
}

fn set(faults: impl IntoIterator<Item = Fault>) -> Faults {
    let set = Faults::default();
    set.add(faults);
    set
}

#[test]
fn each_fault_comes_once_in_its_place() {
    let faults = set([
        Fault::after_input(2, FaultKind::Fin),
        Fault::after_input(0, FaultKind::TcpReset),
        Fault::after_output(2, FaultKind::EndStream),
        Fault::new(FaultKind::BadCrc, Place::Input { count: 1, counting: Counting::NonAudio }),
        Fault::new(FaultKind::Truncated, Place::Output { count: 2, counting: named("textOutput") }),
        Fault::new(FaultKind::UnknownFrame, Place::Headers),
    ]);
    let mut schedule = faults.of("");
    assert_eq!(due(&mut schedule), ["tcp_reset"]);
    assert!(schedule.wants_headers());
    schedule.headers_sent();
    assert_eq!(due(&mut schedule), ["unknown_frame after headers"]);
    assert!(!schedule.wants_headers());
    schedule.input("audioInput");
    schedule.output("textOutput");
    assert_eq!(due(&mut schedule), [""; 0]);
    schedule.input("contentEnd");
    assert_eq!(due(&mut schedule), ["fin after input 2", "bad_crc after input 1 (non-audio)"]);
    schedule.output("audioOutput");
    assert_eq!(due(&mut schedule), ["end_stream after output 2"]);
    schedule.output("textOutput");
    assert_eq!(due(&mut schedule), ["truncated after output 2 (textOutput)"]);
    assert!(schedule.is_empty());
    assert!(!faults.of("").is_empty());
}

#[test]
fn a_fault_is_for_one_account_one_stream_and_so_many_times() {
    let fin = |account: Option<&str>, stream, times| Fault {
        account: account.map(str::to_owned),
        stream,
        times,
        ..Fault::after_input(0, FaultKind::Fin)
    };
    let hits = |fault: Fault, accounts: &[&str]| {
        let faults = set([fault]);
        accounts.iter().map(|account| faults.of(account).next().is_some()).collect::<Vec<bool>>()
    };
    assert_eq!(hits(fin(None, None, None), &["", "a", "b"]), [true, true, true]);
    assert_eq!(hits(fin(Some("a"), None, None), &["", "a", "b", "a"]), [false, true, false, true]);
    assert_eq!(hits(fin(Some(""), None, None), &["", "a"]), [true, false]);
    assert_eq!(hits(fin(Some("a"), Some(2), None), &["a", "b", "a", "a"]), [false, false, true, false]);
    assert_eq!(hits(fin(None, Some(2), None), &["a", "b", "a"]), [false, true, false]);
    assert_eq!(hits(fin(None, None, Some(2)), &["a", "b", "c"]), [true, true, false]);
}

#[test]
fn a_fault_that_came_to_nothing_may_come_again() {
    let faults = set([Fault { times: Some(1), ..Fault::after_input(0, FaultKind::Fin) }]);
    let armed = faults.of("").next().unwrap();
    armed.put_back();
    assert!(faults.of("").next().is_some());
    assert!(faults.of("").next().is_none());
}

#[test]
fn refusals_come_before_what_is_due_with_them() {
    let refuse = FaultKind::Refuse { status: 429, code: "ThrottlingException".into(), message: String::new() };
    let faults = set([Fault::after_input(0, FaultKind::Fin), Fault::after_input(0, refuse)]);
    assert_eq!(due(&mut faults.of("")), ["refuse", "fin"]);
    assert_eq!(faults.of("").refusal().unwrap().fault.to_string(), "refuse");
}

#[test]
fn a_refusal_later_than_the_headers_is_told_at_once() {
    let refuse =
        |count| Fault::after_input(count, FaultKind::Refuse { status: 429, code: "A".into(), message: "b".into() });
    assert!(refuse(1).check(HeadersAt::FirstEvent).is_ok());
    assert!(
        refuse(2).check(HeadersAt::FirstEvent).unwrap_err().contains("refuse after input 2: a refusal is impossible")
    );
    assert!(refuse(1).check(HeadersAt::Immediately).is_err());
    assert!(Fault::after_input(9, FaultKind::Fin).check(HeadersAt::Immediately).is_ok());
    assert!(Fault::after_output(0, FaultKind::Quota { max: 1 }).check(HeadersAt::FirstEvent).is_err());
    let silent = Fault::after_input(0, FaultKind::RefuseConnection { silent: true });
    assert!(silent.check(HeadersAt::FirstEvent).is_ok());
    let of_account = Fault { account: Some("a".into()), ..silent };
    assert!(of_account.check(HeadersAt::FirstEvent).unwrap_err().contains("before any request"));
}

#[test]
fn a_fault_is_read_from_json() {
    let read = |json: &str| Fault::from_json(json).unwrap();
    assert_eq!(
        read(
            r#"{"kind":"rst_stream","code":"CANCEL","after_output":3,"counting":"textOutput","account":"a","stream":2,"times":1}"#
        ),
        Fault {
            kind: FaultKind::RstStream { code: 8 },
            place: Place::Output { count: 3, counting: named("textOutput") },
            account: Some("a".into()),
            stream: Some(2),
            times: Some(1),
        }
    );
    assert_eq!(read(r#"{"kind":"fin"}"#), Fault::after_input(0, FaultKind::Fin));
    assert_eq!(read(r#"{"kind":"goaway"}"#).kind, FaultKind::GoAway { code: 0, hard: false });
    assert_eq!(read(r#"{"kind":"goaway","code":11}"#).kind, FaultKind::GoAway { code: 11, hard: true });
    assert_eq!(
        read(r#"{"kind":"event","name":"x","fields":{"a":1}}"#).kind,
        FaultKind::Event { name: "x".into(), fields: r#"{"a":1}"#.into() }
    );
    assert_eq!(read(r#"{"kind":"stall","after_headers":true}"#).place, Place::Headers);
}

#[test]
fn a_fault_that_means_nothing_is_refused_by_kind_and_key() {
    for (json, said) in [
        (r#"{"kind":"quake"}"#, "no fault is called \"quake\". There are refuse, "),
        (r#"{"kind":"fin","code":3}"#, "fault \"fin\": it takes no code"),
        (r#"{"kind":"fin","cod":3}"#, "unknown field `cod`"),
        (r#"{"kind":"fin","after_input":3,"after_output":3}"#, "give one of after_input"),
        (r#"{"kind":"fin","times":0}"#, "count from 1"),
        (r#"{"kind":"rst_stream","code":"OUCH"}"#, "no error code \"OUCH\""),
        (r#"{"kind":"goaway","code":2,"hard":false}"#, "only code 0"),
        (r#"{"kind":"refuse","status":200,"name":"A"}"#, "it needs status"),
        (r#"{"kind":"stall","scope":"world"}"#, "scope is \"world\", not \"stream\" or \"connection\""),
        (r#"{"kind":"tiny_frames","size":0}"#, "outside 1 to 16384"),
        (r#"{"kind":"drip"}"#, "it needs rate"),
    ] {
        let error = Fault::from_json(json).unwrap_err();
        assert!(error.contains(said), "{json}: {error}");
    }
}
