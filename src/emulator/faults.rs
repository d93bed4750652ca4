//! Faults on demand: when each is due, and the ones that concern a whole connection.

use std::{collections::VecDeque, io, net::Shutdown, time::Duration};

use h2::Reason;
use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};

use super::settings::{Fault, FaultKind, HeadersAt};

/// A fault that a stream asks of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionFault {
    Fin,
    GoAway(Reason),
}

/// The faults of one stream, each once.
pub(super) struct Schedule {
    pending: VecDeque<Fault>,
}

impl Schedule {
    pub(super) fn new(faults: &[Fault]) -> Self {
        let mut pending: Vec<Fault> = faults.to_vec();
        // A refusal takes the place of headers, so it comes before all else that is due with it.
        pending.sort_by_key(|fault| (fault.after_events, !matches!(fault.kind, FaultKind::Refuse { .. })));
        Self { pending: pending.into() }
    }

    /// The next fault that is due after this many input events.
    pub(super) fn due(&mut self, events: u64) -> Option<FaultKind> {
        self.pending.pop_front_if(|fault| fault.after_events <= events).map(|fault| fault.kind)
    }
}

/// A refusal comes in place of response headers, so it cannot come later than they do.
pub(super) fn check(faults: &[Fault], headers: HeadersAt) -> io::Result<()> {
    let latest = match headers {
        HeadersAt::FirstEvent => 1,
        HeadersAt::Immediately => 0,
    };
    let late =
        faults.iter().find(|fault| matches!(fault.kind, FaultKind::Refuse { .. }) && fault.after_events > latest);
    late.map_or(Ok(()), |fault| {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "a refusal after {} events is impossible: response headers have gone out by then. Use at most {latest}.",
                fault.after_events
            ),
        ))
    })
}

/// Ends a TCP connection by FIN alone, past HTTP/2 and TLS.
///
/// A second descriptor of the socket, because both layers above would say goodbye in their own way when asked to close.
pub(super) struct FinSwitch(TcpStream);

impl FinSwitch {
    pub(super) fn install(socket: TcpStream) -> io::Result<(TcpStream, Self)> {
        let socket = socket.into_std()?;
        let twin = socket.try_clone()?;
        Ok((TcpStream::from_std(socket)?, Self(TcpStream::from_std(twin)?)))
    }

    /// Sends the FIN.
    pub(super) fn cut(self) -> io::Result<Lingering> {
        let socket = self.0.into_std()?;
        socket.shutdown(Shutdown::Write)?;
        Ok(Lingering(TcpStream::from_std(socket)?))
    }
}

/// A socket whose unread input is thrown away until the peer closes too: closing it at once would send RST after the FIN.
pub(super) struct Lingering(TcpStream);

impl Lingering {
    pub(super) async fn drain(mut self) {
        let mut sink = [0; 4096];
        let drained = async { while self.0.read(&mut sink).await.is_ok_and(|len| len > 0) {} };
        let _ = timeout(Duration::from_secs(5), drained).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(after_events: u64, kind: FaultKind) -> Fault {
        Fault { after_events, kind }
    }

    #[test]
    fn each_fault_comes_once_in_order_of_events() {
        let mut schedule =
            Schedule::new(&[fault(3, FaultKind::Fin), fault(1, FaultKind::Stall), fault(3, FaultKind::EndStream)]);
        assert_eq!(schedule.due(0), None);
        assert_eq!(schedule.due(2), Some(FaultKind::Stall));
        assert_eq!(schedule.due(2), None);
        assert_eq!(schedule.due(3), Some(FaultKind::Fin));
        assert_eq!(schedule.due(3), Some(FaultKind::EndStream));
        assert_eq!(schedule.due(99), None);
    }

    #[test]
    fn a_refusal_later_than_the_headers_is_told_at_once() {
        let refuse = |after_events| {
            [fault(
                after_events,
                FaultKind::Refuse { status: 429, code: "ThrottlingException".into(), message: String::new() },
            )]
        };
        assert!(check(&refuse(1), HeadersAt::FirstEvent).is_ok());
        assert!(check(&refuse(2), HeadersAt::FirstEvent).unwrap_err().to_string().contains("after 2 events"));
        assert!(check(&refuse(1), HeadersAt::Immediately).is_err());
        assert!(check(&[fault(9, FaultKind::Fin)], HeadersAt::Immediately).is_ok());
    }
}
