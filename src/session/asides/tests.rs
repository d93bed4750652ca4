use super::*;

#[test]
fn a_result_is_taken_once_and_only_for_a_call_that_waits() {
    let asides = Asides::default();
    let push = |id: &str, json: &str| asides.push_result(id.to_owned(), json.to_owned(), true).map_err(|e| e.code);
    assert_eq!(push("a", "{}"), Err("unknown_tool_call".to_owned()));
    asides.called("a");
    assert_eq!(push("a", "[]"), Err("invalid_tool_result".to_owned()));
    assert_eq!(push("a", "{}"), Ok(()));
    assert_eq!(push("a", "{}"), Err("unknown_tool_call".to_owned()));
    assert_eq!(asides.pop_result(), Some(ToolResult { id: "a".to_owned(), json: "{}".to_owned(), ok: true }));
    assert_eq!(asides.pop_result(), None);
}

#[test]
fn prompts_are_bounded() {
    let asides = Asides::default();
    for token in 0..16 {
        asides.push_prompt(Prompt { token, text: "Go.".to_owned() }).unwrap();
    }
    let refused = asides.push_prompt(Prompt { token: 16, text: "Go.".to_owned() }).unwrap_err();
    assert_eq!(refused.code, "too_many_prompts");
    assert_eq!(asides.pop_prompt().map(|prompt| prompt.token), Some(0));
}
