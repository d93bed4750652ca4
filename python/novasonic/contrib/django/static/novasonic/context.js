/**
 * Open an audio context with a worklet's module; it runs once the user has acted on the page.
 *
 * @param {string} worklet
 * @param {number} [sampleRate] asked for, since the browser's filters are better than ours; not every browser can
 */
export async function openContext(worklet, sampleRate) {
  let context;
  try {
    context = new AudioContext({ sampleRate });
  } catch {
    context = new AudioContext();
  }
  try {
    await context.audioWorklet.addModule(worklet);
  } catch (error) {
    void context.close();
    throw error;
  }
  resume(context);
  return context;
}

/** @param {AudioContext} context */
export function resume(context) {
  // Refused while closed or in a telephone call, which is nobody's fault.
  context.resume().catch(() => {});
}
