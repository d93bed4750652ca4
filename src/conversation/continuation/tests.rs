use proptest::prelude::*;

use super::*;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn terms() -> Continuation {
    Continuation { renew_after: s(360), force_after: s(450), idle_after: s(150), ..Continuation::default() }
}

/// Open since 0.
fn open() -> Renewal {
    let mut renewal = Renewal::new(terms());
    renewal.opened(s(0), None);
    renewal
}

/// A quiet moment in which somebody has just said something.
fn quiet(now: u64) -> Moment {
    Moment { turn_runs: false, tool_runs: false, voice: s(0), active: s(now) }
}

fn busy(now: u64) -> Moment {
    Moment { turn_runs: true, ..quiet(now) }
}

#[test]
fn age_idleness_and_keys_are_due_at_their_times() {
    let mut keys = open();
    keys.opened(s(0), Some(s(400)));
    let silent = |_| quiet(0);
    for (renewal, moment, at, reason) in [
        (open(), quiet as fn(u64) -> Moment, 360, Reason::Age),
        (open(), silent as fn(u64) -> Moment, 150, Reason::Idle),
        (keys, quiet, 220, Reason::Credentials),
    ] {
        assert_eq!(
            renewal.step(s(at).saturating_sub(Duration::from_millis(1)), moment(at - 1)),
            Step::Nothing,
            "{reason:?}"
        );
        assert_eq!(renewal.step(s(at), moment(at)), Step::Open(reason));
        assert_eq!(renewal.deadline(s(at - 1), moment(at - 1)), Some(s(at)), "{reason:?}");
    }
}

#[test]
fn nothing_is_due_before_the_stream_is_open_nor_where_nobody_wants_it() {
    assert_eq!(Renewal::new(terms()).step(s(9_999), quiet(0)), Step::Nothing);
    let mut never = Renewal::new(Continuation::on_request());
    never.opened(s(0), Some(s(500)));
    assert_eq!(never.step(s(999_999), quiet(0)), Step::Nothing);
    never.reconfigure();
    assert_eq!(never.step(s(1), busy(0)), Step::Open(Reason::Reconfigured));
}

#[test]
fn keys_that_are_short_lived_by_nature_do_not_renew_without_end() {
    let mut renewal = open();
    renewal.opened(s(0), Some(s(180)));
    assert_eq!(renewal.step(s(179), quiet(179)), Step::Nothing);
}

#[test]
fn the_next_takes_over_at_a_good_moment_or_by_force() {
    let ready = |opened: u64| {
        let mut renewal = open();
        renewal.next_opening(s(opened), Reason::Age);
        assert_eq!(renewal.step(s(opened), quiet(opened)), Step::Nothing, "it is not open yet");
        renewal.next_ready(s(opened));
        renewal
    };
    let tool = Moment { tool_runs: true, ..quiet(0) };
    let speaks = |seconds| Moment { voice: s(seconds), ..quiet(0) };
    for (moment, step) in [
        (quiet(360), Step::HandOver),
        (busy(360), Step::Nothing),
        (tool, Step::Nothing),
        (speaks(2), Step::HandOver),
        (speaks(3), Step::Nothing),
    ] {
        assert_eq!(ready(360).step(s(361), moment), step, "{moment:?}");
        assert_eq!(ready(449).step(s(450), moment), Step::HandOver, "forced: {moment:?}");
    }
    assert_eq!(ready(440).deadline(s(441), busy(441)), Some(s(450)));
    // Keys that end force it, too, a minute before.
    let mut keys = open();
    keys.opened(s(0), Some(s(1_000)));
    keys.next_opening(s(930), Reason::Credentials);
    keys.next_ready(s(930));
    keys.terms.force_after = s(9_999);
    assert_eq!((keys.step(s(939), busy(939)), keys.step(s(940), busy(940))), (Step::Nothing, Step::HandOver));
}

#[test]
fn what_was_begun_goes_on_whoever_speaks_meanwhile() {
    let mut renewal = open();
    renewal.next_opening(s(150), Reason::Idle);
    renewal.next_ready(s(151));
    assert_eq!(renewal.step(s(152), busy(152)), Step::Nothing);
    assert_eq!(renewal.step(s(155), quiet(155)), Step::HandOver, "it is not idle any more");
}

#[test]
fn one_that_waits_or_opens_for_too_long_is_opened_anew() {
    let mut renewal = open();
    renewal.next_opening(s(360), Reason::Age);
    renewal.next_ready(s(361));
    assert_eq!((renewal.step(s(390), busy(390)), renewal.step(s(391), busy(391))), (Step::Nothing, Step::Discard));
    assert_eq!(renewal.deadline(s(390), busy(390)), Some(s(391)));
    renewal.next_discarded(s(391));
    assert_eq!(renewal.step(s(391), busy(391)), Step::Open(Reason::Age));
    renewal.next_opening(s(391), Reason::Age);
    assert_eq!((renewal.step(s(420), busy(420)), renewal.step(s(421), busy(421))), (Step::Nothing, Step::Discard));
    renewal.next_discarded(s(421));
    assert_eq!(renewal.step(s(421), busy(421)), Step::Open(Reason::Age));
    assert_eq!(renewal.step(s(450), busy(450)), Step::Reopen(Reason::Age), "by force, since none opens");
}

#[test]
fn where_one_stream_is_all_the_first_is_closed_before() {
    for (only_one, good, bad) in
        [(true, Step::Reopen(Reason::Age), Step::Nothing), (false, Step::Nothing, Step::Nothing)]
    {
        let mut renewal = open();
        renewal.next_opening(s(360), Reason::Age);
        renewal.next_failed(s(361), only_one);
        assert_eq!((renewal.step(s(362), quiet(362)), renewal.step(s(362), busy(362))), (good, bad), "{only_one}");
        assert_eq!(renewal.deadline(s(362), busy(362)), Some(s(366)));
        assert_eq!(renewal.step(s(366), busy(366)), Step::Open(Reason::Age), "it may be had by now");
        assert_eq!(renewal.step(s(450), busy(450)), Step::Reopen(Reason::Age));
    }
}

#[test]
fn who_is_asked_for_leave_answers_in_two_seconds_or_has_said_no() {
    let asked = || {
        let mut renewal = open();
        renewal.next_asked(s(360), Reason::Age);
        assert_eq!((renewal.step(s(361), quiet(361)), renewal.step(s(361), busy(361))), (Step::Nothing, Step::Nothing));
        renewal
    };
    let mut granted = asked();
    granted.next_answered(s(361), true);
    assert_eq!(granted.step(s(361), busy(361)), Step::Open(Reason::Age));

    let mut refused = asked();
    refused.next_answered(s(361), false);
    let mut silent = asked();
    assert_eq!(silent.deadline(s(361), quiet(361)), Some(s(362)));
    assert_eq!(silent.step(s(362), quiet(362)), Step::Discard);
    silent.next_discarded(s(361));
    for renewal in [refused, silent] {
        let at = |at, moment| renewal.step(s(at), moment);
        assert_eq!((at(361, quiet(361)), at(361, busy(361))), (Step::Reopen(Reason::Age), Step::Nothing));
        assert_eq!(renewal.deadline(s(361), busy(361)), Some(s(366)));
        assert_eq!(at(366, busy(366)), Step::Open(Reason::Age), "it may be had by now");
        assert_eq!(at(450, busy(450)), Step::Reopen(Reason::Age), "by force");
    }
    // What made a renewal due holds while leave is asked for.
    let mut idle = open();
    idle.next_asked(s(150), Reason::Idle);
    idle.next_answered(s(151), true);
    assert_eq!(idle.step(s(151), quiet(151)), Step::Open(Reason::Idle), "somebody speaks meanwhile");
}

#[test]
fn a_change_of_mind_while_leave_is_asked_for_needs_no_second_leave() {
    let mut renewal = open();
    renewal.next_asked(s(360), Reason::Age);
    renewal.reconfigure();
    assert_eq!(renewal.step(s(361), quiet(361)), Step::Nothing);
    renewal.next_answered(s(361), true);
    assert_eq!(renewal.step(s(361), quiet(361)), Step::Open(Reason::Reconfigured));
}

#[test]
fn another_configuration_makes_the_next_one_stale() {
    for is_open in [false, true] {
        let mut renewal = open();
        renewal.next_opening(s(1), Reason::Reconfigured);
        if is_open {
            renewal.next_ready(s(1));
        }
        renewal.reconfigure();
        // Its headers may come now.
        renewal.next_ready(s(2));
        assert_eq!(renewal.step(s(2), quiet(2)), Step::Discard, "{is_open}");
        renewal.next_discarded(s(2));
        assert_eq!(renewal.step(s(2), quiet(2)), Step::Open(Reason::Reconfigured));
        renewal.called_off();
        assert_eq!(renewal.step(s(2), quiet(2)), Step::Nothing);
    }
}

/// Headers say nothing of what the service makes of a voice or a tool.
#[test]
fn another_configuration_stands_a_trial_before_it_takes_over() {
    let mut renewal = open();
    renewal.reconfigure();
    renewal.next_opening(s(1), Reason::Reconfigured);
    renewal.next_ready(s(2));
    let over = s(2) + Duration::from_millis(300);
    assert_eq!(renewal.step(over.saturating_sub(Duration::from_millis(1)), quiet(2)), Step::Nothing);
    assert_eq!(renewal.deadline(s(2), quiet(2)), Some(over));
    assert_eq!(renewal.step(over, quiet(2)), Step::HandOver);
}

#[test]
fn a_life_counts_from_the_stream_s_own_opening() {
    let mut renewal = open();
    renewal.next_opening(s(360), Reason::Age);
    renewal.next_ready(s(362));
    renewal.handed_over();
    assert_eq!(renewal.step(s(9_999), quiet(9_999)), Step::Nothing, "its headers are not known yet");
    renewal.opened(s(380), None);
    assert_eq!(renewal.deadline(s(381), quiet(700)), Some(s(362 + 360)));
    // Of one that was opened after a loss, from its headers.
    renewal.next_opening(s(400), Reason::Age);
    renewal.next_ready(s(400));
    renewal.lost();
    renewal.opened(s(500), None);
    assert_eq!(renewal.deadline(s(501), quiet(800)), Some(s(860)));
}

#[test]
fn a_service_that_tells_its_idle_limit_is_left_before() {
    let mut renewal = open();
    renewal.idle_limited(s(55));
    assert_eq!(renewal.step(s(44), quiet(0)), Step::Open(Reason::Idle));
    renewal.idle_limited(s(295));
    assert_eq!(renewal.step(s(44), quiet(0)), Step::Open(Reason::Idle), "the shortest counts");
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Wait(u64),
    Busy(bool),
    NextOpens,
    NextFails(bool),
    Answers(bool),
    Lost,
    Reconfigure,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1_u64..90).prop_map(Act::Wait),
        2 => any::<bool>().prop_map(Act::Busy),
        3 => Just(Act::NextOpens),
        1 => any::<bool>().prop_map(Act::NextFails),
        3 => any::<bool>().prop_map(Act::Answers),
        1 => Just(Act::Lost),
        1 => Just(Act::Reconfigure),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Never two renewals at once; none takes over that was opened before a change of mind; none outlives its time
    /// where another can be had.
    #[test]
    fn one_renewal_at_a_time(asks in any::<bool>(), acts in prop::collection::vec(act(), 1..80)) {
        let mut renewal = open();
        // Where leave is to be asked for: whether it is, and what was answered.
        let (mut asked, mut granted) = (false, false);
        let (mut now, mut is_busy, mut wanted) = (0, false, 0);
        // The next stream: whether it is open, and which configuration it has.
        let mut next: Option<(bool, u32)> = None;
        for act in acts {
            match (act, &mut next) {
                (Act::Wait(seconds), _) => now += seconds,
                (Act::Busy(busy), _) => is_busy = busy,
                (Act::NextOpens, Some((open @ false, _))) => {
                    *open = true;
                    renewal.next_ready(s(now));
                }
                (Act::NextFails(only_one), Some(_)) => {
                    next = None;
                    renewal.next_failed(s(now), only_one);
                }
                (Act::Answers(may), _) if asked => {
                    (asked, granted) = (false, may);
                    renewal.next_answered(s(now), may);
                }
                (Act::Lost, _) => {
                    next = None;
                    (asked, granted) = (false, false);
                    renewal.lost();
                    renewal.opened(s(now), None);
                }
                (Act::Reconfigure, _) => {
                    wanted += 1;
                    renewal.reconfigure();
                }
                _ => {}
            }
            let moment = if is_busy { busy(now) } else { quiet(now) };
            for _ in 0..3 {
                match renewal.step(s(now), moment) {
                    Step::Nothing => break,
                    Step::Open(reason) if asks && !granted => {
                        prop_assert!(!std::mem::replace(&mut asked, true), "asked twice");
                        renewal.next_asked(s(now), reason);
                    }
                    Step::Open(reason) => {
                        granted = false;
                        prop_assert!(next.replace((false, wanted)).is_none(), "two at once");
                        renewal.next_opening(s(now), reason);
                    }
                    Step::Discard => {
                        prop_assert!(next.take().is_some() || std::mem::take(&mut asked));
                        renewal.next_discarded(s(now));
                    }
                    Step::HandOver => {
                        prop_assert_eq!(next.take(), Some((true, wanted)));
                        renewal.handed_over();
                        renewal.opened(s(now), None);
                    }
                    Step::Reopen(_) => {
                        prop_assert!(next.is_none() && !asked);
                        renewal.handed_over();
                        renewal.opened(s(now), None);
                    }
                }
            }
            // Something is under way, waits for a moment, or is known to become due.
            prop_assert!(next.is_some() || renewal.deadline(s(now), moment).is_some());
        }
    }
}
