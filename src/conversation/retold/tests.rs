use proptest::prelude::*;

use super::*;

fn told(said: &[(Role, &str)], most_bytes: usize) -> Vec<String> {
    let mut retold = Retold::default();
    for (role, text) in said {
        retold.says(*role, text);
    }
    let letter = |role| if role == Role::User { 'U' } else { 'A' };
    retold.messages(most_bytes).iter().map(|message| format!("{} {}", letter(message.role), message.text)).collect()
}

const U: Role = Role::User;
const A: Role = Role::Assistant;

#[test]
fn the_service_s_rules() {
    for (case, said, most, expected) in [
        ("as it was said", vec![(U, "one"), (A, "two"), (U, "three")], 99, vec!["U one", "A two", "U three"]),
        (
            "same roles merged",
            vec![(U, "one"), (U, "two"), (A, "three"), (A, "four")],
            99,
            vec!["U one\ntwo", "A three\nfour"],
        ),
        ("the user first", vec![(A, "hello"), (U, "one")], 99, vec!["U one"]),
        ("nobody said anything", vec![(A, "hello")], 99, vec![]),
        ("blanks are nothing", vec![(U, " one\n"), (A, "  "), (U, "two")], 99, vec!["U one\ntwo"]),
        ("the newest kept", vec![(U, "one"), (A, "two"), (U, "three"), (A, "four")], 9, vec!["U three", "A four"]),
        (
            "to the byte",
            vec![(U, "one"), (A, "two"), (U, "three"), (A, "four")],
            15,
            vec!["U one", "A two", "U three", "A four"],
        ),
        ("one byte less", vec![(U, "one"), (A, "two"), (U, "three"), (A, "four")], 14, vec!["U three", "A four"]),
        ("no answer without its question", vec![(U, "one"), (A, "two")], 4, vec![]),
        ("half a sentence where it is all", vec![(U, "one two")], 3, vec!["U two"]),
        ("between characters", vec![(U, "aé")], 1, vec![]),
        ("between characters, too", vec![(U, "aéb")], 2, vec!["U b"]),
        ("nothing", vec![(U, "one")], 0, vec![]),
    ] {
        assert_eq!(told(&said, most), expected, "{case}");
    }
}

#[test]
fn one_message_has_its_own_bound() {
    let long = format!("{}end", "é".repeat(30_000));
    let told = told(&[(U, "first"), (A, "second"), (U, &long)], 200 * 1_024);
    assert_eq!((told.len(), told[0].as_str()), (3, "U first"));
    assert!(told[2].len() - 2 <= 50 * 1_024 && told[2].len() - 2 > 50 * 1_024 - 2 && told[2].ends_with("end"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_is_legal_and_ends_with_what_is_newest(
        said in prop::collection::vec((any::<bool>(), "[a-zé€🙂 ]{0,12}"), 0..20), most in 0_usize..80
    ) {
        let mut retold = Retold::default();
        for (user, text) in &said {
            retold.says(if *user { U } else { A }, text);
        }
        let messages = retold.messages(most);
        prop_assert!(messages.first().is_none_or(|first| first.role == U));
        prop_assert!(messages.windows(2).all(|pair| pair[0].role != pair[1].role));
        prop_assert!(messages.iter().all(|message| !message.text.is_empty()));
        prop_assert!(messages.iter().map(|message| message.text.len()).sum::<usize>() <= most);
        let last = said.iter().rev().find(|(_, text)| !text.trim().is_empty());
        if let (Some(newest), Some((_, text))) = (messages.last(), last) {
            prop_assert!(text.trim().ends_with(&newest.text) || newest.text.ends_with(text.trim()));
        }
    }
}
