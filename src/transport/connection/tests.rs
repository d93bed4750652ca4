use super::*;

/// The one thing that no peer can see: without it small frames wait 40 ms for a delayed ACK.
#[tokio::test]
async fn sockets_do_not_wait_to_fill_segments() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let dialer = Dialer { origin, tls: None, route: None, settings: PoolSettings::default(), calm: Arc::default() };
    assert!(dialer.connect_tcp().await.unwrap().nodelay().unwrap());
}

/// What pings do not notice, because the peer wants none, the kernel does.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn sockets_do_not_wait_for_ever_to_be_acknowledged() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin: Uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let patient = Duration::from_secs(30);
    for (ping_timeout, expected) in [(Duration::from_secs(1), TCP_USER_TIMEOUT), (patient, patient + patient)] {
        let settings = PoolSettings { ping_interval: ping_timeout, ping_timeout, ..PoolSettings::default() };
        let dialer = Dialer { origin: origin.clone(), tls: None, route: None, settings, calm: Arc::default() };
        let tcp = dialer.connect_tcp().await.unwrap();
        assert_eq!(socket2::SockRef::from(&tcp).tcp_user_timeout().unwrap(), Some(expected.max(TCP_USER_TIMEOUT)));
    }
}
