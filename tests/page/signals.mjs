/** Tones and how loud they are, for tests. */

/** @returns {Float32Array} a sine of amplitude 0.4 */
export function tone(hz, rate, seconds) {
  return Float32Array.from({ length: rate * seconds }, (_, n) => 0.4 * Math.sin((2 * Math.PI * hz * n) / rate));
}

/** Amplitude of one frequency (Goertzel), Hann-windowed so that neighbours do not leak in. */
export function amplitudeAt(hz, samples, rate) {
  let real = 0;
  let imaginary = 0;
  samples.forEach((sample, n) => {
    const window = 1 - Math.cos((2 * Math.PI * n) / samples.length);
    real += sample * window * Math.cos((2 * Math.PI * hz * n) / rate);
    imaginary += sample * window * Math.sin((2 * Math.PI * hz * n) / rate);
  });
  return (2 * Math.hypot(real, imaginary)) / samples.length;
}

/** @returns {number} RMS */
export function rms(samples) {
  return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
}

export const decibels = (ratio) => 20 * Math.log10(ratio);
