// Records, sample by sample, what the page plays and what its microphone gives, and when the server's messages come.
// Evaluated with the page's NovaSonic; times are milliseconds of the wall clock, as other processes know it.
(nova) => {
  const BLOCK = 16;
  const PROCESSOR = `
    registerProcessor("tap", class extends AudioWorkletProcessor {
      samples = [];
      times = [];
      process([channels], [output]) {
        this.samples.push(channels[0]?.slice() ?? new Float32Array(output[0].length));
        // When it was rendered; a worklet has no finer clock.
        this.times.push(Date.now());
        if (this.times.length === ${BLOCK}) {
          this.port.postMessage({ end: currentFrame + output[0].length, samples: this.samples, times: this.times });
          this.samples = [];
          this.times = [];
        }
        return true;
      }
    });
  `;
  const module = URL.createObjectURL(new Blob([PROCESSOR], { type: "text/javascript" }));
  const now = () => performance.timeOrigin + performance.now();
  const tap = { played: [], spoken: [], messages: [], states: [], started: [] };
  window.tap = tap;

  const record = async (tapes, node, context) => {
    const tape = { rate: context.sampleRate, blocks: [], times: [], end: 0, context };
    await context.audioWorklet.addModule(module);
    const recorder = new AudioWorkletNode(context, "tap", { channelCount: 1, channelCountMode: "explicit" });
    tape.recorder = recorder; // held, or it may be collected
    recorder.port.onmessage = ({ data }) => {
      tape.blocks.push(...data.samples);
      tape.times.push(...data.times);
      tape.end = data.end;
    };
    // It plays silence; a node that leads nowhere is not run.
    node.connect(recorder).connect(context.destination);
    tapes.push(tape);
  };

  // A new conversation may play through new nodes.
  let analyser = null;
  const look = () => {
    const present = nova.playback?.analyser ?? null;
    if (present !== analyser) {
      analyser = present;
      if (present) {
        void record(tap.played, present, present.context);
      }
    }
  };
  nova.addEventListener("state", ({ detail }) => {
    tap.states.push({ at: now(), state: detail.state });
    look();
  });
  setInterval(look, 5);

  tap.tapMicrophone = () => {
    const devices = navigator.mediaDevices;
    const open = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async (constraints) => {
      const stream = await open(constraints);
      const context = new AudioContext({ sampleRate: 16000 });
      await record(tap.spoken, context.createMediaStreamSource(stream), context);
      return stream;
    };
  };

  const Stock = WebSocket;
  window.WebSocket = class extends Stock {
    constructor(...values) {
      super(...values);
      // Before the page's own listener.
      this.addEventListener("message", ({ data }) => {
        const message = typeof data === "string" ? JSON.parse(data) : { type: "audio", bytes: data.byteLength };
        tap.messages.push({ at: now(), ...message });
      });
      this.addEventListener("close", ({ code }) => tap.messages.push({ at: now(), type: "socket_closed", code }));
    }
  };

  tap.read = (tapes, index) => {
    const tape = tapes.at(index);
    const length = tape.blocks.reduce((sum, block) => sum + block.length, 0);
    const bytes = new Uint8Array(length * 2);
    const samples = new Int16Array(bytes.buffer);
    let at = 0;
    for (const block of tape.blocks) {
      for (const sample of block) {
        samples[at++] = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
      }
    }
    let text = "";
    for (let index = 0; index < bytes.length; index += 32768) {
      text += String.fromCharCode(...bytes.subarray(index, index + 32768));
    }
    return {
      rate: tape.rate,
      pcm: btoa(text),
      times: tape.times,
      latencyMs: 1000 * (tape.context.outputLatency || 0),
    };
  };
}
