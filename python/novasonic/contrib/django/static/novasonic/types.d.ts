/** Types of the page's modules, for JSDoc, editors and TypeScript. No page loads this file. */

/** The server's messages: docs/reference/browser-wire.md says what each means. */
export type Initialized = {
  type: "initialized";
  protocol: number;
  sessionId: string;
  inputRate: number;
  outputRate: number;
  resumeToken?: string | null;
};
/** Follows `initialized`; `turn` is the last complete one: what was shown of later turns is said again, or not at all. */
export type Resumed = { type: "resumed"; sessionId: string; turn: number };
export type ResumeToken = { type: "resume_token"; resumeToken: string };
export type Reconnect = { type: "reconnect"; afterMs: number; resumeToken?: string | null };
/** 1 is the next, 0: it has been one's turn. */
export type Queued = { type: "queued"; position: number };
export type Heartbeat = { type: "heartbeat" };
/** A sentence; a final one replaces the one that is not, of the same turn, role and segment. */
export type Transcript = {
  type: "transcript";
  role: "user" | "assistant";
  text: string;
  final: boolean;
  turn: number | null;
  segment: number;
};
export type TurnStarted = { type: "turn_started"; turn: number };
export type TurnEnded = { type: "turn_ended"; turn: number; interrupted: boolean; responseMs?: number | null };
export type Interrupted = { type: "interrupted"; turn: number; source: "model" | "client" };
export type AudioChunk = { type: "audio_chunk"; turn: number; audio: string };
export type Usage = { type: "usage"; turn: number | null; total: Record<string, number>; usd: number };
export type Tool = {
  type: "tool";
  turn: number | null;
  id: string;
  name: string;
  state: "called" | "finished";
  ok: boolean | null;
  seconds: number | null;
  arguments?: object;
};
/** Waits for `approve`. */
export type ToolApproval = { type: "tool_approval"; turn: number | null; id: string; name: string; arguments: object };
export type Renewing = { type: "renewing"; turn: number | null; reason: string };
export type Renewed = { type: "renewed"; turn: number | null; ms: number; replayedMs: number };
export type ServerError = {
  type: "error";
  code: string;
  message: string;
  retryable: boolean;
  fatal: boolean;
  messageId: string | null;
  refusedFrames?: number;
  refusedMessages?: number;
};
export type Closed = { type: "closed"; reason: string };
/** A message of a later version; to be ignored. */
export type Unknown = { type: "unknown"; name: string };
export type Known =
  | Initialized
  | Resumed
  | ResumeToken
  | Reconnect
  | Queued
  | Heartbeat
  | Transcript
  | TurnStarted
  | TurnEnded
  | Interrupted
  | AudioChunk
  | Usage
  | Tool
  | ToolApproval
  | Renewing
  | Renewed
  | ServerError
  | Closed;
export type ServerMessage = Known | Unknown;

/** What the site lets a page choose. Sound comes as binary frames: `audioFormat` is for clients that cannot take those. */
export type Choices = {
  voice?: string;
  model?: string;
  region?: string;
  language?: string;
  ticket?: string;
  resumeToken?: string | null;
};

export type State =
  | "idle"
  | "connecting"
  | "queued"
  | "listening"
  | "thinking"
  | "speaking"
  | "reconnecting"
  | "ended"
  | "failed";
export type MicrophoneCode = "insecure" | "denied" | "missing" | "busy";
/** What the user should know beside the state. */
export type Condition = MicrophoneCode | "unplugged" | "changed" | "offline" | "hidden";
/** What the client says to users, by key; see words.js. */
export type Words = typeof import("./words.js").WORDS;

export type Options = {
  /** Path or address of the site's WebSocket. */
  url: string;
  /** Of `initialize`; a function is asked for each socket anew, as one-time tickets need. */
  choices?: Choices | (() => Choices | Promise<Choices>);
  words?: Partial<Words>;
  /** Length of a frame of the microphone. */
  frameMs?: 20 | 32;
  /** The microphone rests while the answer is played: for loudspeakers that no echo cancellation helps. */
  halfDuplex?: boolean;
  /** Of `devices()`; by default the browser's choice. */
  deviceId?: string;
  /** Addresses, where files do not lie beside the module under their own names. */
  captureWorklet?: string;
  playbackWorklet?: string;
};

/** Details of the events, by type. */
export type Details = { [M in ServerMessage as M["type"]]: M } & {
  /** Whenever the state or the condition changes; words are for the user, empty where the state says it all. */
  state: { state: State; condition: Condition | null; words: string };
  /** Loudness of both sides, RMS from 0 to 1, once for each frame. */
  level: { level: number; answer: number };
  /** How long an interruption took from the server's message to silence. */
  flushed: { ms: number };
};

/** An EventTarget that knows its events. */
export type Target = {
  addEventListener<T extends keyof Details>(
    type: T,
    listener: (event: CustomEvent<Details[T]>) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<T extends keyof Details>(
    type: T,
    listener: (event: CustomEvent<Details[T]>) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  dispatchEvent(event: Event): boolean;
};

/** A frame of the user's side; level is its RMS, 0 to 1. */
export type Frame = { pcm: ArrayBuffer; level: number };

export type CaptureOptions = {
  worklet: string;
  /** Hz of the frames. */
  rate: number;
  frameMs: number;
  onFrame: (frame: Frame) => void;
  /** The microphone was unplugged, or taken back. */
  onLost: () => void;
};
export type PlaybackOptions = {
  worklet: string;
  /** Hz of what is pushed. */
  rate: number;
  onReport: (report: PlaybackReport) => void;
};

/** What the page sends to playback-worklet.js. */
export type PlaybackOrder = { type: "audio" | "end" | "flush"; turn: number; pcm?: ArrayBuffer };
/** What the page gets of it: `ms` of `turn` were heard so far. */
export type PlaybackReport = {
  type: "playing" | "played" | "drained" | "flushed";
  turn: number | null;
  ms: number;
  /** Of a flush: what was queued and is forgotten. */
  droppedMs: number;
  /** Holes in what was heard. */
  underruns: number;
  /** What exceeded the longest answer that is held. */
  lostMs: number;
  /** How much of an answer is held back before it starts, as the network's jitter demands. */
  leadMs: number;
  queuedMs: number;
};
