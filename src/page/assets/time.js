// The time slider: what of the selected seed was kept at a step.

import { byId } from "./dom.js";
import { nearest, steps } from "./numbers.js";
import { arms, selected } from "./runs.js";
import { on, set, state } from "./state.js";

/// All steps at which something of the selected seed can be shown.
function times() {
  const mine = arms.map((_, a) => selected(a)).filter(Boolean);
  const steps = (run) =>
    [run.weights, run.circuits, run.attention].find(Boolean)?.steps ??
    run.attention?.step ??
    run.evals.step;
  return [...new Set(mine.flatMap(steps))].sort((x, y) => x - y);
}

export function startTime() {
  const time = { slider: byId("time"), play: byId("play"), list: [], timer: null };
  const { slider, play } = time;
  slider.addEventListener("input", () => set("step", time.list[Number(slider.value)]));
  play.addEventListener("click", () => toggle(time));
  byId("before").addEventListener("click", () => move(time, -1));
  byId("after").addEventListener("click", () => move(time, 1));
  addEventListener("keydown", (event) => onKey(time, event));
  on("key", () => build(time));
  on("step", () => show(time));
  build(time);
}

function build(time) {
  stop(time);
  const list = times();
  time.list = list;
  time.slider.max = Math.max(0, list.length - 1);
  for (const node of [time.slider, time.play, byId("before"), byId("after")]) {
    node.disabled = list.length < 2;
  }
  if (list.length) set("step", list[nearest(list, state.step ?? list[list.length - 1])]);
  show(time);
}

function show({ slider, list }) {
  const label = byId("time-label");
  label.textContent = list.length ? "step " + steps(state.step) : "no snapshots";
  if (!list.length) return;
  slider.value = nearest(list, state.step);
  slider.setAttribute("aria-valuetext", label.textContent);
}

function move({ list }, by) {
  const to = nearest(list, state.step) + by;
  if (to >= 0 && to < list.length) set("step", list[to]);
}

function stop(time) {
  clearInterval(time.timer);
  time.timer = null;
  time.play.textContent = "Play";
}

function toggle(time) {
  const { list, slider, play } = time;
  if (time.timer) return stop(time);
  if (Number(slider.value) >= list.length - 1) set("step", list[0]);
  play.textContent = "Pause";
  time.timer = setInterval(() => {
    move(time, 1);
    if (nearest(list, state.step) >= list.length - 1) stop(time);
  }, 140);
}

function onKey(time, event) {
  const writing = event.target.closest("input:not([type=range]), select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey || writing) return;
  const keys = { ",": () => move(time, -1), ".": () => move(time, 1) };
  if (event.key === " " && event.target === document.body) keys[" "] = () => toggle(time);
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
}
