/** Recordings as the wire takes them: whole and in text frames, for the server speaks them at the pace of speech. */

/** Of audio in a text frame, which takes a second at most: as base64 well below the 65,536 characters that one may have. */
const PIECE_BYTES = 24_000;

/**
 * @param {ArrayBuffer} file any format the browser decodes
 * @param {number} rate Hz of the result
 * @returns {Promise<Uint8Array>} PCM16LE, mono
 */
export async function decode(file, rate) {
  const audio = await new OfflineAudioContext(1, 1, rate).decodeAudioData(file);
  const pcm = new DataView(new ArrayBuffer(audio.length * 2));
  const channels = Array.from({ length: audio.numberOfChannels }, (_, index) => audio.getChannelData(index));
  for (let at = 0; at < audio.length; at++) {
    const sample = channels.reduce((sum, channel) => sum + channel[at], 0) / channels.length;
    pcm.setInt16(at * 2, Math.max(-32768, Math.min(32767, Math.round(sample * 32767))), true);
  }
  return new Uint8Array(pcm.buffer);
}

/**
 * @param {Uint8Array} pcm
 * @param {number} rate Hz
 * @returns {Generator<{audio: string, isComplete: boolean, ms: number}>} base64, and how long it lasts
 */
export function* pieces(pcm, rate) {
  const size = Math.min(PIECE_BYTES, 2 * rate);
  for (let at = 0; at < pcm.length; at += size) {
    const piece = pcm.subarray(at, at + size);
    yield {
      audio: btoa(String.fromCharCode(...piece)),
      isComplete: at + size >= pcm.length,
      ms: (piece.length / 2 / rate) * 1000,
    };
  }
}
