/** What a page shows of a conversation, as a reducer over the client's events. */

import type {
  Condition,
  State,
  ToolApproval,
  Transcript,
  TurnEnded,
  Usage,
} from "novasonic/types.d.ts";

export interface Conversation {
  state: State;
  condition: Condition | null;
  /** Of the state or condition, for the user; empty where the state says it all. */
  words: string;
  listens: boolean;
  muted: boolean;
  /** What failed last, for the user. */
  problem: string;
  sentences: Transcript[];
  cutTurns: number[];
  approvals: ToolApproval[];
  responseMs: number | null;
  usd: number | null;
}

export type Change =
  | { type: "state"; state: State; condition: Condition | null; words: string }
  | { type: "flags"; listens: boolean; muted: boolean }
  | { type: "begun" }
  | { type: "resumed"; turn: number }
  | { type: "interrupted"; turn: number }
  | { type: "problem"; problem: string }
  | { type: "approved"; id: string }
  | Transcript
  | TurnEnded
  | ToolApproval
  | Usage;

export const NOTHING_SAID: Conversation = {
  state: "idle",
  condition: null,
  words: "",
  listens: false,
  muted: false,
  problem: "",
  sentences: [],
  cutTurns: [],
  approvals: [],
  responseMs: null,
  usd: null,
};

export function changed(before: Conversation, change: Change): Conversation {
  switch (change.type) {
    case "state":
      return { ...before, state: change.state, condition: change.condition, words: change.words };
    case "flags":
      return { ...before, listens: change.listens, muted: change.muted };
    case "begun":
      return { ...before, sentences: [], cutTurns: [], approvals: [], responseMs: null, usd: null };
    case "resumed":
      // What was shown of later turns is said again, or not at all.
      return { ...before, sentences: before.sentences.filter(({ turn }) => (turn ?? 0) <= change.turn), approvals: [] };
    case "transcript":
      return { ...before, sentences: withSentence(before.sentences, change) };
    case "interrupted":
      return { ...before, cutTurns: [...before.cutTurns, change.turn] };
    case "turn_ended":
      return { ...before, responseMs: change.responseMs ?? before.responseMs };
    case "tool_approval":
      return { ...before, approvals: [...before.approvals, change] };
    case "approved":
      return { ...before, approvals: before.approvals.filter(({ id }) => id !== change.id) };
    case "usage":
      return { ...before, usd: change.usd };
    case "problem":
      return { ...before, problem: change.problem };
  }
}

/** A final sentence replaces the one that is not, whenever it comes. */
function withSentence(sentences: Transcript[], sentence: Transcript): Transcript[] {
  const isSame = ({ turn, role, segment }: Transcript) =>
    turn === sentence.turn && role === sentence.role && segment === sentence.segment;
  return sentences.some(isSame)
    ? sentences.map((other) => (isSame(other) ? sentence : other))
    : [...sentences, sentence];
}

export interface Line {
  key: string;
  role: Transcript["role"];
  text: string;
  /** Whether the user spoke over it. */
  cut: boolean;
}

/** One line for each side of each turn. */
export function linesOf({ sentences, cutTurns }: Conversation): Line[] {
  const lines = new Map<string, Line>();
  const inOrder = sentences.toSorted(
    (a, b) => (a.turn ?? 0) - (b.turn ?? 0) || b.role.localeCompare(a.role) || a.segment - b.segment,
  );
  for (const { turn, role, text } of inOrder) {
    const key = `${turn}:${role}`;
    const cut = role === "assistant" && turn !== null && cutTurns.includes(turn);
    const line = lines.get(key);
    lines.set(key, { key, role, cut, text: line ? `${line.text} ${text}` : text });
  }
  return [...lines.values()];
}
