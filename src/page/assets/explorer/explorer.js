// The training explorer: every part of the model at the step the slider is at, arms side by side.

import { byId, el } from "../dom.js";
import { arms, runs, selected } from "../runs.js";
import { on, set, state } from "../state.js";
import { explorerArm } from "./arm.js";
import { explorerControls, explorerDetails, explorerLegend, explorerStatus } from "./controls.js";
import { matrixPanel } from "./matrix.js";
import { forgetPalette } from "./palette.js";
import { explorerPanels } from "./panels.js";
import { planePanel } from "./plane.js";
import { focusName } from "./points.js";
import { simplexPanel } from "./simplex.js";

// Work that can wait, in pieces (generators), for at most 12 ms at a time so that input never
// waits. A new move drops what is left.
const explorerJobs = { queue: [], timer: null };
function dropJobs() {
  clearTimeout(explorerJobs.timer);
  explorerJobs.queue = [];
}
function workOn() {
  const end = performance.now() + 12;
  while (explorerJobs.queue.length && performance.now() < end) {
    if (explorerJobs.queue[0].next().done) explorerJobs.queue.shift();
  }
  if (explorerJobs.queue.length) explorerJobs.timer = setTimeout(workOn, 0);
}

export function explorer(place) {
  const parent = byId(place);
  const top = el("div", {}),
    body = el("div", { class: "explore-cards" }),
    foot = el("div", { class: "explore-foot" });
  parent.append(top, body, foot);
  const shown = { drawn: [], panels: [], views: [], before: [], most: 1 };
  const parts = { said: null, legend: null, details: null };
  const scene = { top, body, foot, ...shown, ...parts };
  scene.controls = explorerControls(top, () => redraw(scene));
  scene.status = top.appendChild(el("div", {}));
  scene.sight = new IntersectionObserver((entries) => see(scene, entries), {
    rootMargin: "200px",
  });
  window.edgegradProbe = (a) => explorerProbe(scene, a);
  build(scene);
  on("key", () => build(scene));
  on("step", () => redraw(scene));
  addEventListener("beforeprint", () => finish(scene));
  for (const kind of ["sample", "neuron", "cell", "token", "position"]) {
    on(focusName(kind), () => focus(scene));
  }
  on("theme", () => recolor(scene));
}

function see({ panels }, entries) {
  for (const { target, isIntersecting } of entries) {
    for (const panel of panels) if (panel.card === target) panel.seen = isIntersecting;
  }
}

function build(scene) {
  const { top, body, foot, status, sight } = scene;
  dropJobs();
  sight.disconnect();
  for (const node of [body, status, foot]) node.replaceChildren();
  const chosen = arms.map((_, a) => selected(a));
  const has = (run) => run?.weights?.steps?.length;
  scene.drawn = arms.flatMap((_, a) => (has(chosen[a]) ? [explorerArm(a, chosen[a])] : []));
  scene.panels = [];
  noWeights(status, chosen);
  const { drawn } = scene;
  top.classList.toggle("explore-empty", !drawn.length);
  if (!drawn.length) return;
  body.style.setProperty("--arms", drawn.length);
  scene.most = attentionScale(drawn);
  scene.said = explorerStatus(status, drawn);
  scene.legend = explorerLegend(status);
  scene.details = explorerDetails(foot, drawn);
  for (const spec of explorerPanels()) addCard(scene, spec);
  redraw(scene);
}

function addCard(scene, spec) {
  const card = el("section", { class: "card", "aria-label": spec.title });
  const pair = el("div", { class: "explore-pair" });
  const note = spec.note ? el("p", { class: "quiet" }, spec.note) : "";
  card.append(el("h4", {}, spec.title), note, pair);
  scene.body.append(card);
  const make = spec.matrix ? matrixPanel : spec.simplex ? simplexPanel : planePanel;
  for (const [i, arm] of scene.drawn.entries()) {
    const panel = make(pair, spec, arm, () => scene.most);
    scene.panels.push({ i, card, seen: true, ...panel });
  }
  scene.sight.observe(card);
}

const tasksOf = (views) => [...new Set(views.map((view) => view.task))];

// What is in sight at once, the rest right after it, fine regions when the slider rests.
function redraw(scene) {
  const { drawn, panels, controls } = scene;
  if (!drawn.length) return;
  const start = performance.now();
  dropJobs();
  document.documentElement.dataset.regions = "coarse";
  const { options } = controls;
  const views = drawn.map((arm) => arm.view(arm.frameAt(state.step)));
  scene.views = views;
  scene.before = drawn.map((arm, i) => {
    const { frame, task } = views[i];
    return options.moves && frame > 0 ? arm.view(frame - 1, task) : null;
  });
  for (const panel of panels) panel.node.classList.toggle("explore-none", !views[panel.i].finite);
  const able = panels.filter((panel) => views[panel.i].finite);
  for (const panel of able) if (panel.seen) moveTo(scene, panel);
  scene.said(views);
  scene.legend(tasksOf(views));
  scene.details(views);
  controls.update(drawn);
  const time = { start, took: performance.now() - start };
  measured(time);
  const later = able.filter((panel) => !panel.seen);
  explorerJobs.queue.push(rest(scene, later, able, time));
  explorerJobs.timer = setTimeout(workOn, 0);
}

function moveTo({ views, before, controls }, panel) {
  panel.move(views[panel.i], before[panel.i], controls.options);
}

// A name for what was measured: the page's test reads it.
function measured({ start, took }) {
  document.documentElement.dataset.stepMs = took.toFixed(1);
  performance.clearMeasures("edgegrad:step");
  performance.measure("edgegrad:step", { start, duration: took });
}

function* rest(scene, later, able, time) {
  for (const panel of later) {
    const from = performance.now();
    moveTo(scene, panel);
    time.took += performance.now() - from;
    yield;
  }
  measured(time);
  const wait = Math.max(0, time.start + 80 - performance.now());
  explorerJobs.timer = setTimeout(() => {
    const fine = able.filter((panel) => panel.fine).sort((a, b) => b.seen - a.seen);
    explorerJobs.queue.push(...fine.map((panel) => panel.fine()), settled());
    workOn();
  }, wait);
}

function* settled() {
  document.documentElement.dataset.regions = "fine";
}

// Paper shows what a slider at rest does.
function finish(scene) {
  if (!scene.drawn.length) return;
  dropJobs();
  for (const panel of scene.panels.filter((panel) => scene.views[panel.i].finite)) {
    moveTo(scene, panel);
    for (const piece = panel.fine?.(); piece && !piece.next().done;);
  }
}

function focus(scene) {
  if (!scene.drawn.length) return;
  for (const panel of scene.panels) panel.focus();
  scene.details(scene.views);
}

function recolor(scene) {
  forgetPalette();
  if (!scene.drawn.length) return;
  for (const panel of scene.panels) panel.recolor();
  scene.legend(tasksOf(scene.views), true);
  redraw(scene);
}

/// The first sample in an arm, for whoever drives the page.
function explorerProbe({ drawn, views }, a) {
  const i = drawn.findIndex((arm) => arm.a === a);
  if (i < 0) return null;
  const { frame, weights, task, logits, xi, attention } = views[i];
  const part = (list, n) => [...list.subarray(0, n)];
  return {
    step: drawn[i].frames[frame],
    tokens: part(task.tokens, task.length),
    logits: part(logits, weights.V),
    xi: part(xi, weights.D),
    attention: part(attention, task.length),
  };
}

// Says which arms cannot be drawn, and which seeds can.
function noWeights(parent, chosen) {
  const without = arms.flatMap((arm, a) => (chosen[a]?.weights?.steps?.length ? [] : [arm.name]));
  if (!without.length) return;
  const able = [...new Set(runs.filter((run) => run.weights?.steps?.length).map((run) => run.key))];
  if (!able.length) {
    const how = "keep some by train.snapshot_every, or choose a seed by `report --seed N`.";
    parent.append(el("p", { class: "warning" }, "No weights of any seed are in this page: " + how));
    return;
  }
  const line = el(
    "p",
    { class: "warning" },
    (state.key ?? "This seed") +
      " of " +
      without.join(", ") +
      " has no weights in this page. " +
      "`edgegrad report --seed N` puts those of seed N into it. Seeds that have: ",
  );
  for (const key of able) {
    const button = el("button", { type: "button" }, key);
    button.addEventListener("click", () => set("key", key));
    line.append(button, " ");
  }
  parent.append(line);
}

// The end of the attention scale: the largest weight in any arm, over frames all over the run.
function attentionScale(drawn) {
  let most = 0;
  for (const view of drawn.flatMap((arm) => arm.someViews(12))) {
    for (const weight of view.attention) if (weight > most) most = weight;
  }
  return Math.min(1, Math.ceil(most * 20) / 20) || 1;
}
