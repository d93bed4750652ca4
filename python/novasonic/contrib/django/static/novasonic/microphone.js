/** The user's microphone: which there are, and why there is none. */

/** @import { MicrophoneCode } from "./types.d.ts" */

/** Why there is no microphone. */
export class MicrophoneError extends Error {
  name = "MicrophoneError";

  /** @param {MicrophoneCode} code @param {string} [message] for the user */
  constructor(code, message = code) {
    super(message);
    this.code = code;
  }
}

/** @type {Record<string, MicrophoneCode>} */
const CODES = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotFoundError: "missing",
  OverconstrainedError: "missing",
};

/** What a loudspeaker plays: Firefox on Linux offers it as a microphone, and the model would hear itself. */
const MONITOR = /^Monitor of /;

/** @returns {boolean} whether this page may use worklets and microphones at all */
export function audioAllowed() {
  return globalThis.isSecureContext && "AudioWorkletNode" in globalThis;
}

/** @returns {Promise<boolean>} whether the user has allowed the microphone before, as far as the browser tells */
export async function isAllowed() {
  try {
    return (await navigator.permissions.query({ name: "microphone" })).state === "granted";
  } catch {
    return false;
  }
}

/**
 * Ask the user for the microphone.
 *
 * @param {{deviceId?: string}} [options] a device that is gone gives way to the browser's choice
 * @returns {Promise<MediaStream>}
 * @throws {MicrophoneError}
 */
export async function openMicrophone({ deviceId } = {}) {
  /** @type {MicrophoneCode} */
  let code = "insecure";
  if (audioAllowed() && navigator.mediaDevices) {
    try {
      const stream = await navigator.mediaDevices.getUserMedia({
        // Without echo cancellation the loudspeaker talks to the microphone and the model interrupts itself.
        audio: { deviceId, echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 },
      });
      const [track] = stream.getTracks();
      if (!MONITOR.test(track.label)) {
        return stream;
      }
      track.stop();
      code = "missing";
    } catch (error) {
      code = CODES[/** @type {Error} */ (error).name] ?? "busy";
    }
  }
  throw new MicrophoneError(code);
}

/** @returns {Promise<{id: string, label: string}[]>} the microphones; none before the user has allowed one */
export async function listDevices() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices
    .filter(({ kind, deviceId, label }) => kind === "audioinput" && deviceId && !MONITOR.test(label))
    .map(({ deviceId, label }) => ({ id: deviceId, label }));
}

/** @param {() => void} callback called when devices come or go @returns {() => void} ends that */
export function watchDevices(callback) {
  navigator.mediaDevices?.addEventListener("devicechange", callback);
  return () => navigator.mediaDevices?.removeEventListener("devicechange", callback);
}
