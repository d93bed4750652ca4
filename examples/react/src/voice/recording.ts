/** A recording that is made first and sent later, by the client's own microphone and capture worklet. */

import { Capture } from "novasonic/capture.js";
import captureWorklet from "novasonic/capture-worklet.js?worker&url";
import { MicrophoneError, openMicrophone } from "novasonic/microphone.js";
import { WORDS } from "novasonic/words.js";

export const MAX_SECONDS = 120;
const FRAME_MS = 32;
/** Hz. What speech to the service has; the client converts where a site wants another. */
const RATE = 16_000;
const HEADER_BYTES = 44;

export interface Recording {
  /** WAV */
  file: Blob;
  seconds: number;
}

export interface Recorder {
  stop(): Recording;
}

export interface RecorderOptions {
  onLevel: (level: number) => void;
  /** No more comes: the time is up, or the microphone is gone. */
  onEnd: () => void;
}

/**
 * Begin to record.
 *
 * Not by MediaRecorder: its files have no length in Chromium, so that nobody sees how long they are or can go back in them,
 * and lose a little of the voice twice.
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
  const frames: ArrayBuffer[] = [];
  let seconds = 0;
  const capture = await Capture.open({
    worklet: captureWorklet,
    rate: RATE,
    frameMs: FRAME_MS,
    stream,
    onFrame: ({ pcm, level }) => {
      frames.push(pcm);
      seconds += pcm.byteLength / 2 / RATE;
      onLevel(level);
      if (seconds >= MAX_SECONDS) {
        onEnd();
      }
    },
    onLost: onEnd,
  });
  return {
    stop() {
      capture.close();
      return { file: new Blob([waveHeader(frames), ...frames], { type: "audio/wav" }), seconds };
    },
  };
}

/** RIFF: PCM, one channel, 16 bits. */
function waveHeader(frames: ArrayBuffer[]): ArrayBuffer {
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  const text = (at: number, letters: string) =>
    [...letters].forEach((letter, index) => header.setUint8(at + index, letter.charCodeAt(0)));
  const bytes = frames.reduce((sum, frame) => sum + frame.byteLength, 0);
  text(0, "RIFF");
  header.setUint32(4, HEADER_BYTES - 8 + bytes, true);
  text(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true);
  header.setUint16(22, 1, true);
  header.setUint32(24, RATE, true);
  header.setUint32(28, RATE * 2, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  text(36, "data");
  header.setUint32(40, bytes, true);
  return header.buffer;
}
