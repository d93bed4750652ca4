// Collects what the page's conversation tells, in the clock of the machine: seconds since 1970.
(() => {
  window.nova = NOVA;
  window.seen = [];
  window.levels = [];
  const at = () => (performance.timeOrigin + performance.now()) / 1000;
  nova.addEventListener("level", ({ detail }) => levels.push({ at: at(), ...detail }));
  const types = ["state", "initialized", "turn_started", "turn_ended", "interrupted", "transcript", "error", "flushed"];
  for (const type of types) {
    nova.addEventListener(type, ({ detail }) => seen.push({ ...detail, type, at: at() }));
  }
})();
