use tokio::{io::AsyncBufReadExt, net::TcpListener};

use super::*;

fn proxy(url: &str, no_proxy: &str) -> Proxy {
    Proxy::new(url, no_proxy).unwrap().unwrap()
}

fn uri(url: &str) -> Uri {
    url.parse().unwrap()
}

#[test]
fn only_what_is_secure_and_not_excepted_goes_through() {
    let proxy = proxy("http://proxy:3128", "10.0.0.0/8, .internal,voice.example,*.lan");
    assert_eq!(proxy.route(&uri("https://bedrock.example")).unwrap().place(), "proxy:3128");
    for direct in [
        "http://bedrock.example",
        "http://169.254.169.254",
        "https://10.1.2.3:8443",
        "https://a.internal",
        "https://a.lan",
        "https://voice.example:444",
    ] {
        assert!(proxy.route(&uri(direct)).is_none(), "{direct}");
    }
}

#[test]
fn what_is_no_proxy_is_refused_and_not_shown() {
    assert!(Proxy::new(" ", "").unwrap().is_none());
    assert!(Proxy::new("http://proxy:3128", "localhost, *").unwrap().is_none());
    assert_eq!(proxy("proxy:3128", "").route(&uri("https://a")).unwrap().place(), "proxy:3128", "as curl takes it");
    for bad in ["https://user:pa55@proxy", "socks5://user:pa55@proxy", "http://user:pa55 @proxy", "http://", "http:// "]
    {
        let error = Proxy::new(bad, "").err().unwrap_or_else(|| panic!("{bad:?} was taken"));
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Config, "bad_proxy"));
        assert!(!error.to_string().contains("pa55"), "{error}");
    }
}

/// What a proxy hears, and what comes of its answer.
async fn asked(user: &str, answer: &'static [u8]) -> (String, Result<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let proxy = proxy(&format!("http://{user}{addr}"), "");
    let route = proxy.route(&uri("https://bedrock.example")).unwrap();
    let served = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let heard = String::from_utf8(read_head(&mut tcp).await.unwrap()).unwrap();
        tcp.write_all(answer).await.unwrap();
        heard
    });
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    let outcome = route.tunnel(&mut tcp, &uri("https://bedrock.example")).await;
    if outcome.is_ok() {
        let mut rest = String::new();
        tokio::io::BufReader::new(tcp).read_line(&mut rest).await.unwrap();
        assert_eq!(rest, "theirs", "not a byte of the origin's is lost");
    }
    (served.await.unwrap(), outcome)
}

#[tokio::test]
async fn a_tunnel_is_asked_for_with_the_credentials_of_the_url() {
    let (heard, outcome) = asked("me:p%40ss@", b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\ntheirs").await;
    outcome.unwrap();
    // "me:p@ss" in base64.
    let expected = "CONNECT bedrock.example:443 HTTP/1.1\r\nHost: bedrock.example:443\r\n\
                    Proxy-Authorization: Basic bWU6cEBzcw==\r\n\r\n";
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn a_refusal_is_told_with_its_status_and_no_password() {
    for (answer, code) in [
        (&b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"[..], "proxy_authentication"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "proxy_refused"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "proxy_failed"),
        (b"", "proxy_failed"),
    ] {
        let (_, outcome) = asked("me:pa55@", answer).await;
        let error = outcome.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Connect, code), "{error}");
        assert!(!error.to_string().contains("pa55") && error.to_string().contains("HTTPS_PROXY"), "{error}");
    }
}
