/** Microphone and loudspeaker: the page's side of the two worklets. */

/**
 * @typedef {{pcm: ArrayBuffer, level: number}} Frame of the user's side; level is the RMS, 0 to 1
 */

/** Why there is no microphone, with words for the user. */
export class MicrophoneError extends Error {
  name = "MicrophoneError";

  /** @param {"insecure" | "denied" | "missing" | "busy"} code */
  constructor(code) {
    super(MICROPHONE_WORDS[code]);
    this.code = code;
  }
}

const MICROPHONE_WORDS = {
  insecure: "Browsers allow voice only on https or localhost, and this page is neither. You can still type and read.",
  denied: "The microphone is blocked for this page. Allow it in the address bar and press again, or type.",
  missing: "No microphone was found. Connect one and press again, or type.",
  busy: "The microphone could not be opened; another program may be using it. You can still type.",
};

/** @returns {boolean} whether this page may use worklets and microphones at all */
export function audioAllowed() {
  return globalThis.isSecureContext && "AudioWorkletNode" in globalThis;
}

/**
 * Ask the user for the microphone.
 *
 * @returns {Promise<MediaStream>}
 * @throws {MicrophoneError}
 */
export async function askForMicrophone() {
  if (!audioAllowed() || !navigator.mediaDevices?.getUserMedia) {
    throw new MicrophoneError("insecure");
  }
  try {
    return await navigator.mediaDevices.getUserMedia({
      // Without echo cancellation the loudspeaker talks to the microphone and the model interrupts itself.
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 },
    });
  } catch (error) {
    /** @type {Record<string, "denied" | "missing">} */
    const codes = { NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "missing" };
    throw new MicrophoneError(codes[/** @type {Error} */ (error).name] ?? "busy");
  }
}

/** The user's side: a microphone, a recording, or silence, as PCM16 frames at the wire's rate. */
export class Capture {
  #context;
  #node;
  #stream;
  #source;

  /**
   * @param {string} worklet address of capture-worklet.js
   * @param {number} rate Hz of the frames
   * @param {MediaStream | null} stream null: silence
   * @param {(frame: Frame) => void} onFrame
   * @returns {Promise<Capture>}
   */
  static async open(worklet, rate, stream, onFrame) {
    try {
      return await Capture.#at({ sampleRate: rate }, worklet, rate, stream, onFrame);
    } catch (error) {
      // Some browsers refuse to join a microphone to a context of another rate, or such a context at all.
      if (/** @type {Error} */ (error).name !== "NotSupportedError") {
        throw error;
      }
      return await Capture.#at({}, worklet, rate, stream, onFrame);
    }
  }

  /**
   * @param {AudioContextOptions} options
   * @param {string} worklet
   * @param {number} rate
   * @param {MediaStream | null} stream
   * @param {(frame: Frame) => void} onFrame
   */
  static async #at(options, worklet, rate, stream, onFrame) {
    const context = new AudioContext(options);
    try {
      await context.audioWorklet.addModule(worklet);
      return new Capture(context, rate, stream, onFrame);
    } catch (error) {
      void context.close();
      throw error;
    }
  }

  /**
   * @private use `Capture.open`
   * @param {AudioContext} context
   * @param {number} rate
   * @param {MediaStream | null} stream
   * @param {(frame: Frame) => void} onFrame
   */
  constructor(context, rate, stream, onFrame) {
    this.#context = context;
    this.#stream = stream;
    // Held here, for a source that only the graph refers to may be collected, and the microphone goes silent.
    this.#source = stream && context.createMediaStreamSource(stream);
    this.#node = new AudioWorkletNode(context, "novasonic-capture", { processorOptions: { rate } });
    this.#node.port.onmessage = ({ data }) => onFrame(data);
    this.#source?.connect(this.#node);
    // It plays silence; a node that leads nowhere need not be run.
    this.#node.connect(context.destination);
    void context.resume();
  }

  /**
   * Speak a recording into the conversation, beside or instead of the microphone.
   *
   * @param {ArrayBuffer} file any format the browser decodes
   * @returns {Promise<void>} when it has been spoken
   */
  async play(file) {
    const source = this.#context.createBufferSource();
    source.buffer = await this.#context.decodeAudioData(file);
    source.connect(this.#node);
    await new Promise((resolve) => {
      source.onended = resolve;
      source.start();
    });
    source.disconnect();
  }

  /** @param {boolean} muted true: frames of silence */
  mute(muted) {
    this.#node.port.postMessage({ muted });
  }

  /** Let go of the microphone: the browser's recording light goes out. */
  close() {
    this.#node.port.postMessage({ stop: true });
    for (const track of this.#stream?.getTracks() ?? []) {
      track.stop();
    }
    void this.#context.close();
  }
}

/** The model's side: PCM16 into the loudspeaker. */
export class Playback {
  /** For level meters. @type {AnalyserNode} */
  analyser;
  #context;
  #node;

  /**
   * @param {string} worklet address of playback-worklet.js
   * @param {number} rate Hz of the audio that will be pushed
   * @param {(report: import("./playout.js").PlaybackReport) => void} onReport
   * @returns {Promise<Playback>}
   */
  static async open(worklet, rate, onReport) {
    let context;
    try {
      context = new AudioContext({ sampleRate: rate });
    } catch {
      context = new AudioContext();
    }
    await context.audioWorklet.addModule(worklet);
    return new Playback(context, rate, onReport);
  }

  /**
   * @private use `Playback.open`
   * @param {AudioContext} context
   * @param {number} rate
   * @param {(report: import("./playout.js").PlaybackReport) => void} onReport
   */
  constructor(context, rate, onReport) {
    this.#context = context;
    this.#node = new AudioWorkletNode(context, "novasonic-playback", {
      numberOfInputs: 0,
      outputChannelCount: [1],
      processorOptions: { rate },
    });
    this.#node.port.onmessage = ({ data }) => onReport(data);
    this.analyser = new AnalyserNode(context, { fftSize: 2048, smoothingTimeConstant: 0.5 });
    this.#node.connect(this.analyser).connect(context.destination);
    void context.resume();
  }

  /** @param {number} turn @param {ArrayBuffer} pcm given away */
  push(turn, pcm) {
    this.#node.port.postMessage({ type: "audio", turn, pcm }, [pcm]);
  }

  /** No more audio of this turn will come. @param {number} turn */
  end(turn) {
    this.#node.port.postMessage({ type: "end", turn });
  }

  /** Fall silent within 5 ms and forget what was queued; a `flushed` report follows. */
  flush() {
    this.#node.port.postMessage({ type: "flush" });
  }

  close() {
    this.#node.port.postMessage({ type: "stop" });
    void this.#context.close();
  }
}
