// What can be chosen: scores, what they are compared with, time, what is unfolded, filtered and
// coloured.

import { el } from "../dom.js";
import { atOrBefore, number, steps } from "../numbers.js";
import { set, state } from "../state.js";
import { circuitRankCorrelation } from "./compare.js";
import { CIRCUIT_WORDS } from "./picture.js";
import { circuitOr } from "./scatter.js";
import { CIRCUIT_FILTERS, circuitChoices, circuitChosen } from "./scene.js";
import { circuitSize } from "./order.js";
import {
  CIRCUIT_DRAWN,
  circuitAsked,
  circuitBehind,
  circuitSource,
  circuitSources,
  circuitTime,
} from "./sources.js";

function select(label, change) {
  const input = el("select", {});
  input.addEventListener("change", () => change(input.value));
  return { input, node: el("label", { class: "circuit-choice" }, el("span", {}, label), input) };
}

function tick(label, name) {
  const input = el("input", { type: "checkbox" });
  input.addEventListener("change", () => set(name, input.checked ? 1 : 0));
  const text = el("span", {}, label);
  return { input, node: el("label", { class: "circuit-choice tick" }, input, text) };
}

/// A slider over time points; `choose` is called with the number of one.
function slider(label, said, choose) {
  const range = { type: "range", min: 0, max: 0, step: 1, "aria-label": said };
  const input = el("input", range),
    output = el("output", {});
  input.addEventListener("input", () => choose(Number(input.value)));
  const text = el("span", {}, label);
  return { input, output, node: el("label", { class: "circuit-choice" }, text, input, output) };
}

function slide({ input, output }, times, t) {
  input.max = times.length - 1;
  input.value = t;
  output.textContent = steps(times[t]);
  input.setAttribute("aria-valuetext", "step " + output.textContent);
}

// `list` is of `[id, text, group]`; the options are only made anew if they are others.
function fill(input, list) {
  const key = JSON.stringify(list);
  if (input.dataset.key === key) return;
  input.dataset.key = key;
  const groups = new Map();
  input.replaceChildren();
  for (const [id, text, group] of list) {
    if (group && !groups.has(group)) {
      groups.set(group, el("optgroup", { label: group }));
      input.append(groups.get(group));
    }
    (groups.get(group) ?? input).append(el("option", { value: id }, text));
  }
}

export function circuitControls(parent) {
  const controls = makeControls();
  for (const [id, [text]] of Object.entries(CIRCUIT_FILTERS)) {
    controls.filter.input.append(el("option", { value: id }, text));
  }
  controls.colour.input.append(
    el("option", { value: "sign" }, "sign of the score"),
    el("option", { value: "change" }, "gained, lost, kept"),
  );
  const { scores, time, other, at, filter, colour, positions, neurons } = controls;
  const order = [scores, time, other, at, filter, colour, positions, neurons];
  const nodes = order.map((control) => control.node);
  parent.append(el("div", { class: "row circuit-controls" }, ...nodes));
  let last = null;
  return function update(scene) {
    const source = circuitChosen();
    const stamp = source.id + "|" + state.key;
    if (stamp !== last) refill(controls, source, scene);
    last = stamp;
    showSources(controls, source);
    if (scene) showScene(controls, scene);
  };
}

function makeControls() {
  const behind = () => circuitBehind(circuitChosen());
  return {
    scores: select("Scores", (id) => {
      if (behind()?.names !== circuitBehind(circuitSource(id))?.names) set("shown", null);
      if (state.other === id) set("other", null);
      set("circuit", id);
    }),
    other: select("Compare with", (id) => {
      set("circuit_colour", null);
      set("other", id);
    }),
    filter: select("Show", (id) => set("circuit_filter", id === "all" ? null : id)),
    colour: select("Colour", (id) => set("circuit_colour", id)),
    positions: tick("positions unfolded", "circuit_positions"),
    neurons: tick("neurons unfolded", "circuit_neurons"),
    time: slider("Tuning step", "Time point of tuning", (t) =>
      set("circuit_step", behind().steps[t]),
    ),
    at: slider("compared step", "Step that is compared with", (t) =>
      set("circuit_at", behind().steps[t]),
    ),
  };
}

function refill({ scores, other }, source, scene) {
  const none = (x) => (circuitBehind(x) ? "" : " (none of this seed)");
  fill(
    scores.input,
    circuitSources.map((x) => [x.id, x.label + none(x), x.group]),
  );
  fill(other.input, circuitChoices(source, scene?.view));
}

function showSources({ scores, other, time, at, filter }, source) {
  const behind = circuitBehind(source);
  scores.input.value = source.id;
  other.input.value = state.other ?? (source.kind === "set" ? "none" : "previous");
  time.node.hidden = source.kind !== "series";
  if (!time.node.hidden) slide(time, behind.steps, circuitTime(source));
  at.node.hidden = state.other !== "at" || !behind?.steps;
  if (!at.node.hidden) {
    slide(at, behind.steps, atOrBefore(behind.steps, state.circuit_at ?? behind.steps[0]));
  }
  filter.input.value = state.circuit_filter ?? "all";
}

function showScene({ filter, colour, positions, neurons }, scene) {
  const { graph, k } = scene.view;
  for (const option of filter.input.options) {
    const { value } = option;
    if (["useful", "spurious"].includes(value)) option.disabled = k == null;
    if (["gained", "lost", "kept", "grew", "shrank"].includes(value)) {
      option.disabled = !scene.compare;
    }
  }
  colour.node.hidden = !scene.compare;
  colour.input.value = scene.colour;
  positions.node.hidden = !graph.positions.length;
  positions.input.checked = scene.unfold.positions;
  neurons.node.hidden = !graph.neurons;
  neurons.input.checked = scene.unfold.neurons;
}

/// One sentence on the comparison, its counts being buttons that filter.
export function circuitDifference(parent) {
  const line = el("p", { class: "circuit-difference", role: "status" });
  parent.append(line);
  return function update(scene) {
    const { compare, why, matching, listed } = scene;
    line.replaceChildren();
    line.hidden = !compare && !why && matching <= listed.length;
    if (matching > listed.length) {
      const text = `Drawn and listed: the first ${CIRCUIT_DRAWN} of ${steps(matching)} edges. `;
      line.append(el("strong", {}, text));
    }
    if (compare) line.append(...differenceSaid(scene), bareSaid(scene));
    else if (why) line.append("Not compared: " + why + ".");
  };
}

function countButton(id, text) {
  const chosen = state.circuit_filter === id;
  const attributes = { class: "circuit-count " + id, "aria-pressed": String(chosen) };
  const node = el("button", { type: "button", ...attributes }, text);
  node.addEventListener("click", () => set("circuit_filter", chosen ? null : id));
  return node;
}

function differenceSaid({ view, compare, terms }) {
  const other = compare.view;
  const label = other.label + (other.when ? ", " : "");
  const named = (terms === CIRCUIT_WORDS.time ? "" : label) + other.when;
  const edges = compare.edges.length + (compare.edges.length === 1 ? " edge" : " edges");
  const counts = [
    countButton("gained", compare.gained + " " + terms.gained),
    countButton("lost", compare.lost + " " + terms.lost),
    countButton("kept", compare.kept + " " + terms.kept),
  ];
  if (!view.unscored && !other.unscored) {
    counts.push(countButton("grew", compare.grew.size + " grew"));
    counts.push(countButton("shrank", compare.shrank.size + " shrank"));
  }
  const beyond = compare.beyond ? `; ${compare.beyond} of its edges are not in this graph` : "";
  const rank = circuitRankCorrelation(view, other);
  const ranks = rank == null ? "" : ", rank correlation of |score| " + number(rank);
  const spaced = counts.flatMap((node, i) => (i ? [" ", node] : [node]));
  const tail = `${beyond}; Jaccard ${circuitOr(compare.jaccard)}${ranks}.`;
  return [`Against ${named} (${edges}): `, ...spaced, tail];
}

// Without a circuit of its own a time point shows its first edges.
function bareSaid({ view, compare, source }) {
  if (circuitAsked() != null || source.kind !== "run") return "";
  const bare = [view, compare.view].filter((x) => x.own == null);
  if (!bare.length) return "";
  const when = bare.map((x) => x.when).join(" and ");
  return ` (${when}: no 95 % circuit, its first ${circuitSize(bare[0])} edges.)`;
}
