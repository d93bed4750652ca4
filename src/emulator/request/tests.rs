use super::*;

fn parts(method: &str, uri: &str, content_type: Option<&str>) -> Parts {
    let mut request = http::Request::builder().method(method).uri(uri);
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn a_model_is_named_with_its_colon_encoded_or_not() {
    for path in [
        "/model/amazon.nova-2-sonic-v1%3A0/invoke-with-bidirectional-stream",
        "/model/amazon.nova-2-sonic-v1%3a0/invoke-with-bidirectional-stream?",
        "/model/amazon.nova-2-sonic-v1:0/invoke-with-bidirectional-stream",
    ] {
        assert_eq!(
            model_id(&parts("POST", path, Some(EVENT_STREAM)), Form::Http2).unwrap(),
            "amazon.nova-2-sonic-v1:0",
            "{path}"
        );
    }
}

#[test]
fn other_requests_are_refused_by_what_is_wrong_with_them() {
    let good = "/model/amazon.nova-2-sonic-v1%3A0/invoke-with-bidirectional-stream";
    let cases = [
        ("GET", good, Some(EVENT_STREAM), 405, "UnknownOperationException"),
        ("POST", "/model/amazon.nova-2-sonic-v1%3A0/invoke", Some(EVENT_STREAM), 404, "UnknownOperationException"),
        ("POST", "/model//invoke-with-bidirectional-stream", Some(EVENT_STREAM), 404, "UnknownOperationException"),
        ("POST", "/", Some(EVENT_STREAM), 404, "UnknownOperationException"),
        ("POST", good, Some("application/json"), 415, "UnsupportedMediaTypeException"),
        ("POST", good, None, 415, "UnsupportedMediaTypeException"),
        ("POST", "/model/sonic%zz/invoke-with-bidirectional-stream", Some(EVENT_STREAM), 400, "ValidationException"),
        ("POST", "/model/sonic%3/invoke-with-bidirectional-stream", Some(EVENT_STREAM), 400, "ValidationException"),
        (
            "POST",
            "/model/amazon.titan/invoke-with-bidirectional-stream",
            Some(EVENT_STREAM),
            400,
            "ValidationException",
        ),
    ];
    for (method, path, content_type, status, code) in cases {
        let refusal = model_id(&parts(method, path, content_type), Form::Http2).unwrap_err();
        assert_eq!((refusal.status, refusal.code.as_str()), (status, code), "{method} {path} {content_type:?}");
    }
}

#[test]
fn a_websocket_has_an_address_of_its_own_and_is_asked_for_by_get() {
    let good = "/model/amazon.nova-2-sonic-v1%3A0/invoke-with-bidirectional-stream-websocket";
    assert_eq!(model_id(&parts("GET", good, None), Form::WebSocket).unwrap(), "amazon.nova-2-sonic-v1:0");
    assert!(is_websocket_path(good));
    for (method, path, status) in [
        ("POST", good, 405),
        ("GET", "/model/amazon.nova-2-sonic-v1%3A0/invoke-with-bidirectional-stream", 404),
        ("GET", "/model/a/sonic/invoke-with-bidirectional-stream-websocket", 404),
        ("GET", "/model/amazon.titan/invoke-with-bidirectional-stream-websocket", 400),
    ] {
        assert_eq!(
            model_id(&parts(method, path, None), Form::WebSocket).unwrap_err().status,
            status,
            "{method} {path}"
        );
    }
    assert_eq!(model_id(&parts("POST", good, Some(EVENT_STREAM)), Form::Http2).unwrap_err().status, 404);
}

#[test]
fn a_refusal_has_awss_shape() {
    let refusal = Refusal::new(429, "ThrottlingException", "slow \"down\"");
    let head = refusal.head();
    assert_eq!(head.status(), 429);
    let kind = head.headers()["x-amzn-errortype"].to_str().unwrap();
    assert_eq!(kind.split(':').next(), Some("ThrottlingException"));
    assert!(head.headers().contains_key("x-amzn-requestid"));
    let body: serde_json::Value = serde_json::from_slice(&refusal.body()).unwrap();
    assert_eq!(body, serde_json::json!({"message": "slow \"down\""}));
}
