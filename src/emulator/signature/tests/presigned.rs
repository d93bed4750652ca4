//! Addresses that carry their signature in the query: AWS's example, AWS's signers, and forgeries.

use std::time::Duration as StdDuration;

use super::*;

/// "Authenticating Requests: Using Query Parameters", Amazon S3 API Reference: its canonical request and signature.
#[test]
fn the_query_is_signed_as_in_awss_worked_example() {
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    let uri = format!(
        "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
         &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
         &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature={signature}"
    );
    let (parts, ()) =
        Request::get(&uri).header("host", "examplebucket.s3.amazonaws.com").body(()).unwrap().into_parts();
    let claim = Claim::of(&parts, Form::WebSocket).unwrap();
    assert_eq!((claim.access_key_id.as_str(), claim.region.as_str()), ("AKIAIOSFODNN7EXAMPLE", "us-east-1"));
    assert_eq!(claim.check_time(at("20130525T000000Z")), Ok("20130524T000000Z"));
    assert_eq!(claim.signature, signature);

    // S3 alone signs a word where other services sign the empty body's hash.
    let canonical = canonical_request(&parts, &["host"], "UNSIGNED-PAYLOAD", Host::AsSent).unwrap();
    let hash = hex(&sha256(canonical.as_bytes()));
    assert_eq!(hash, "3bfa292879f6447bbcda7001decf97f4a54dc650c8942174ae0a9121cf58ad04");
    let signed = string_to_sign("20130524T000000Z", "20130524/us-east-1/s3", &canonical);
    let key = SigningKey::derive(secret, "20130524", "us-east-1", "s3");
    assert!(key.signed(&signed, &unhex(signature).unwrap()));
}

#[test]
fn a_query_is_sorted_by_name_and_spelt_in_one_way() {
    let canonical = |query: &str| {
        let (parts, ()) = Request::get(format!("/?{query}")).body(()).unwrap().into_parts();
        let canonical = canonical_request(&parts, &[], EMPTY_SHA256, Host::AsSent).unwrap();
        canonical.lines().nth(2).unwrap().to_owned()
    };
    // By whole pairs "a-b=2" came first, since "-" is below "=".
    assert_eq!(canonical("b=2&a-b=2&a=2&a=1&&empty"), "a=1&a=2&a-b=2&b=2&empty=");
    assert_eq!(canonical("x=%7e%2f%2F/+%20!"), "x=~%2F%2F%2F%2B%20%21");
    assert_eq!(canonical("X-Amz-Signature=00&x-amz-signature=1"), "x-amz-signature=1");
}

/// As AWS's signer for Rust signs.
fn presigned(life_s: u64, token: Option<&str>) -> Recording {
    use aws_sigv4::{
        http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
        sign::v4::SigningParams,
    };
    let (Keys { access_key_id, secret_access_key }, now) = (keys(), "20261201T120000Z");
    let path = "/model/amazon.nova-2-sonic-v1%3A0/invoke-with-bidirectional-stream-websocket?user-agent=a%2Fb%20c";
    let identity =
        aws_credential_types::Credentials::new(access_key_id, secret_access_key, token.map(Into::into), None, "test")
            .into();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(StdDuration::from_secs(life_s));
    let params = SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name(SERVICE)
        .time(at(now).into())
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let uri = format!("https://localhost:18443{path}");
    let signable = SignableRequest::new("GET", &uri, std::iter::empty(), SignableBody::empty()).unwrap();
    let mut request = Request::get(&uri).body(()).unwrap();
    sign(signable, &params).unwrap().into_parts().0.apply_to_request_http1x(&mut request);
    Recording {
        client: "aws-sigv4".into(),
        websocket: true,
        uri: request.uri().path_and_query().unwrap().to_string(),
        at: now.into(),
        headers: vec![("host".into(), "localhost:18443".into())],
        events: vec![],
    }
}

#[test]
fn what_awss_signer_signs_in_a_query_is_accepted() {
    for token in [None, Some("a/token+with=all of it")] {
        let recording = presigned(60, token);
        recording.verify(&keys(), recording.now()).map(drop).unwrap();
    }
}

#[test]
fn the_port_may_be_left_out_of_the_host_that_is_signed_in_a_query_alone() {
    let recorded = || recordings().into_iter().find(|recording| recording.websocket).unwrap();
    let now = recorded().now();
    // As it was sent and recorded: with a port in the header and none in what the SDK signed.
    recorded().verify(&keys(), now).map(drop).unwrap();
    recorded().with_header("host", "localhost").verify(&keys(), now).map(drop).unwrap();
    assert!(recorded().with_header("host", "example.org:18443").verify(&keys(), now).is_err());
    for (host, name) in [("a:1", "a"), ("a", "a"), ("[::1]:443", "[::1]"), ("::1x", "::1x")] {
        let (parts, ()) = Request::get("/").header("host", host).body(()).unwrap().into_parts();
        let canonical = canonical_request(&parts, &["host"], EMPTY_SHA256, Host::WithoutPort).unwrap();
        assert!(canonical.contains(&format!("\nhost:{name}\n")), "{canonical}");
    }
}

#[test]
fn an_address_lives_as_long_as_it_says_and_no_clock_adds_to_it() {
    let recording = presigned(60, None);
    let verify = |seconds| recording.verify(&keys(), recording.now() + Duration::seconds(seconds)).map(drop);
    for seconds in [-300, 0, 60] {
        verify(seconds).unwrap();
    }
    let late = verify(61).unwrap_err();
    assert_eq!((late.status, late.code.as_str()), (403, "InvalidSignatureException"));
    assert_eq!(
        late.message,
        "Signature expired: 20261201T120000Z is now earlier than 20261201T120001Z (20261201T120101Z - 60 s.)"
    );
    let early = verify(-301).unwrap_err();
    assert!(early.message.starts_with("Signature not yet current: "), "{}", early.message);
    let week = presigned(604_800, None);
    week.verify(&keys(), week.now() + Duration::days(7)).map(drop).unwrap();
}

type Forge = fn(Recording) -> Recording;

/// What is forged, how, and the exception and words it is refused with.
#[rustfmt::skip]
const FORGERIES: &[(&str, Forge, &str, &str)] = &[
    ("no signature at all", |r| r.with_uri("X-Amz-Signature=", "X-Signature="), "MissingAuthenticationTokenException", "Missing Authentication Token"),
    ("a header in its place", |r| r.with_uri("X-Amz-Signature=", "x=").with_header("authorization", "AWS4-HMAC-SHA256 Credential=a/20261201/b/bedrock/aws4_request, SignedHeaders=host, Signature=00"), "MissingAuthenticationTokenException", "Missing"),
    ("another signature", |r| r.with_uri("X-Amz-Signature=", "X-Amz-Signature=0"), "InvalidSignatureException", "does not match"),
    ("two signatures", |r| r.with_uri("X-Amz-Signature=", "X-Amz-Signature=00&X-Amz-Signature="), "IncompleteSignatureException", "'X-Amz-Signature', once"),
    ("another algorithm", |r| r.with_uri("=AWS4-HMAC-SHA256", "=AWS4-ECDSA-P256-SHA256"), "IncompleteSignatureException", "Unsupported AWS 'algorithm'"),
    ("no algorithm", |r| r.with_uri("X-Amz-Algorithm", "X-Algorithm"), "IncompleteSignatureException", "'X-Amz-Algorithm'"),
    ("another key", |r| r.with_uri("Credential=AKID", "Credential=AKIE"), "UnrecognizedClientException", "security token"),
    ("another region", |r| r.with_uri("us-east-1", "us-west-2"), "InvalidSignatureException", "does not match"),
    ("another service", |r| r.with_uri("%2Fbedrock%2F", "%2Fs3%2F"), "InvalidSignatureException", "correct service: 'bedrock'"),
    ("another day", |r| r.with_uri("%2F20261201%2F", "%2F20261130%2F"), "InvalidSignatureException", "Date in Credential scope"),
    ("a short scope", |r| r.with_uri("%2Faws4_request", ""), "IncompleteSignatureException", "5 slash-delimited"),
    ("another second", |r| r.with_uri("T120000Z", "T120001Z"), "InvalidSignatureException", "does not match"),
    ("no date", |r| r.with_uri("20261201T120000Z", "yesterday"), "IncompleteSignatureException", "ISO-8601"),
    ("a longer life", |r| r.with_uri("X-Amz-Expires=60", "X-Amz-Expires=600"), "InvalidSignatureException", "does not match"),
    ("too long a life", |r| r.with_uri("X-Amz-Expires=60", "X-Amz-Expires=604801"), "IncompleteSignatureException", "from 1 to 604800"),
    ("no life", |r| r.with_uri("X-Amz-Expires=60", "X-Amz-Expires=-1"), "IncompleteSignatureException", "from 1 to 604800"),
    ("no host", |r| r.with_uri("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=origin"), "InvalidSignatureException", "'Host'"),
    ("another host", |r| r.with_header("host", "localhost:18444"), "InvalidSignatureException", "does not match"),
    ("another region's host", |r| r.with_header("host", REAL_HOST), "InvalidSignatureException", "valid region"),
    ("another model", |r| r.with_uri("nova-2", "nova-3"), "InvalidSignatureException", "does not match"),
    ("one parameter more", |r| r.with_uri("user-agent=", "prompt=x&user-agent="), "InvalidSignatureException", "does not match"),
    ("another token", |r| r.with_uri("Security-Token=mine", "Security-Token=yours"), "InvalidSignatureException", "does not match"),
    ("broken encoding", |r| r.with_uri("user-agent=a", "user-agent=%zz"), "InvalidSignatureException", "percent-encoded"),
];

#[test]
fn each_forgery_of_an_address_is_refused_by_the_services_name_for_it() {
    for (case, forge, code, message) in FORGERIES {
        let genuine = presigned(60, Some("mine"));
        let (before, now) = (genuine.parts(), genuine.now());
        let forged = forge(genuine);
        assert!(
            (&before.uri, &before.headers) != (&forged.parts().uri, &forged.parts().headers),
            "{case}: nothing was forged"
        );
        let refusal = forged.verify(&keys(), now).map(drop).expect_err(case);
        assert_eq!((refusal.status, refusal.code.as_str()), (403, *code), "{case}: {refusal:?}");
        assert!(refusal.message.contains(message), "{case}: {}", refusal.message);
    }
}

#[test]
fn each_form_is_signed_in_its_own_place() {
    let missing = |parts: &Parts, form| Claim::of(parts, form).unwrap_err().code;
    assert_eq!(missing(&presigned(60, None).parts(), Form::Http2), "MissingAuthenticationTokenException");
    assert_eq!(missing(&recordings()[0].parts(), Form::WebSocket), "MissingAuthenticationTokenException");
}
