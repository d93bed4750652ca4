use super::*;

#[test]
fn names_are_listed_once() {
    let names = subject_names("127.0.0.1".parse().unwrap(), &["localhost".into(), "bedrock.example".into()]);
    assert_eq!(names, ["localhost", "127.0.0.1", "::1", "bedrock.example"]);
    let names = subject_names("0.0.0.0".parse().unwrap(), &[]);
    assert_eq!(names, ["localhost", "127.0.0.1", "::1"]);
    let names = subject_names("192.0.2.7".parse().unwrap(), &[]);
    assert_eq!(names.last().map(String::as_str), Some("192.0.2.7"));
}

#[test]
fn a_name_no_certificate_can_hold_is_told() {
    let error = Tls::new("127.0.0.1".parse().unwrap(), &["bücher.example".into()]).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("bücher.example"), "{error}");
}

#[test]
fn each_emulator_has_a_ca_of_its_own_and_tells_its_certificate_only() {
    let pem = || Tls::new("127.0.0.1".parse().unwrap(), &[]).ok().unwrap().ca_pem;
    let (one, other) = (pem(), pem());
    assert_ne!(one, other);
    assert!(one.starts_with("-----BEGIN CERTIFICATE-----") && !one.contains("PRIVATE KEY"), "{one}");
}
