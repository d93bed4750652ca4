//! What a client sent on one stream, kept where a test asked for it. It holds what somebody said: never on by itself.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

/// Eight minutes of 48 kHz, in bytes of PCM.
const MAX_PCM_BYTES: usize = 8 * 60 * 48_000 * 2;
/// PCM of all streams of an emulator together.
const MAX_TOTAL_BYTES: usize = 1 << 30;
/// Texts of one stream: history and results are far smaller in anything that the service takes.
const MAX_TEXT_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recording {
    /// The user's audio as it came, its blocks one after the other.
    pub pcm: Vec<u8>,
    pub system: String,
    /// (`user` or `assistant`, text) of the history replayed.
    pub history: Vec<(String, String)>,
    pub typed: Vec<String>,
    /// (toolUseId, content).
    pub tool_results: Vec<(String, String)>,
    /// Something did not fit in and was left out.
    pub truncated: bool,
    text_bytes: usize,
}

impl Recording {
    fn makes_room(&mut self, bytes: usize) -> bool {
        let fits = self.text_bytes + bytes <= MAX_TEXT_BYTES;
        self.truncated |= !fits;
        if fits {
            self.text_bytes += bytes;
        }
        fits
    }
}

/// Shared by the dialogue that fills it and whoever asks for it.
#[derive(Clone, Default)]
pub(super) struct Recorder(Option<Arc<Kept>>);

struct Kept {
    recording: Mutex<Recording>,
    /// Bytes of PCM that the emulator's recordings hold together.
    total: Arc<AtomicUsize>,
}

impl Recorder {
    pub(super) fn new(wanted: bool, total: &Arc<AtomicUsize>) -> Self {
        Self(wanted.then(|| Arc::new(Kept { recording: Mutex::default(), total: Arc::clone(total) })))
    }

    /// Whether what is handed over is kept.
    pub(super) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn recording(&self) -> Option<Recording> {
        self.0.as_ref().map(|kept| lock(&kept.recording).clone())
    }

    pub(super) fn pcm(&self, pcm: &[u8]) {
        let Some(kept) = &self.0 else { return };
        let mut recording = lock(&kept.recording);
        let total = kept.total.load(Ordering::Relaxed) + pcm.len();
        if recording.pcm.len() + pcm.len() <= MAX_PCM_BYTES && total <= MAX_TOTAL_BYTES {
            recording.pcm.extend_from_slice(pcm);
            kept.total.fetch_add(pcm.len(), Ordering::Relaxed);
        } else {
            recording.truncated = true;
        }
    }

    pub(super) fn system(&self, text: &str) {
        self.text(text, |recording, text| recording.system = text);
    }

    pub(super) fn history(&self, role: &str, text: &str) {
        self.text(text, |recording, text| recording.history.push((role.to_owned(), text)));
    }

    pub(super) fn typed(&self, text: &str) {
        self.text(text, |recording, text| recording.typed.push(text));
    }

    pub(super) fn tool_result(&self, id: &str, content: &str) {
        self.text(content, |recording, content| recording.tool_results.push((id.to_owned(), content)));
    }

    fn text(&self, text: &str, note: impl FnOnce(&mut Recording, String)) {
        self.note(|recording| {
            if recording.makes_room(text.len()) {
                note(recording, text.to_owned());
            }
        });
    }

    fn note(&self, note: impl FnOnce(&mut Recording)) {
        if let Some(kept) = &self.0 {
            note(&mut lock(&kept.recording));
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.total.fetch_sub(lock(&self.recording).pcm.len(), Ordering::Relaxed);
    }
}

fn lock(recording: &Mutex<Recording>) -> MutexGuard<'_, Recording> {
    recording.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_bounded_and_says_so() {
        let total = Arc::new(AtomicUsize::new(0));
        let recorder = Recorder::new(true, &total);
        recorder.pcm(&vec![0; MAX_PCM_BYTES - 2]);
        recorder.pcm(&[1; 2]);
        recorder.typed(&"x".repeat(MAX_TEXT_BYTES));
        assert!(!recorder.recording().unwrap().truncated);
        recorder.pcm(&[2; 2]);
        assert!(recorder.recording().unwrap().truncated);
        assert_eq!(recorder.recording().unwrap().pcm.len(), MAX_PCM_BYTES);
        recorder.history("user", "y");
        assert!(recorder.recording().unwrap().history.is_empty());
        drop(recorder);
        assert_eq!(total.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn all_recordings_together_are_bounded() {
        let total = Arc::new(AtomicUsize::new(MAX_TOTAL_BYTES - 2));
        let recorder = Recorder::new(true, &total);
        recorder.pcm(&[1; 2]);
        recorder.pcm(&[2; 2]);
        assert_eq!(recorder.recording().unwrap().pcm, [1; 2]);
        assert!(recorder.recording().unwrap().truncated);
    }

    #[test]
    fn nothing_is_kept_unasked() {
        let recorder = Recorder::new(false, &Arc::default());
        recorder.pcm(&[1; 2]);
        assert_eq!(recorder.recording(), None);
    }
}
