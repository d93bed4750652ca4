import { useCallback, useEffect, useState } from "react";

import { useSite, type Story } from "./site";
import { VoiceStoryPlayer } from "./voice/VoiceStoryPlayer";

export function App() {
  const site = useSite();
  const [stories, setStories] = useState<Story[] | null>(null);
  const [story, setStory] = useState<Story | null>(null);
  const [problem, setProblem] = useState("");
  const [diary, setDiary] = useState<string[]>([]);

  const note = useCallback((line: string) => setDiary((lines) => [...lines, line]), []);
  const enter = async () => {
    setProblem("");
    try {
      await site.signIn();
      setStories(await site.stories());
    } catch (error) {
      setProblem((error as Error).message);
    }
  };
  useEffect(() => {
    document.title = story ? `${story.title} · The Story House` : "The Story House";
  }, [story]);

  return (
    <>
      <header className="house">
        <h1>The Story House</h1>
        <p>Choose a story. You speak, it listens, it tells; speak over it, and the tale bends.</p>
      </header>
      <main>
        {problem && (
          <p className="problem" role="alert">
            {problem}
          </p>
        )}
        {stories ? (
          <nav className="shelf" aria-label="Stories">
            {stories.map((each) => (
              <button
                key={each.id}
                type="button"
                aria-pressed={each.id === story?.id}
                onClick={() => setStory(each.id === story?.id ? null : each)}
              >
                <b>{each.title}</b>
                <span>{each.summary}</span>
              </button>
            ))}
          </nav>
        ) : (
          <button type="button" className="primary" onClick={() => void enter()}>
            Come in
          </button>
        )}
        {story && (
          <VoiceStoryPlayer
            story={story}
            onSessionStart={(id) => note(`Conversation ${id.slice(0, 8)} has begun.`)}
            onSessionEnd={(id) => note(`Conversation ${id.slice(0, 8)} has ended.`)}
          />
        )}
      </main>
      <footer>
        <ol className="diary" aria-label="Diary">
          {diary.map((line, index) => (
            <li key={index}>{line}</li>
          ))}
        </ol>
      </footer>
    </>
  );
}
