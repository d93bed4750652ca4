//! A service's words as they may be shown and logged: bounded, on one line, and without what they quote of our own
//! events, which is what the caller's prompt or a person said.

const ELLIPSIS: &str = "\u{2026}";

/// The longest known text has 150.
const MAX_TEXT: usize = 300;
const MAX_NAME: usize = 100;
const MAX_ID: usize = 64;

/// A text and the request id it names, if any.
pub(super) fn text(said: &str) -> (Option<String>, String) {
    let (request_id, rest) = cut_request_id(unwrapped(said.trim()));
    let shown = without_echoes(&rest);
    let words: Vec<&str> = shown.split(|letter: char| letter.is_whitespace() || letter.is_control()).collect();
    let line = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    (request_id, bounded(line))
}

/// An exception's name or code.
pub(super) fn name(name: &str) -> String {
    name.chars().filter(|letter| letter.is_ascii_alphanumeric() || "_-.".contains(*letter)).take(MAX_NAME).collect()
}

/// `Error(s):\nError 1 : <text>`: the service wraps a list around a single error.
fn unwrapped(said: &str) -> &str {
    let listed = said.strip_prefix("Error(s):").map_or(said, str::trim_start);
    let first = listed.strip_prefix("Error 1").map(str::trim_start);
    first.and_then(|rest| rest.strip_prefix(':')).map_or(listed, str::trim_start)
}

/// `RequestId=<id> : <text>`, wherever it stands.
fn cut_request_id(said: &str) -> (Option<String>, String) {
    let whole = || (None, said.to_owned());
    let Some((before, rest)) = said.split_once("RequestId=") else { return whole() };
    let end = rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-')).unwrap_or(rest.len());
    let (id, after) = rest.split_at(end);
    if id.is_empty() || id.len() > MAX_ID {
        return whole();
    }
    let after = after.trim_start();
    let after = after.strip_prefix(':').unwrap_or(after);
    (Some(id.to_owned()), format!("{before}{after}"))
}

fn without_echoes(said: &str) -> String {
    // JSON in a text is one of our own events, or part of it.
    let (mut rest, json) = match said.split_once('{') {
        Some((before, _)) => (before, true),
        None => (said, false),
    };
    let mut shown = String::new();
    while let Some(at) = opening_quote(rest) {
        let (before, quoted) = rest.split_at(at);
        let mark = quoted.chars().next().unwrap_or('"');
        let quoted = quoted.get(mark.len_utf8()..).unwrap_or_default();
        let (inside, after) = quoted.split_once(mark).unwrap_or((quoted, ""));
        shown.push_str(before);
        shown.push(mark);
        // Names and ids have no blanks and are short; what people said or wrote has and is not.
        let echo = inside.len() > MAX_ID || inside.contains(char::is_whitespace);
        shown.push_str(if echo { ELLIPSIS } else { inside });
        shown.push(mark);
        rest = after;
    }
    shown.push_str(rest);
    if json {
        shown.push_str(ELLIPSIS);
    }
    shown
}

/// Where a quotation begins; an apostrophe inside a word is none.
fn opening_quote(text: &str) -> Option<usize> {
    let mut before = ' ';
    text.char_indices().find_map(|(at, letter)| {
        let opens = letter == '"' || (letter == '\'' && !before.is_alphanumeric());
        before = letter;
        opens.then_some(at)
    })
}

fn bounded(text: String) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        None => text,
        Some((end, _)) => format!("{}{ELLIPSIS}", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;
