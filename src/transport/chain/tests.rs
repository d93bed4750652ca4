use super::*;

fn chain(profile: Option<&str>) -> Chain {
    let http = aws_smithy_http_client::Builder::new().build_http();
    Chain::new(Region::from_static("us-east-1"), profile.map(str::to_owned), http)
}

#[test]
fn a_failure_names_its_source_and_is_told_in_words_alone() {
    let process = "external process exited with code exit status: 1. Stderr: token s3cr3t";
    let error = chain(Some("talk")).failed(Source::Profile, &CredentialsError::provider_error(process));
    let expected = "The AWS profile \"talk\" failed to give AWS credentials: external process exited with code exit \
                    status: 1. See what `aws sts get-caller-identity --profile talk` says;";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Credentials, "credentials_failed"));
}

#[test]
fn a_profile_that_the_caller_names_is_not_overruled_by_the_environment() {
    let sources = |chain: &Chain| chain.links().iter().map(|(source, _)| *source).collect::<Vec<_>>();
    assert_eq!(sources(&chain(Some("talk"))), [Source::Profile, Source::Container, Source::Instance]);
    let all = [Source::Environment, Source::Profile, Source::WebIdentity, Source::Container, Source::Instance];
    assert_eq!(sources(&chain(None)), all);
}
