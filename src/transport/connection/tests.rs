use std::sync::{Arc, atomic::AtomicBool};

use hyper::rt::Timer;

use super::*;

/// The one thing that no peer can see: without it small frames wait 40 ms for a delayed ACK.
#[tokio::test]
async fn sockets_do_not_wait_to_fill_segments() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let dialer = Dialer { origin, tls: None, route: None, settings: PoolSettings::default(), calm: Arc::default() };
    assert!(dialer.connect_tcp().await.unwrap().nodelay().unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_pings_stops_for_a_peer_that_wants_calm() {
    let calm = Arc::new(AtomicBool::new(false));
    let timer = CalmTimer { calm: Arc::clone(&calm) };
    timer.sleep(Duration::from_secs(1)).await;
    let under_way = timer.sleep(Duration::from_secs(1));
    calm.store(true, Ordering::Relaxed);
    assert!(tokio::time::timeout(Duration::from_mins(1), under_way).await.is_err());
}
