use std::{path::PathBuf, time::Instant};

use super::*;
use crate::emulator::{
    brains::{Answer, Brain, Plan, Progress},
    faults::FaultKind,
    pace::Pace,
    settings::{BrainChoice, ToolChoice},
};

/// A directory of this test's own, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("novasonic-script-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn load(&self, source: &str) -> io::Result<Script> {
        let path = self.0.join("story.toml");
        fs::write(&path, source).unwrap();
        Script::load(&path)
    }

    fn wav(&self, name: &str, channels: u16, sample_rate: u32, samples: &[i16]) {
        let spec =
            hound::WavSpec { channels, sample_rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
        let mut writer = hound::WavWriter::create(self.0.join(name), spec).unwrap();
        for sample in samples {
            writer.write_sample(*sample).unwrap();
        }
        writer.finalize().unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn request(text: Option<&str>) -> TurnRequest {
    TurnRequest {
        turn_id: 1,
        stream_id: 1,
        account: String::new(),
        text: text.map(str::to_owned),
        pcm: Bytes::new(),
        rate_hz: 16_000,
        output_rate_hz: 16_000,
        voice: "matthew".into(),
        system: String::new(),
        history: Vec::new(),
        tools: Vec::new(),
        tool_choice: ToolChoice::Auto,
    }
}

fn texts(steps: &[Step]) -> Vec<&str> {
    steps
        .iter()
        .map(|step| match &step.action {
            BrainAction::Heard(text) | BrainAction::Say { text, .. } => text.as_str(),
            BrainAction::Call { name, .. } | BrainAction::Event { name, .. } => name,
            BrainAction::Done => "done",
            BrainAction::Failed(_) => "failed",
        })
        .collect()
}

#[test]
fn turns_follow_in_order_and_typed_words_pick_their_own() {
    let script = Folder::new()
        .load(
            "[[turn]]\nheard = \"h\"\n[[turn.step]]\ntext = \"one\"\n[[turn]]\nwhen = \"Bye\"\n[[turn.step]]\ntext = \
             \"farewell\"\n[[turn]]\n[[turn.step]]\ntext = \"two\"\n[[turn.step]]\ntext = \"three\"\n",
        )
        .unwrap();
    let mut place = 0;
    assert_eq!(texts(&script.answer(&request(None), &mut place)), ["h", "one", "done"]);
    assert_eq!(texts(&script.answer(&request(Some("good BYE now")), &mut place)), ["farewell", "done"]);
    assert_eq!(texts(&script.answer(&request(Some("else")), &mut place)), ["two", "three", "done"]);
    assert_eq!(texts(&script.answer(&request(None), &mut place)), ["h", "one", "done"]);
    let only_words = Folder::new().load("[[turn]]\nwhen = \"x\"\n[[turn.step]]\ntext = \"y\"\n").unwrap();
    assert_eq!(texts(&only_words.answer(&request(None), &mut 0)), [NO_TURN, "done"]);
}

#[test]
fn recordings_are_exact_at_their_own_rate_and_tones_at_any() {
    let folder = Folder::new();
    folder.wav("a.wav", 1, 16_000, &[1, -2, 3, -4]);
    let script = folder
        .load("[[turn]]\n[[turn.step]]\nwav = \"a.wav\"\n[[turn.step]]\ntone_hz = 440\ntone_ms = 100\n[[turn.step]]\ntext = \"hm\"\n")
        .unwrap();
    let steps = script.answer(&request(None), &mut 0);
    let pcm: Vec<_> = steps
        .iter()
        .filter_map(|step| match &step.action {
            BrainAction::Say { pcm, .. } => Some(pcm.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(pcm[0].as_deref(), Some(&[1, 0, 254, 255, 3, 0, 252, 255][..]));
    assert_eq!(pcm[1].as_ref().map(Bytes::len), Some(3_200));
    assert_eq!(pcm[2], None);
}

#[test]
fn a_plan_waits_for_delays_and_results() {
    let script = Folder::new()
        .load(
            "[[turn]]\n[[turn.step]]\ndelay_ms = 1000\ntext = \"a\"\n[[turn.step]]\ncall = \"t\"\narguments = { n = 1 \
             }\n[[turn.step]]\ndelay_ms = 500\ntext = \"got {result}\"\n",
        )
        .unwrap();
    let start = Instant::now();
    let after = |ms: u64| start + Duration::from_millis(ms);
    let brain = Brain::Script(script.into());
    let Answer::Plan(mut plan) = brain.answer(&request(None), &mut Progress::default(), Pace::new(2.0), start) else {
        panic!("a script plans");
    };
    assert!(plan.next(after(499)).is_none());
    assert_eq!(plan.deadline(), Some(after(500)));
    assert!(matches!(plan.next(after(500)), Some(BrainAction::Say { .. })));
    let Some(BrainAction::Call { call_id, arguments, .. }) = plan.next(after(500)) else { panic!("no call") };
    assert_eq!(arguments, r#"{"n":1}"#);
    assert_eq!(plan.deadline(), None);
    assert!(plan.next(after(9_000)).is_none());
    plan.tool_result(call_id + 1, "{}".into(), after(9_000));
    assert!(plan.next(after(10_000)).is_none());
    plan.tool_result(call_id, r#"{"x":2}"#.into(), after(10_000));
    assert!(plan.next(after(10_249)).is_none());
    let Some(BrainAction::Say { text, .. }) = plan.next(after(10_250)) else { panic!("no sentence") };
    assert_eq!(text, r#"got {"x":2}"#);
    assert!(matches!(plan.next(after(10_250)), Some(BrainAction::Done)));
    assert!(plan.next(after(99_000)).is_none());
}

/// The next action, of a plan that must have one.
fn due(plan: &mut Plan, now: Instant) -> BrainAction {
    plan.next(now).expect("something to do")
}

fn planned(source: &str, now: Instant) -> Plan {
    let brain = Brain::Script(Folder::new().load(source).unwrap().into());
    match brain.answer(&request(None), &mut Progress::default(), Pace::new(1.0), now) {
        Answer::Plan(plan) => plan,
        Answer::Host => panic!("a script plans"),
    }
}

#[test]
fn calls_may_run_beside_each_other_and_a_text_waits_for_what_it_uses() {
    let source = "[[turn]]\n[[turn.step]]\ncall = \"a\"\nwait = false\n[[turn.step]]\ntext = \"one moment\"\n\
        [[turn.step]]\ncall = \"b\"\nwait = false\n[[turn.step]]\ntext = \"{result.a.x} {result.b.x} {result}\"\n";
    for (first, last) in [(0, 2), (2, 0)] {
        let now = Instant::now();
        let mut plan = planned(source, now);
        assert!(matches!(due(&mut plan, now), BrainAction::Call { call_id: 0, .. }));
        assert!(matches!(due(&mut plan, now), BrainAction::Say { text, .. } if text == "one moment"));
        assert!(matches!(due(&mut plan, now), BrainAction::Call { call_id: 2, .. }));
        assert!(plan.next(now).is_none());
        let content = |id: u64| format!(r#"{{"x":"of {id}"}}"#);
        plan.tool_result(first, content(first), now);
        assert!(plan.next(now).is_none());
        plan.tool_result(last, content(last), now);
        let BrainAction::Say { text, .. } = due(&mut plan, now) else { panic!("no sentence") };
        assert_eq!(text, format!("of 0 of 2 {}", content(last)));
        assert!(matches!(due(&mut plan, now), BrainAction::Done));
    }
}

#[test]
fn a_call_takes_results_for_arguments_and_may_encode_them_twice() {
    let source = "[[turn]]\n[[turn.step]]\ncall = \"a\"\n[[turn.step]]\ncall = \"b\"\narguments = { id = \
        \"{result.a.id}\", say = \"n {result.a.id}\" }\ndouble_encoded = true\n";
    let now = Instant::now();
    let mut plan = planned(source, now);
    due(&mut plan, now);
    plan.tool_result(0, r#"{"id":7}"#.into(), now);
    let BrainAction::Call { arguments, .. } = due(&mut plan, now) else { panic!("no call") };
    assert_eq!(arguments, r#""{\"id\":7,\"say\":\"n 7\"}""#);
}

#[test]
fn mistakes_name_file_line_and_key() {
    let folder = Folder::new();
    folder.wav("stereo.wav", 2, 16_000, &[0, 0]);
    folder.wav("slow.wav", 1, 4_000, &[0, 0]);
    fs::write(folder.0.join("not.wav"), "RIFFnothing").unwrap();
    let table = [
        ("", 1, "turn"),
        ("turn = []\n", 1, "at least one [[turn]]"),
        ("[[turn]]\nheared = \"x\"\n[[turn.step]]\ntext = \"x\"\n", 2, "heared"),
        ("[[turn]]\n[[turn.step]]\ntext = 7\n", 3, "text"),
        ("[[turn]]\n[[turn.step]]\ntext = \"open\n", 3, "text"),
        ("[[turn]]\n[[turn.step]]\ndelay_ms = 3\n", 2, "it needs text, wav, tone_hz, call or event"),
        ("[[turn]]\n[[turn.step]]\ntext = \"x\"\ndelay_ms = -1\n", 4, "delay_ms"),
        ("[[turn]]\n[[turn.step]]\ntext = \"x\"\ndelay_ms = 9999999\n", 4, "delay_ms"),
        ("[[turn]]\n[[turn.step]]\ntext = \"x\"\ncall = \"y\"\n", 4, "call"),
        ("[[turn]]\n[[turn.step]]\ntext = \"x\"\narguments = {}\n", 4, "arguments"),
        ("[[turn]]\n[[turn.step]]\ncall = \"x\"\narguments = { at = 2026-01-01 }\n", 4, "arguments"),
        ("[[turn]]\n[[turn.step]]\ntext = \"x\"\nwait = false\n", 4, "wait: only with call"),
        ("[[turn]]\n[[turn.step]]\nevent = \"x\"\ndouble_encoded = true\n", 4, "double_encoded: only with call"),
        ("[[turn]]\n[[turn.step]]\ncall = \"x\"\nfields = {}\n", 4, "fields: only with event"),
        ("[[turn]]\n[[turn.step]]\ncall = \"x\"\nevent = \"y\"\n", 3, "only one of them"),
        ("[[turn]]\n[[turn.step]]\nevent = \"x\"\ntext = \"y\"\n", 3, "not both"),
        ("[[turn]]\n[[turn.step]]\nevent = \"x\"\nfields = { at = 2026-01-01 }\n", 4, "fields"),
        ("[[turn]]\n[[turn.step]]\ntext = \"{result}\"\n", 3, "a result of any tool before"),
        ("[[turn]]\n[[turn.step]]\ncall = \"a\"\n[[turn.step]]\ntext = \"{result.b}\"\n", 5, "a result of b before"),
        ("[[turn]]\n[[turn.step]]\ncall = \"a\"\narguments = { x = \"{result.a}\" }\n", 4, "arguments: a result of a"),
        ("[[turn]]\non_result = \"a\"\nheard = \"x\"\n[[turn.step]]\ntext = \"x\"\n", 2, "on_result"),
        ("[service]\nbarge = 1\n[[turn]]\n[[turn.step]]\ntext = \"x\"\n", 2, "barge"),
        ("[service]\nfinals = \"soon\"\n[[turn]]\n[[turn.step]]\ntext = \"x\"\n", 2, "finals"),
        (
            "[service]\nbarge_in = \"speech_only\"\nspeech_events = false\n[[turn]]\n[[turn.step]]\ntext = \"x\"\n",
            1,
            "speech_only needs speech_events",
        ),
        ("[[turn]]\n[[turn.step]]\ntext = \"x\"\ntone_ms = 5\n", 4, "tone_ms"),
        ("[[turn]]\n[[turn.step]]\ntone_hz = 9000\n", 3, "tone_hz"),
        ("[[turn]]\n[[turn.step]]\ntone_hz = nan\n", 3, "tone_hz"),
        ("[[turn]]\n[[turn.step]]\ntone_hz = 440\ntone_ms = 0\n", 4, "tone_ms"),
        ("[[turn]]\n[[turn.step]]\nwav = \"stereo.wav\"\ntone_hz = 440\n", 4, "tone_hz"),
        ("[[turn]]\n[[turn.step]]\nwav = \"none.wav\"\n", 3, "wav: none.wav"),
        ("[[turn]]\n[[turn.step]]\nwav = \"not.wav\"\n", 3, "wav: not.wav"),
        ("[[turn]]\n[[turn.step]]\nwav = \"stereo.wav\"\n", 3, "not 16-bit mono"),
        ("[[turn]]\n[[turn.step]]\nwav = \"slow.wav\"\n", 3, "its rate"),
        ("[[turn]]\nwhen = \" \"\n[[turn.step]]\ntext = \"x\"\n", 2, "when"),
    ];
    for (source, line, key) in table {
        let Err(error) = folder.load(source) else { panic!("taken: {source}") };
        let text = error.to_string();
        assert!(text.contains(&format!("story.toml:{line}: ")), "{text}");
        assert!(text.contains(key), "{text}");
    }
    let missing = Brain::load(&BrainChoice::Script(folder.0.join("absent.toml"))).err().unwrap();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    assert!(missing.to_string().contains("absent.toml"));
}

#[test]
fn a_script_may_bring_faults() {
    let folder = Folder::new();
    let turn = "[[turn]]\n[[turn.step]]\ntext = \"x\"\n";
    let load = |faults: &str| folder.load(&format!("{turn}{faults}"));
    let script = load(
        "[[fault]]\nkind = \"fin\"\n[[fault]]\nkind = \"event\"\nname = \"x\"\nfields = { a = 1 }\nafter_output = 2\n",
    );
    let event = FaultKind::Event { name: "x".into(), fields: r#"{"a":1}"#.into() };
    assert_eq!(script.unwrap().faults(), [Fault::after_input(0, FaultKind::Fin), Fault::after_output(2, event)]);
    for (fault, said) in [
        ("[[fault]]\nkind = \"fin\"\ncode = 3\n", "story.toml:4: fault \"fin\": it takes no code"),
        ("[[fault]]\nkind = \"fin\"\ncod = 3\n", "story.toml:6: unknown field `cod`"),
    ] {
        let error = load(fault).err().unwrap().to_string();
        assert!(error.contains(said), "{error}");
    }
}
