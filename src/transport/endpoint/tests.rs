use super::*;

#[test]
fn clear_text_is_for_this_machine() {
    for url in ["http://localhost:1", "http://LOCALHOST", "http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]:1"] {
        assert_eq!(check_url(url, false), Ok(()), "{url}");
    }
    for url in [
        "http://bedrock.example",
        "http://10.0.0.1:1",
        "http://[fe80::1]",
        "http://localhost.example",
        "http://0.0.0.0:1",
    ] {
        assert_eq!(check_url(url, false).unwrap_err().code, "insecure_endpoint", "{url}");
        assert_eq!(check_url(url, true), Ok(()), "{url}");
    }
}

#[test]
fn an_endpoint_is_a_url_of_a_host() {
    assert_eq!(check_url("https://bedrock.example:8443", false), Ok(()));
    for url in ["", "bedrock.example", "/path", "ftp://bedrock.example", "https://", "https://a b", "https://u:p@host"]
    {
        let error = check_url(url, true).unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Config, "bad_endpoint"), "{url}");
        assert!(!error.message.contains("u:p"), "{error}");
    }
}

#[test]
fn an_empty_bundle_variable_is_none() {
    assert_eq!(ca_bundle_from(None), None);
    assert_eq!(ca_bundle_from(Some("".into())), None);
    assert_eq!(ca_bundle_from(Some("/ca.pem".into())), Some("/ca.pem".into()));
}

fn endpoint(url: Option<&str>) -> Endpoint {
    Endpoint { region: Region::new("sa-east-1"), url: url.map(str::to_owned), ca_bundle: None }
}

#[test]
fn a_model_is_asked_for_where_it_is_offered() {
    let offered = ["us-east-1".to_owned(), "eu-north-1".to_owned()];
    let error = endpoint(None).check_model("amazon.nova-2-sonic-v1:0", &offered).unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Config, "model_region"));
    for named in ["amazon.nova-2-sonic-v1:0", "sa-east-1", "us-east-1, eu-north-1"] {
        assert!(error.message.contains(named), "{error}");
    }
    assert!(!error.retryable && error.cure.unwrap().contains("endpoint_url"));

    assert_eq!(endpoint(None).check_model("any", &["us-east-1".into(), "sa-east-1".into()]), Ok(()));
    assert_eq!(endpoint(None).check_model("a model to come", &[]), Ok(()));
    assert_eq!(endpoint(Some("https://vpce.example")).check_model("any", &offered), Ok(()));
}
