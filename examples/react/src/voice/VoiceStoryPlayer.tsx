import { useCallback, useId, useState, type SubmitEvent } from "react";
import { visible } from "novasonic/make.js";
import type { NovaSonic } from "novasonic/novasonic.js";
import type { Condition, State } from "novasonic/types.d.ts";

import { useSite, type Story } from "../site";
import { Captions } from "./Captions";
import { ConversationHistory } from "./ConversationHistory";
import { Meter } from "./Meter";
import { useNovaSonic, type Voice } from "./useNovaSonic";
import { VoiceRecorder } from "./VoiceRecorder";

const STATE_WORDS: Record<State, string> = {
  idle: "Press Talk and ask for the story",
  connecting: "Connecting…",
  queued: "Waiting for a free line…",
  listening: "Listening",
  thinking: "Thinking…",
  speaking: "Speaking. Talk over it to stop it.",
  reconnecting: "The connection was lost. Coming back…",
  ended: "The conversation has ended",
  failed: "Something went wrong",
};
/** What is good to know, and nothing to be done about. */
const PASSING: Condition[] = ["changed", "hidden"];
const UNHEARD_WORDS: Partial<Record<State, string>> = { listening: "Ready", speaking: "Speaking" };

export interface VoiceStoryPlayerProps {
  story: Story;
  onSessionStart?: (sessionId: string) => void;
  onSessionEnd?: (sessionId: string) => void;
}

/** Tell a story aloud, let the listener speak, type or send recordings, and show what was said. */
export function VoiceStoryPlayer(props: VoiceStoryPlayerProps) {
  // Another story is another conversation: the one before ends with its component.
  return <Player key={props.story.id} {...props} />;
}

function Player({ story, onSessionStart, onSessionEnd }: VoiceStoryPlayerProps) {
  const site = useSite();
  const heading = useId();
  const [ended, setEnded] = useState(0);
  const voice = useNovaSonic({
    url: site.socketOf(story),
    choices: async () => ({ ticket: await site.ticket() }),
    onSessionStart,
    onSessionEnd: (sessionId) => {
      setEnded((count) => count + 1);
      onSessionEnd?.(sessionId);
    },
  });
  const { nova, state, condition, problem, words } = voice;
  // For the console and for tests, as `<nova-sonic-talk>` has it.
  const show = useCallback(
    (element: (HTMLElement & { nova?: NovaSonic }) | null) => {
      if (element) {
        element.nova = nova;
      }
    },
    [nova],
  );
  // The end has its word in the status; what should not have ended it has said so as a problem.
  const notice = problem || (state === "ended" ? "" : words);
  const isHeard = voice.listens && !nova.pushToTalk;

  return (
    <article className="player" aria-labelledby={heading} ref={show}>
      <header>
        <h2 id={heading}>{story.title}</h2>
        <p>{story.summary}</p>
      </header>
      <div className="stage" data-state={state}>
        <p className="state" role="status">
          {(!isHeard && UNHEARD_WORDS[state]) || STATE_WORDS[state]}
        </p>
        <Meter nova={nova} />
        <button type="button" disabled={state !== "speaking"} onClick={voice.interrupt}>
          Stop the answer
        </button>
      </div>
      {notice && (
        <p className={!problem && condition && PASSING.includes(condition) ? "notice" : "problem"} role="alert">
          {notice}
        </p>
      )}
      <Approvals voice={voice} />
      <Captions lines={voice.lines} />
      <VoiceRecorder voice={voice} />
      <TypedInput voice={voice} />
      <Figures voice={voice} />
      <ConversationHistory story={story} revision={ended} />
    </article>
  );
}

function Approvals({ voice }: { voice: Voice }) {
  return voice.approvals.map(({ id, name, arguments: values }) => (
    <div key={id} className="approval" role="group" aria-label={`Permission for ${visible(name)}`}>
      <p>
        May the storyteller do this? <b>{visible(name)}</b> <code>{visible(JSON.stringify(values))}</code>
      </p>
      <button type="button" onClick={() => voice.approve(id, true)}>
        Allow
      </button>
      <button type="button" onClick={() => voice.approve(id, false)}>
        Deny
      </button>
    </div>
  ));
}

function TypedInput({ voice }: { voice: Voice }) {
  const [text, setText] = useState("");
  const send = async (event: SubmitEvent) => {
    event.preventDefault();
    // What could not be sent stays in the field.
    if (text.trim() && (await voice.sendText(text.trim()))) {
      setText("");
    }
  };
  return (
    <form className="row" onSubmit={(event) => void send(event)}>
      <input
        aria-label="Type instead of talking"
        placeholder="Type instead of talking"
        maxLength={4000}
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      <button>Send</button>
    </form>
  );
}

function Figures({ voice: { responseMs, usd } }: { voice: Voice }) {
  if (responseMs === null && usd === null) {
    return null;
  }
  return (
    <p className="hint">
      {responseMs !== null && `Answered after ${(responseMs / 1000).toFixed(2)} s. `}
      {usd !== null && `This conversation has cost $${usd.toFixed(4)}.`}
    </p>
  );
}
