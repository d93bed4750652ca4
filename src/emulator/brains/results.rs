//! Results of tool calls, and the places in a script's texts where they are put.
//!
//! `{result}` is the last one, `{result.NAME}` the last of that tool, `{result.NAME.key.0}` a member of it.

use serde_json::Value;

const OPEN: &str = "{result";

#[derive(Default)]
pub(super) struct Results(Vec<(String, String)>);

impl Results {
    pub(super) fn add(&mut self, name: String, content: String) {
        self.0.push((name, content));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `text` with what its places stand for: JSON, or the bare characters of a JSON string. A place that nothing stands
    /// for yet is left empty.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, place, after)) = next_place(rest) {
            filled.push_str(before);
            filled.push_str(&self.at(&place).map_or_else(String::new, shown));
            rest = after;
        }
        filled.push_str(rest);
        filled
    }

    /// The same in all strings of `arguments`; a string that is one place and nothing else becomes what stands there.
    pub(super) fn fill_json(&self, arguments: &mut Value) {
        match arguments {
            Value::String(text) => {
                *arguments = match next_place(text) {
                    Some(("", place, "")) => self.at(&place).unwrap_or_default(),
                    _ => self.fill(text).into(),
                };
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.fill_json(value)),
            Value::Object(members) => members.values_mut().for_each(|value| self.fill_json(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn at(&self, place: &Place<'_>) -> Option<Value> {
        let (_, content) = self.0.iter().rev().find(|(name, _)| place.tool.is_none_or(|tool| tool == name))?;
        let whole: Value = serde_json::from_str(content).ok()?;
        let found = place.path.iter().try_fold(&whole, |value, key| match value {
            Value::Array(values) => values.get(key.parse::<usize>().ok()?),
            _ => value.get(key),
        });
        found.cloned()
    }
}

/// The tools whose results `text` names, with None for the last one whichever it is.
pub(super) fn named(text: &str) -> Vec<Option<&str>> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some((_, place, after)) = next_place(rest) {
        names.push(place.tool);
        rest = after;
    }
    names
}

struct Place<'a> {
    tool: Option<&'a str>,
    path: Vec<&'a str>,
}

/// What precedes the first place in `text`, the place, what follows it.
fn next_place(text: &str) -> Option<(&str, Place<'_>, &str)> {
    let mut from = 0;
    loop {
        let start = from + text.get(from..)?.find(OPEN)?;
        let inner = text.get(start + OPEN.len()..)?;
        let end = inner.find('}')?;
        let mut path = inner.get(..end)?.split('.');
        // `{results}` is text like any other.
        if path.next() == Some("") {
            let tool = path.next();
            return Some((text.get(..start)?, Place { tool, path: path.collect() }, inner.get(end + 1..)?));
        }
        from = start + OPEN.len();
    }
}

fn shown(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn results() -> Results {
        let mut results = Results::default();
        results.add("find".into(), r#"{"id":"a7","all":[{"n":1},{"n":2}]}"#.into());
        results.add("warm".into(), r#"{"t": 21}"#.into());
        results
    }

    #[test]
    fn places_are_filled_with_what_they_name() {
        for (text, filled) in [
            ("{result}", r#"{"t":21}"#),
            ("It is {result.warm.t} at {result.find.id}.", "It is 21 at a7."),
            ("{result.find.all.1.n}{result.find.all}", r#"2[{"n":1},{"n":2}]"#),
            ("{results} {result {result.find.id}", "{results} {result a7"),
            ("no place", "no place"),
            ("gone: {result.find.x.y}, {result.other}", "gone: , "),
        ] {
            assert_eq!(results().fill(text), filled, "{text}");
        }
    }

    #[test]
    fn in_arguments_a_lone_place_keeps_its_type() {
        let mut arguments = json!({"a": "{result.warm.t}", "b": ["{result.find.all.0}", "n {result.warm.t}"], "c": 3});
        results().fill_json(&mut arguments);
        assert_eq!(arguments, json!({"a": 21, "b": [{"n": 1}, "n 21"], "c": 3}));
    }

    #[test]
    fn the_tools_named_are_found() {
        assert_eq!(named("{result} {result.a.b} {result.c}"), [None, Some("a"), Some("c")]);
        assert!(named("{resulting} {result").is_empty());
    }
}
