// Collects what the page's element tells, and taps what the loudspeaker gets.
(() => {
  const { nova } = document.querySelector("nova-sonic-talk");
  const probe = { levels: [0], states: [], events: [], flushes: [], heard: [] };
  window.probe = probe;
  nova.addEventListener("level", ({ detail }) => probe.levels.push(detail.level));
  nova.addEventListener("state", ({ detail }) => probe.states.push(detail.state));
  nova.addEventListener("flushed", ({ detail }) => probe.flushes.push(detail.ms));
  const types = ["initialized", "turn_started", "turn_ended", "interrupted", "transcript", "error", "tool"];
  for (const type of [...types, "tool_approval", "usage"]) {
    nova.addEventListener(type, ({ detail }) => probe.events.push(detail));
  }
  const samples = new Float32Array(2048);
  const spectrum = new Float32Array(1024);
  setInterval(() => {
    const analyser = nova.playback?.analyser;
    if (!analyser) {
      return;
    }
    analyser.getFloatTimeDomainData(samples);
    analyser.getFloatFrequencyData(spectrum);
    const hz = (index) => (index * analyser.context.sampleRate) / analyser.fftSize;
    const power = (from, to) =>
      spectrum.reduce((sum, db, index) => (hz(index) >= from && hz(index) < to ? sum + 10 ** (db / 10) : sum), 0);
    probe.heard.push({
      at: performance.now(),
      rms: Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length),
      peakHz: hz(spectrum.indexOf(Math.max(...spectrum))),
      speechShare: power(100, 4000) / power(0, 12_000),
    });
  }, 20);
})();
