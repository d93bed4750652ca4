/** A recording that is made first and sent later. */

import { MicrophoneError, openMicrophone } from "novasonic/microphone.js";
import { WORDS } from "novasonic/words.js";

export const MAX_SECONDS = 120;
const LEVEL_MS = 50;

export interface Recording {
  /** Of whatever format the browser records; `nova.speak` takes any that it decodes. */
  file: Blob;
  seconds: number;
}

export interface Recorder {
  /** Resolves to null where nothing was recorded. */
  stop(): Promise<Recording | null>;
}

export interface RecorderOptions {
  /** RMS from 0 to 1 */
  onLevel: (level: number) => void;
  /** No more comes: the time is up, or the microphone is gone. */
  onEnd: () => void;
}

/**
 * Begin to record.
 *
 * @throws Error its message is for the user
 */
export async function startRecorder({ onLevel, onEnd }: RecorderOptions): Promise<Recorder> {
  let stream: MediaStream;
  try {
    stream = await openMicrophone();
  } catch (error) {
    throw error instanceof MicrophoneError ? new Error(WORDS[error.code]) : error;
  }
  const recorder = new MediaRecorder(stream);
  const pieces: Blob[] = [];
  recorder.ondataavailable = ({ data }) => pieces.push(data);
  const stopped = new Promise((resolve) => recorder.addEventListener("stop", resolve));
  recorder.addEventListener("stop", onEnd);
  recorder.start();
  const startedAt = performance.now();
  const timeUp = setTimeout(onEnd, MAX_SECONDS * 1000);
  const stopLevels = tellLevels(stream, onLevel);
  return {
    async stop() {
      const seconds = (performance.now() - startedAt) / 1000;
      clearTimeout(timeUp);
      stopLevels();
      recorder.removeEventListener("stop", onEnd);
      if (recorder.state !== "inactive") {
        recorder.stop();
      }
      await stopped;
      // The browser's recording light goes out.
      stream.getTracks().forEach((track) => track.stop());
      const file = new Blob(pieces, { type: recorder.mimeType });
      return file.size ? { file, seconds } : null;
    },
  };
}

function tellLevels(stream: MediaStream, onLevel: (level: number) => void): () => void {
  const context = new AudioContext();
  const analyser = new AnalyserNode(context);
  const samples = new Float32Array(analyser.fftSize);
  const source = context.createMediaStreamSource(stream);
  source.connect(analyser);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    onLevel(Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length));
  }, LEVEL_MS);
  return () => {
    clearInterval(timer);
    source.disconnect();
    void context.close();
    onLevel(0);
  };
}
