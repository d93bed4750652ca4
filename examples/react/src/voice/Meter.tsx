import { useEffect, useRef } from "react";
import type { NovaSonic } from "novasonic/novasonic.js";

/** RMS of speech is small; a square root spreads it over the bar. */
const shown = (level: number) => String(Math.min(1, Math.sqrt(level) * 1.8));

/** Loudness of both sides, some 31 times a second: straight into the style, past React. */
export function Meter({ nova }: { nova: NovaSonic }) {
  const bars = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const gone = new AbortController();
    const show = (level: number, answer: number) => {
      bars.current?.style.setProperty("--user", shown(level));
      bars.current?.style.setProperty("--answer", shown(answer));
    };
    nova.addEventListener("level", ({ detail }) => show(detail.level, detail.answer), { signal: gone.signal });
    nova.addEventListener("state", ({ detail }) => detail.state === "ended" && show(0, 0), { signal: gone.signal });
    return () => gone.abort();
  }, [nova]);
  // What it shows can be heard.
  return (
    <div className="meter" ref={bars} aria-hidden="true">
      <span className="meter-user" />
      <span className="meter-answer" />
    </div>
  );
}
