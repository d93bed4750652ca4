import { useEffect, useId, useState } from "react";

import { useSite, type PastConversation, type Story } from "../site";

const WHEN = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
const WRITTEN_MS = 1_500;

/** What was said about a story before, as the site's records have it; `revision` tells when to ask again. */
export function ConversationHistory({ story, revision }: { story: Story; revision: number }) {
  const site = useSite();
  const heading = useId();
  const [conversations, setConversations] = useState<PastConversation[] | null>(null);
  const [problem, setProblem] = useState("");

  useEffect(() => {
    let wanted = true;
    const ask = () =>
      site.conversations(story).then(
        (found) => {
          if (wanted) {
            setConversations(found);
            setProblem("");
          }
        },
        (error: Error) => wanted && setProblem(error.message),
      );
    void ask();
    // An answer that the end of its conversation cut short is written after this page knows of the end.
    const again = revision ? setTimeout(ask, WRITTEN_MS) : 0;
    return () => {
      wanted = false;
      clearTimeout(again);
    };
  }, [site, story, revision]);

  return (
    <section className="history" aria-labelledby={heading}>
      <h3 id={heading}>Conversations so far</h3>
      {problem && (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
      {conversations?.length === 0 && <p className="hint">None yet.</p>}
      {conversations?.map(({ id, startedAt, turns }) => (
        <details key={id}>
          <summary>
            <time dateTime={startedAt}>{WHEN.format(new Date(startedAt))}</time>
            <span className="first-words">{turns[0]?.user || turns[0]?.assistant || "Nothing was said"}</span>
          </summary>
          <dl>
            {turns.map(({ number, user, assistant, cut }) => (
              <div key={number}>
                {user && (
                  <>
                    <dt>You</dt>
                    <dd>{user}</dd>
                  </>
                )}
                {assistant && (
                  <>
                    <dt>Storyteller</dt>
                    <dd>
                      {assistant}
                      {cut && " (interrupted)"}
                    </dd>
                  </>
                )}
              </div>
            ))}
          </dl>
        </details>
      ))}
    </section>
  );
}
