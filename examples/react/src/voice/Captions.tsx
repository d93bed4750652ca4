import { useEffect, useRef } from "react";

import type { Line } from "./conversation";

/** What both sides say, as it is said. */
export function Captions({ lines }: { lines: Line[] }) {
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    end.current?.scrollTo({ top: end.current.scrollHeight });
  }, [lines]);
  return (
    // Keyboards must be able to scroll it.
    <div className="captions" role="log" aria-label="What is said" tabIndex={0} ref={end}>
      {lines.length === 0 && <p className="hint">What you and the storyteller say appears here.</p>}
      {lines.map(({ key, role, text, cut }) => (
        <p key={key} className="line" data-role={role}>
          <b>{role === "user" ? "You" : "Storyteller"}: </b>
          {text}
          {cut && <i> (interrupted)</i>}
        </p>
      ))}
    </div>
  );
}
