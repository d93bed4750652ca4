import { useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from "react";
import captureWorklet from "novasonic/capture-worklet.js?worker&url";
import { NovaSonic } from "novasonic/novasonic.js";
import playbackWorklet from "novasonic/playback-worklet.js?worker&url";
import type { Details, Options } from "novasonic/types.d.ts";

import { changed, linesOf, NOTHING_SAID, type Conversation, type Line } from "./conversation";

export interface VoiceOptions extends Pick<Options, "url" | "choices" | "words" | "frameMs" | "halfDuplex"> {
  /** The site has opened a conversation; not called again where a lost one goes on. */
  onSessionStart?: (sessionId: string) => void;
  /** It is over, also because the component is taken off the page. */
  onSessionEnd?: (sessionId: string) => void;
}

/** A conversation as it is shown, and what a user can do with it. No action throws: what fails is `problem`. */
export interface Voice extends Conversation {
  /** The client itself, for what is not here: levels, devices, the analyser. */
  nova: NovaSonic;
  lines: Line[];
  /** Whether there is a conversation, or one is being opened. */
  active: boolean;
  start(): Promise<void>;
  stop(): void;
  mute(on: boolean): void;
  interrupt(): void;
  sendText(text: string): Promise<boolean>;
  /** Send a recording of any format that the browser decodes; whether it was spoken to its end. */
  sendRecording(file: Blob): Promise<boolean>;
  approve(id: string, yes: boolean): void;
}

/**
 * Hold one voice conversation for as long as the component is on the page.
 *
 * `url` and what else the client is made of are read once: to talk somewhere else, give the component another `key`.
 * `choices` may be another function each time, the newest is asked.
 */
export function useNovaSonic(options: VoiceOptions): Voice {
  const latest = useRef(options);
  useLayoutEffect(() => {
    latest.current = options;
  });
  // Making one opens and asks nothing, so that React may call this twice and forget one.
  const [nova] = useState(() => {
    const { url, words, frameMs, halfDuplex } = options;
    const choices = async () => {
      const { choices } = latest.current;
      return (typeof choices === "function" ? await choices() : choices) ?? {};
    };
    return new NovaSonic({ url, words, frameMs, halfDuplex, choices, captureWorklet, playbackWorklet });
  });
  const [conversation, change] = useReducer(changed, NOTHING_SAID);

  useEffect(() => {
    const gone = new AbortController();
    let sessionId = "";
    const on = <T extends keyof Details>(type: T, listener: (detail: Details[T]) => void) =>
      nova.addEventListener(type, ({ detail }) => listener(detail), { signal: gone.signal });

    on("initialized", (detail) => {
      if (!sessionId) {
        sessionId = detail.sessionId;
        change({ type: "begun" });
        latest.current.onSessionStart?.(sessionId);
      }
    });
    on("state", (detail) => {
      change({ type: "state", ...detail });
      change({ type: "flags", listens: nova.listens, muted: nova.muted });
      if ((detail.state === "ended" || detail.state === "failed") && sessionId) {
        const ended = sessionId;
        sessionId = "";
        latest.current.onSessionEnd?.(ended);
      }
    });
    on("resumed", ({ turn }) => change({ type: "resumed", turn }));
    on("interrupted", ({ turn }) => change({ type: "interrupted", turn }));
    on("transcript", change);
    on("turn_ended", change);
    on("usage", change);
    on("tool_approval", change);
    on("tool", ({ state, id }) => state === "finished" && change({ type: "approved", id }));
    on("error", ({ message }) => change({ type: "problem", problem: message }));
    return () => {
      // Before the listeners go: the owner is told of the end.
      nova.stop();
      gone.abort();
    };
  }, [nova]);

  const actions = useMemo(() => {
    const attempt = async (action: () => unknown): Promise<boolean> => {
      change({ type: "problem", problem: "" });
      try {
        await action();
        return true;
      } catch (error) {
        // Who stops a conversation that is being opened knows why it did not open.
        if (nova.state !== "ended") {
          change({ type: "problem", problem: (error as Error).message });
        }
        return false;
      } finally {
        change({ type: "flags", listens: nova.listens, muted: nova.muted });
      }
    };
    return {
      start: async () => void (await attempt(() => nova.start())),
      stop: () => nova.stop(),
      mute: (on: boolean) => void attempt(() => nova.mute(on)),
      interrupt: () => nova.interrupt(),
      sendText: (text: string) => attempt(() => nova.sendText(text)),
      sendRecording: (file: Blob) => attempt(async () => nova.speak(await file.arrayBuffer())),
      approve: (id: string, yes: boolean) => {
        nova.approve(id, yes);
        change({ type: "approved", id });
      },
    };
  }, [nova]);

  const lines = useMemo(() => linesOf(conversation), [conversation]);
  const active = !["idle", "ended", "failed"].includes(conversation.state);
  return { ...conversation, ...actions, nova, lines, active };
}
