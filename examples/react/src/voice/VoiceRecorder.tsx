import { useEffect, useId, useRef, useState } from "react";

import { MAX_SECONDS, startRecorder, type Recorder, type Recording } from "./recording";
import type { Voice } from "./useNovaSonic";

interface Kept extends Recording {
  id: number;
  /** Of `file`, for the audio element. */
  url: string;
  sent: boolean;
}

/**
 * The user's voice: live, or recorded first, listened to, and sent.
 *
 * A recording goes by `nova.speak`, whole and in text frames ("Recordings" in docs/reference/browser-wire.md): none of it is
 * dropped where the network is slow, as it must be of live speech, and it is on such networks that people record first.
 * The site speaks it at the pace of speech; what cannot be sent stays here, to be sent again.
 */
export function VoiceRecorder({ voice }: { voice: Voice }) {
  const { nova } = voice;
  const [recordsFirst, setRecordsFirst] = useState(false);
  const name = useId();

  useEffect(() => {
    // With a microphone open already: what is being recorded must not be heard live.
    nova.pushToTalk = recordsFirst;
  }, [nova, recordsFirst]);

  return (
    <section className="recorder" aria-label="Your voice">
      <fieldset className="ways">
        <legend className="unseen">How you talk</legend>
        <label>
          <input type="radio" name={name} checked={!recordsFirst} onChange={() => setRecordsFirst(false)} />
          Talk live
        </label>
        <label>
          <input type="radio" name={name} checked={recordsFirst} onChange={() => setRecordsFirst(true)} />
          Record, then send
        </label>
      </fieldset>
      {recordsFirst ? <RecordFirst voice={voice} /> : <TalkLive voice={voice} />}
    </section>
  );
}

function TalkLive({ voice }: { voice: Voice }) {
  const { active, listens, muted } = voice;
  return (
    <div className="row">
      {active && listens ? (
        <>
          <button type="button" className="primary ending" onClick={voice.stop}>
            End the conversation
          </button>
          <button type="button" aria-pressed={muted} onClick={() => voice.mute(!muted)}>
            Mute
          </button>
        </>
      ) : (
        <button
          type="button"
          className="primary"
          disabled={voice.state === "connecting"}
          onClick={() => void voice.start()}
        >
          Talk
        </button>
      )}
    </div>
  );
}

function RecordFirst({ voice }: { voice: Voice }) {
  const recorder = useRef<Recorder | null>(null);
  const [phase, setPhase] = useState<"ready" | "opening" | "recording">("ready");
  const [kept, setKept] = useState<Kept[]>([]);
  const [problem, setProblem] = useState("");
  const [sending, setSending] = useState(false);
  const urls = useRef(new Set<string>());
  const level = useRef<HTMLSpanElement>(null);
  const here = useRef(true);

  useEffect(() => {
    here.current = true;
    const made = urls.current;
    return () => {
      here.current = false;
      void recorder.current?.stop();
      recorder.current = null;
      made.forEach((url) => URL.revokeObjectURL(url));
      made.clear();
    };
  }, []);

  const finish = async () => {
    const running = recorder.current;
    recorder.current = null;
    setPhase("ready");
    const recording = await running?.stop();
    if (recording && here.current) {
      const url = URL.createObjectURL(recording.file);
      urls.current.add(url);
      setKept((before) => [...before, { ...recording, url, sent: false, id: (before.at(-1)?.id ?? 0) + 1 }]);
    }
  };
  const begin = async () => {
    setProblem("");
    setPhase("opening");
    // The answer would be in the recording.
    voice.interrupt();
    try {
      const begun = await startRecorder({
        onLevel: (rms) => level.current?.style.setProperty("--user", String(Math.min(1, Math.sqrt(rms) * 1.8))),
        onEnd: () => void finish(),
      });
      if (!here.current) {
        void begun.stop();
        return;
      }
      recorder.current = begun;
      setPhase("recording");
    } catch (error) {
      setProblem((error as Error).message);
      setPhase("ready");
    }
  };
  const discard = ({ id, url }: Kept) => {
    URL.revokeObjectURL(url);
    urls.current.delete(url);
    setKept((before) => before.filter((other) => other.id !== id));
  };
  const send = async ({ id, file }: Kept) => {
    setSending(true);
    const sent = await voice.sendRecording(file);
    setSending(false);
    setKept((before) => before.map((other) => (other.id === id ? { ...other, sent: other.sent || sent } : other)));
  };

  return (
    <>
      <div className="row">
        {phase === "recording" ? (
          <button type="button" className="primary ending" onClick={() => void finish()}>
            Stop recording
          </button>
        ) : (
          <button type="button" className="primary" disabled={phase === "opening"} onClick={() => void begin()}>
            Record
          </button>
        )}
        {voice.active && (
          <button type="button" onClick={voice.stop}>
            End the conversation
          </button>
        )}
        <span className="meter" aria-hidden="true" ref={level}>
          <span className="meter-user" />
        </span>
      </div>
      <p className="hint">Up to {MAX_SECONDS} seconds. Nothing leaves this page before you send it.</p>
      {problem && (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
      <ol className="recordings" aria-label="Recordings">
        {kept.map((recording) => (
          <li key={recording.id}>
            <audio controls src={recording.url} aria-label={`Recording ${recording.id}`} />
            <span>{recording.seconds.toFixed(1)} s</span>
            <button
              type="button"
              disabled={sending}
              aria-label={`${recording.sent ? "Send again" : "Send"}: recording ${recording.id}`}
              onClick={() => void send(recording)}
            >
              {recording.sent ? "Send again" : "Send"}
            </button>
            <button type="button" aria-label={`Discard recording ${recording.id}`} onClick={() => discard(recording)}>
              Discard
            </button>
          </li>
        ))}
      </ol>
    </>
  );
}
