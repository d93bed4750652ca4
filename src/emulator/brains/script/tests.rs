use std::time::Instant;

use super::*;
use crate::emulator::{
    brains::{Answer, Brain, Progress},
    pace::Pace,
    settings::BrainChoice,
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
        text: text.map(str::to_owned),
        pcm: Bytes::new(),
        rate_hz: 16_000,
        output_rate_hz: 16_000,
        voice: "matthew".into(),
        system: String::new(),
        history: Vec::new(),
        tools: Vec::new(),
    }
}

fn texts(steps: &[Step]) -> Vec<&str> {
    steps
        .iter()
        .map(|step| match &step.action {
            BrainAction::Heard(text) | BrainAction::Say { text, .. } => text.as_str(),
            BrainAction::Call { name, .. } => name,
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
        ("[[turn]]\n[[turn.step]]\ndelay_ms = 3\n", 2, "it needs text, wav, tone_hz or call"),
        ("[[turn]]\n[[turn.step]]\ntext = \"x\"\ndelay_ms = -1\n", 4, "delay_ms"),
        ("[[turn]]\n[[turn.step]]\ntext = \"x\"\ndelay_ms = 9999999\n", 4, "delay_ms"),
        ("[[turn]]\n[[turn.step]]\ntext = \"x\"\ncall = \"y\"\n", 4, "call"),
        ("[[turn]]\n[[turn.step]]\ntext = \"x\"\narguments = {}\n", 4, "arguments"),
        ("[[turn]]\n[[turn.step]]\ncall = \"x\"\narguments = { at = 2026-01-01 }\n", 4, "arguments"),
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
