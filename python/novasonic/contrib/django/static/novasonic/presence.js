/** What may befall a page while it talks: its network, its place among the tabs, its end. */

/**
 * @param {AbortSignal} signal ends it
 * @param {{offline: () => void, online: () => void, hidden: () => void, shown: () => void, leaves: () => void}} tell
 */
export function watchPage(signal, tell) {
  // Under Node, where tests run, there is no page.
  globalThis.addEventListener?.("offline", tell.offline, { signal });
  globalThis.addEventListener?.("online", tell.online, { signal });
  globalThis.addEventListener?.("pagehide", tell.leaves, { signal });
  globalThis.document?.addEventListener("visibilitychange", () => (document.hidden ? tell.hidden() : tell.shown()), {
    signal,
  });
}
