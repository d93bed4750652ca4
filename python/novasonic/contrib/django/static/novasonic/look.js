/**
 * The element's style sheet. It is constructed, which a Content-Security-Policy without inline styles allows.
 *
 * Whether it is dark or light follows the page's `color-scheme`. Pages style it by `--novasonic-…` and by parts.
 */

const CSS = `
:host {
  --_accent: var(--novasonic-accent, light-dark(#6352d9, #9d8dff));
  --_accent-ink: var(--novasonic-accent-ink, light-dark(#fff, #14121f));
  --_answer: var(--novasonic-answer, light-dark(#0b7577, #4fd1c5));
  --_surface: var(--novasonic-surface, light-dark(#fff, #1e1b2e));
  --_ink: var(--novasonic-ink, light-dark(#1d1b2e, #eceaf6));
  --_soft: var(--novasonic-ink-soft, light-dark(#5c5873, #a9a4c3));
  --_line: var(--novasonic-line, light-dark(#dedbea, #3a3652));
  --_warn: var(--novasonic-warn, light-dark(#fff3d6, #3a2f12));
  --_warn-ink: var(--novasonic-warn-ink, light-dark(#6b4a00, #ffdf94));
  --_radius: var(--novasonic-radius, 1.1rem);
  display: block;
  color: var(--_ink);
  line-height: 1.5;
}
:host([hidden]), [hidden] { display: none !important; }
* { box-sizing: border-box; }
p, dl, dd { margin: 0; }
[part=panel], [part=stage] { display: grid; gap: 1.2rem; grid-template-columns: minmax(0, 1fr); }
[part=stage] { justify-items: center; gap: .7rem; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

.orb {
  --loud: 0;
  --_glow: var(--_accent);
  display: grid;
  place-items: center;
  width: var(--novasonic-button-size, 7.5rem);
  aspect-ratio: 1;
  margin: 1.4rem;
  padding: 0;
  border: 0;
  border-radius: 50%;
  background: none;
  color: var(--_accent-ink);
  cursor: pointer;
}
/* What breathes is the ball, not the button: that stays where one aims. */
.orb::before {
  content: "";
  grid-area: 1 / 1;
  width: 100%;
  height: 100%;
  border-radius: inherit;
  background: radial-gradient(circle at 32% 26%, color-mix(in oklab, var(--_glow), #fff 30%), var(--_glow) 64%);
  box-shadow: 0 0 0 calc(.3rem + 1.1rem * var(--loud)) color-mix(in srgb, var(--_glow) 22%, transparent),
    0 .8rem 2.2rem color-mix(in srgb, var(--_glow) 40%, transparent);
  transition: box-shadow 90ms linear, transform .15s;
}
.orb:hover::before { transform: scale(1.04); }
.orb:active::before { transform: scale(.97); }
.orb[data-state=speaking] { --_glow: var(--_answer); }
.text { display: block; }
.orb:is([data-state=connecting], [data-state=queued], [data-state=thinking], [data-state=reconnecting])::before {
  animation: breathe 1.4s ease-in-out infinite;
}
.orb svg { grid-area: 1 / 1; z-index: 1; width: 36%; fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
.orb .stop { fill: currentColor; }
.orb:not([data-open]) .stop, .orb[data-open] .microphone { display: none; }
@keyframes breathe { 50% { transform: scale(.94); } }

canvas { width: min(100%, 20rem); height: 3rem; color: var(--_accent); outline: 0 solid var(--_answer); }
canvas:dir(rtl) { transform: scaleX(-1); }
[part=state] { min-height: 1.5em; font-weight: 600; text-align: center; }
[part=notice] { max-width: 34rem; padding: .6rem 1rem; border-radius: var(--_radius); background: var(--_warn); color: var(--_warn-ink); text-align: center; }
[part=controls], [part=composer] { display: flex; flex-wrap: wrap; justify-content: center; gap: .6rem; width: 100%; }
[part=hold] { touch-action: none; user-select: none; -webkit-user-select: none; }
[part=hold][aria-pressed=true] { background: var(--_answer); }
[part=figures] { display: flex; flex-wrap: wrap; justify-content: center; gap: .2rem 1.6rem; color: var(--_soft); font-size: .85rem; }
[part=figures] div { display: flex; gap: .4rem; }
[part=figures] dd { direction: ltr; color: var(--_ink); font-variant-numeric: tabular-nums; }

[part=captions] {
  display: flex;
  flex-direction: column;
  gap: .7rem;
  height: var(--novasonic-captions-height, clamp(11rem, 27vh, 22rem));
  padding: 1.1rem;
  overflow-y: auto;
  overscroll-behavior: contain;
  border: 1px solid var(--_line);
  border-radius: var(--_radius);
  background: var(--_surface);
}
.empty { margin: auto; color: var(--_soft); text-align: center; }
.empty:not(:only-child) { display: none; }
[data-role] { max-width: 85%; padding: .55rem .95rem; border-radius: var(--_radius); overflow-wrap: anywhere; }
[data-role=user] { align-self: flex-end; border-end-end-radius: .3rem; background: var(--_accent); color: var(--_accent-ink); }
[data-role=assistant] { align-self: flex-start; border-end-start-radius: .3rem; background: color-mix(in srgb, var(--_answer) 13%, var(--_surface)); }
[data-final=false] { font-style: italic; }
/* Of an answer that was cut, what was planned is not said any more. */
.text:has(em):has([data-final=true]) > [data-final=false] { display: none; }
em { color: var(--_soft); font-size: .85em; }
em::before { content: "— "; }
[data-state=called] { font-style: italic; }
[part=tool] { padding: 0 .95rem; color: var(--_soft); font-size: .85rem; overflow-wrap: anywhere; }

[part=questions] { display: grid; gap: .7rem; }
[part=questions]:empty { display: none; }
[part=question] { padding: .9rem 1rem; border: 2px solid var(--_accent); border-radius: var(--_radius); background: var(--_surface); overflow-wrap: anywhere; }
[part=question] p { font-weight: 600; }
pre { max-height: 35vh; margin: .6rem 0; padding: .6rem .8rem; overflow: auto; border-radius: .5rem; background: color-mix(in srgb, var(--_ink) 7%, var(--_surface)); font-size: .85rem; white-space: pre-wrap; }
[part=question] button { margin-inline-end: .6rem; }

button, input, select { font: inherit; }
[part=composer] input { flex: 1 1 10rem; min-width: 0; cursor: text; }
input, select { padding: .6rem 1rem; border: 1px solid var(--_line); border-radius: 99rem; background: var(--_surface); color: inherit; }
select { max-width: min(100%, 18rem); padding-inline-end: .9rem; cursor: pointer; text-overflow: ellipsis; }
/* The browser's own grey falls below 4.5:1 on dark grounds. */
::placeholder { color: var(--_soft); opacity: 1; }
button { padding: .6rem 1.15rem; border: 1px solid transparent; border-radius: 99rem; background: var(--_accent); color: var(--_accent-ink); font-weight: 600; cursor: pointer; }
.quiet { border-color: var(--_line); background: var(--_surface); color: var(--_ink); font-weight: 500; }
:is(.quiet, input, select):hover { border-color: var(--_accent) !important; }
.quiet[aria-pressed=true] { border-color: var(--_accent); background: color-mix(in srgb, var(--_accent) 16%, var(--_surface)); }
.quiet[part=mute][aria-pressed=true] { border-color: var(--_warn-ink); background: var(--_warn); color: var(--_warn-ink); }
button[aria-disabled=true] { opacity: .5; cursor: default; }
:focus-visible { outline: 3px solid var(--_accent); outline-offset: 2px; }
.orb:focus-visible { outline-offset: .5rem; }

@media (prefers-reduced-motion: reduce) {
  .orb::before { animation: none !important; transition: none; transform: none !important; }
}
@media (forced-colors: active) {
  .orb { border: 2px solid ButtonText; color: ButtonText; }
  .orb::before { background: none; }
  [data-role] { border: 1px solid CanvasText; }
  canvas { color: CanvasText; outline-color: Highlight; }
  button[aria-pressed=true] { forced-color-adjust: none; background: Highlight !important; color: HighlightText !important; }
  button[aria-disabled=true] { opacity: 1; color: GrayText !important; }
  :focus-visible { outline-color: Highlight; }
}
`;

export const LOOK = new CSSStyleSheet();
LOOK.replaceSync(CSS);
