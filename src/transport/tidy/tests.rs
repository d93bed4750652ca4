use super::*;

#[test]
fn the_request_id_is_taken_out_wherever_it_stands() {
    let id = "0f3c1c52-9d55-4a53-8c0a-0d2b1f0a8d11";
    for said in [
        format!("RequestId={id} : Timed out."),
        format!("RequestId={id}: Timed out."),
        format!("Error(s):\nError 1 : RequestId={id} : Timed out."),
    ] {
        assert_eq!(text(&said), (Some(id.to_owned()), "Timed out.".to_owned()), "{said}");
    }
    assert_eq!(text("Failed. RequestId=abc-1").0.as_deref(), Some("abc-1"));
    assert_eq!(text("RequestId= : odd"), (None, "RequestId= : odd".to_owned()));
    assert_eq!(text("no id here"), (None, "no id here".to_owned()));
}

#[test]
fn a_text_is_one_line_and_bounded() {
    assert_eq!(text("Error(s):\nError 1 : one\r\n\u{1b}[31m two\u{0}").1, "one [31m two");
    assert_eq!(text(&"ä".repeat(1000)).1, format!("{}…", "ä".repeat(300)));
    assert_eq!(text("").1, "");
}

#[test]
fn what_we_said_ourselves_is_not_repeated() {
    for (said, shown) in [
        (
            r#"Unable to parse input chunk: {"event":{"textInput":{"content":"my secret"}}}"#,
            "Unable to parse input chunk: …",
        ),
        (r#"Invalid content "I live in 5 Elm Street" found"#, "Invalid content \"…\" found"),
        ("Invalid content 'I live in 5 Elm Street' found", "Invalid content '…' found"),
        ("Invalid content \"I live in 5 Elm", "Invalid content \"…\""),
        // Names stay.
        ("Received invalid voiceId 'mathew'; it isn't known.", "Received invalid voiceId 'mathew'; it isn't known."),
        (
            "Cannot end content [5f2a] as no content data was received",
            "Cannot end content [5f2a] as no content data was received",
        ),
    ] {
        assert_eq!(text(said).1, shown);
    }
}

#[test]
fn a_name_is_a_name() {
    assert_eq!(name("somethingNew_Exception-2.1"), "somethingNew_Exception-2.1");
    assert_eq!(name("bad name\n<script>"), "badnamescript");
    assert_eq!(name(&"x".repeat(500)).len(), 100);
}
