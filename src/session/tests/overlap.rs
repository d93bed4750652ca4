//! A host that counts streams is asked before there are two of a conversation, and told when one is left.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Host, MS, audio_end, audio_output, audio_start, is_end,
    passage::{Talk, asked, continuing, opened, opens, reads, soon, text, voice, wish},
    peer::Judge,
    settle,
};
use crate::{
    conversation::{Continuation, Reason},
    error::{Error, ErrorKind},
    session::{Answer, RequestKind, SessionConfig},
    transport::memory::MemoryPeer,
};

async fn counted(continuation: Continuation) -> Talk {
    Talk::with(SessionConfig { asks_overlap: true, ..continuing(continuation) }).await
}

/// The id of the question that the host is asked next.
async fn question(talk: &mut Talk) -> u64 {
    let of = |host: &Host| host.requests.iter().position(|request| request.kind == RequestKind::MayOverlap);
    talk.host.until(|host| of(host).is_some()).await;
    let place = of(&talk.host).unwrap();
    talk.host.requests.remove(place).id
}

fn says(talk: &Talk, id: u64, may: bool) -> bool {
    talk.host.session.answer(id, Answer::MayOverlap(may))
}

async fn given_back(talk: &mut Talk) -> usize {
    settle().await;
    talk.host.drain();
    talk.host.requests.extract_if(.., |request| request.kind == RequestKind::OverlapEnded).count()
}

async fn nobody_opens(talk: &mut Talk, within: Duration) {
    assert!(tokio::time::timeout(within, talk.service.accept()).await.is_err());
}

/// The old stream hears the goodbye and ends.
async fn leaves(peer: &mut MemoryPeer) {
    let mut judge = opened();
    reads(peer, &mut judge).await;
    assert!(judge.is_over());
    peer.end();
}

#[tokio::test(start_paused = true)]
async fn leave_is_asked_for_before_the_second_and_over_once_the_first_is_gone() {
    let mut talk = counted(soon()).await;
    let began = Instant::now();
    let id = question(&mut talk).await;
    assert_eq!(began.elapsed().as_secs(), 60);
    nobody_opens(&mut talk, Duration::from_secs(1)).await;
    assert!(says(&talk, id, true));
    assert!(!says(&talk, id, true), "once");
    let mut old = std::mem::replace(&mut talk.peer, talk.service.accept().await.unwrap());
    opens(&mut talk.peer).await;
    talk.host.until(|host| host.kinds().contains(&"renewed")).await;
    assert_eq!(given_back(&mut talk).await, 0, "the first still says its last words");
    leaves(&mut old).await;
    assert_eq!(given_back(&mut talk).await, 1);
    // And again for the next.
    let id = question(&mut talk).await;
    assert!(says(&talk, id, true));
    let old = std::mem::replace(&mut talk.peer, talk.service.accept().await.unwrap());
    opens(&mut talk.peer).await;
    tokio::time::sleep(Duration::from_secs(14)).await;
    assert_eq!(given_back(&mut talk).await, 0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((given_back(&mut talk).await, old.is_reset()), (1, true), "it never ended by itself");
}

#[tokio::test(start_paused = true)]
async fn without_leave_the_first_goes_before() {
    for silent in [false, true] {
        let mut talk = counted(soon()).await;
        let id = question(&mut talk).await;
        let began = Instant::now();
        if !silent {
            assert!(says(&talk, id, false));
        }
        let mut judge = opened();
        while !judge.is_over() {
            reads(&mut talk.peer, &mut judge).await;
        }
        let waited = began.elapsed().as_millis();
        assert!(if silent { (2_000..2_100).contains(&waited) } else { waited < 100 }, "{silent}: {waited}");
        assert!(!says(&talk, id, true), "too late, and the host may know");
        nobody_opens(&mut talk, Duration::from_millis(100)).await;
        talk.says(40, 100);
        talk.peer.end();
        assert_eq!(asked(&talk.next().await).1, 100 * MS);
        talk.host.until(|host| host.kinds().contains(&"renewed")).await;
        assert_eq!(talk.renewed()[0].0, Some(Reason::Age));
        assert_eq!(given_back(&mut talk).await, 0, "nothing was taken");
    }
}

#[tokio::test(start_paused = true)]
async fn without_leave_there_are_never_two_though_a_reply_is_cut() {
    let mut talk = counted(soon()).await;
    tokio::time::sleep(Duration::from_secs(59)).await;
    talk.understood("How warm?").await;
    talk.peer.send(&audio_start("a")).await;
    let mut questions = 0;
    let began = Instant::now();
    // The reply has no end: leave is asked for again and again until the renewal is forced.
    let next = loop {
        talk.peer.send(&audio_output("a", &[1; 960])).await;
        talk.host.drain();
        for request in std::mem::take(&mut talk.host.requests) {
            if request.kind == RequestKind::MayOverlap {
                questions += 1;
                assert!(says(&talk, request.id, false));
            }
        }
        tokio::select! {
            next = talk.service.accept() => break next.unwrap(),
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
    };
    assert!((30..=34).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    assert!((6..=7).contains(&questions), "each five seconds: {questions}");
    assert!(talk.peer.is_reset(), "the first was gone");
    talk.peer = next;
    assert_eq!(asked(&opens(&mut talk.peer).await).0, [text("How warm?")]);
    assert_eq!(given_back(&mut talk).await, 0);
    talk.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_granted_is_given_back_however_it_ends() {
    #[derive(Debug)]
    enum How {
        NextRefused,
        CurrentLost,
        Closed,
        OpeningLasts,
    }
    for how in [How::NextRefused, How::CurrentLost, How::Closed, How::OpeningLasts] {
        let mut talk = counted(Continuation { force_after: Duration::from_mins(9), ..soon() }).await;
        tokio::time::sleep(Duration::from_secs(59)).await;
        // So that it waits for a good moment.
        talk.understood("How warm?").await;
        talk.peer.send(&audio_start("a")).await;
        let id = question(&mut talk).await;
        assert!(says(&talk, id, true));
        let mut next = talk.service.accept().await.unwrap();
        match how {
            How::NextRefused => next.refuse(Error::new(ErrorKind::Throttled, "ServiceQuotaExceededException", "One.")),
            How::CurrentLost => {
                next.send_headers();
                settle().await;
                talk.peer.end();
            }
            How::Closed => talk.host.session.close(),
            How::OpeningLasts => {
                for _ in 0..6 {
                    tokio::time::sleep(Duration::from_secs(5)).await;
                    talk.peer.send(&audio_output("a", &[1; 960])).await;
                }
            }
        }
        assert_eq!(given_back(&mut talk).await, 1, "{how:?}");
        match how {
            How::OpeningLasts => {
                let again = question(&mut talk).await;
                assert_ne!(again, id, "{how:?}");
                assert!(next.is_reset());
            }
            How::CurrentLost => {
                talk.peer = next;
                assert_eq!(asked(&reads(&mut talk.peer, &mut Judge::default()).await).0, [text("How warm?")]);
            }
            How::Closed => assert!(next.is_reset()),
            How::NextRefused => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_loss_or_a_close_while_the_host_thinks_takes_the_question_back() {
    for loses in [false, true] {
        let mut talk = counted(soon()).await;
        let id = question(&mut talk).await;
        if loses {
            talk.peer.end();
            talk.next().await;
        } else {
            talk.host.session.close();
            settle().await;
        }
        assert!(!says(&talk, id, true), "{loses}");
        assert_eq!(given_back(&mut talk).await, 0);
    }
    // The answer crosses with what makes it void: it was taken, so it is given back.
    for loses in [false, true] {
        let mut talk = counted(soon()).await;
        let id = question(&mut talk).await;
        if loses {
            talk.peer.end();
        } else {
            talk.host.session.close();
        }
        assert!(says(&talk, id, true), "{loses}");
        settle().await;
        let opened = usize::from(loses);
        for _ in 0..opened {
            talk.next().await;
        }
        assert_eq!(given_back(&mut talk).await, 1, "{loses}");
        assert!(!talk.host.events.iter().any(is_end));
    }
}

#[tokio::test(start_paused = true)]
async fn a_third_stream_waits_until_the_first_is_gone() {
    let mut talk = counted(Continuation::default()).await;
    talk.host.session.reconfigure(wish(1, "matthew")).unwrap();
    let id = question(&mut talk).await;
    assert!(says(&talk, id, true));
    let (mut second, mut judge) = (talk.service.accept().await.unwrap(), Judge::default());
    second.send_headers();
    talk.host.until(|host| host.kinds().contains(&"renewed")).await;
    reads(&mut second, &mut judge).await;
    assert_eq!(judge.voice, "matthew");
    talk.host.session.reconfigure(wish(2, "amy")).unwrap();
    settle().await;
    talk.host.drain();
    assert!(!talk.host.requests.iter().any(|request| request.kind == RequestKind::MayOverlap));
    leaves(&mut talk.peer).await;
    let id = question(&mut talk).await;
    assert_eq!(given_back(&mut talk).await, 1, "before the next is asked for");
    assert!(says(&talk, id, false));
    reads(&mut second, &mut judge).await;
    assert!(judge.is_over());
    second.end();
    assert_eq!(voice(&mut talk).await, "amy");
    talk.host.until(|host| host.kinds().iter().filter(|kind| **kind == "renewed").count() == 2).await;
    assert_eq!(talk.renewed()[2].0, Some(Reason::Reconfigured));
}

#[tokio::test(start_paused = true)]
async fn a_loss_needs_no_leave() {
    let mut talk = counted(Continuation::default()).await;
    talk.understood("How warm?").await;
    talk.peer.send(&audio_start("a")).await;
    talk.peer.send(&audio_output("a", &[1; 960])).await;
    talk.host.until(|host| host.kinds().contains(&"audio")).await;
    talk.peer.end();
    assert_eq!(asked(&talk.next().await).0, [text("How warm?")]);
    for event in [audio_start("b"), audio_end("b", "END_TURN")] {
        talk.peer.send(&event).await;
    }
    talk.host.until(|host| host.kinds().contains(&"renewed")).await;
    assert!(talk.host.requests.is_empty());
}
