use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect::<HeaderMapPairs>().0
}

/// Keeps repeated names, unlike `HeaderMap`'s own `FromIterator`.
struct HeaderMapPairs(HeaderMap);

impl FromIterator<(header::HeaderName, HeaderValue)> for HeaderMapPairs {
    fn from_iter<I: IntoIterator<Item = (header::HeaderName, HeaderValue)>>(pairs: I) -> Self {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, value);
        }
        Self(map)
    }
}

#[test]
fn only_loopback_is_answered_to() {
    for (host, answered) in [
        ("localhost", true),
        ("LocalHost:8080", true),
        ("127.0.0.1:9", true),
        ("127.8.8.8", true),
        ("[::1]:9", true),
        ("evil.example", false),
        ("localhost.evil.example", false),
        ("127.0.0.1.evil.example:9", false),
        ("192.168.0.1", false),
        ("0.0.0.0", false),
        ("", false),
        ("127.0.0.1/x", false),
    ] {
        assert_eq!(names_loopback(&headers(&[("host", host)])), answered, "{host}");
    }
    assert!(!names_loopback(&headers(&[])));
    assert!(!names_loopback(&headers(&[("host", "localhost"), ("host", "evil.example")])));
}

#[test]
fn only_the_token_opens() {
    let door = Door::new("secret");
    for (authorization, opens) in [
        ("Bearer secret", true),
        ("bearer secret", true),
        ("Bearer secre", false),
        ("Bearer secrets", false),
        ("Bearer ", false),
        ("Bearer", false),
        ("Basic secret", false),
        ("secret", false),
    ] {
        assert_eq!(door.opens_to(&headers(&[("authorization", authorization)])), opens, "{authorization}");
    }
    assert!(!door.opens_to(&headers(&[])));
    assert!(!door.opens_to(&headers(&[("authorization", "Bearer secret"), ("authorization", "Bearer x")])));
}

#[test]
fn each_emulator_has_a_token_of_its_own() {
    let ((_, first), (_, second)) = (open().unwrap(), open().unwrap());
    assert_eq!(first.len(), 2 * TOKEN_BYTES);
    assert_ne!(first, second);
}
