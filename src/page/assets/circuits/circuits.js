// The circuit explorer: one picture of one circuit, and everything the page knows about its edges.

import { byId, el } from "../dom.js";
import { steps } from "../numbers.js";
import { on, set, state } from "../state.js";
import { circuitControls, circuitDifference } from "./controls.js";
import { circuitDetail } from "./detail.js";
import { circuitList } from "./list.js";
import { circuitHistory, circuitNumbers } from "./numbers.js";
import { circuitPicture } from "./picture.js";
import { circuitScatter } from "./scatter.js";
import { circuitChosen, circuitScene } from "./scene.js";
import { circuitSource, circuitSources, circuitView } from "./sources.js";
import { circuitThreshold } from "./threshold.js";

export function circuits(place) {
  const box = byId(place);
  box.classList.add("circuit");
  if (!circuitSources.length) {
    const why = "no run logged them (`train.circuit_every`) and no file of scores was given";
    box.append(el("p", { class: "quiet" }, `No circuits: ${why}.`));
    return;
  }
  const section = { ...circuitParts(box), scene: null, waiting: false, settling: 0 };
  const later = () => {
    // Several things that change together are drawn once.
    if (section.waiting) return;
    section.waiting = true;
    queueMicrotask(() => draw(section));
  };
  for (const name of CHOICES) on(name, later);
  on("step", () => {
    if (circuitChosen().kind === "run" || circuitSource(state.other)?.kind === "run") later();
  });
  on("edge", () => chooseEdge(section));
  draw(section);
}

const CHOICES = ["key", "circuit", "other", "shown"].concat(
  ["step", "at", "filter", "colour", "positions", "neurons"].map((name) => "circuit_" + name),
);

/// The parts of the section, from the choices down to the charts over training.
function circuitParts(box) {
  const controls = circuitControls(box),
    missing = el("p", { class: "warning", hidden: true }),
    body = el("div", {});
  box.append(missing, body);
  const numbers = circuitNumbers(body),
    difference = circuitDifference(body);
  const left = el("div", {}),
    right = el("div", { class: "circuit-right" });
  body.append(el("div", { class: "circuit-grid" }, left, right));
  const picture = circuitPicture(left, (name) => set("edge", name));
  const threshold = circuitThreshold(right),
    list = circuitList(right),
    detail = circuitDetail(body),
    scatter = circuitScatter(body),
    past = el("div", {});
  body.append(past);
  if (circuitSources.some((source) => source.kind === "run")) circuitHistory(past);
  const drawn = { numbers, difference, picture, threshold, list, detail, scatter };
  return { controls, missing, body, past, ...drawn };
}

// The picture follows at once; what takes longer, or is read more slowly, a moment later.
function draw(section) {
  const { controls, missing, body, picture } = section;
  section.waiting = false;
  const scene = circuitScene();
  section.scene = scene;
  controls(scene);
  body.hidden = !scene;
  missing.hidden = Boolean(scene);
  clearTimeout(section.settling);
  if (!scene) {
    const none = circuitChosen().label + ": no circuits of " + (state.key ?? "this seed");
    missing.textContent = none + ". Choose other scores or another seed.";
    return;
  }
  const { view } = scene;
  picture.draw({ ...scene, focus: scene.outlined });
  picture.caption.replaceChildren(
    view.label + (view.when ? ", " + view.when : "") + " ",
    el("span", { class: "quiet" }, circuitNote(scene)),
  );
  section.threshold.update(view, scene.n);
  section.numbers(view, scene.edges, scene.n);
  section.difference(scene);
  section.past.hidden = scene.source.kind !== "run";
  body.classList.add("waiting");
  section.settling = setTimeout(() => settle(section), 160);
}

// Runs of the model, tables and charts: not for every step of a film.
function settle({ scene, list, threshold, detail, scatter, body }) {
  list.update(scene);
  threshold.settle(circuitRivals(scene));
  detail.update(scene);
  scatter(scene);
  body.classList.remove("waiting");
}

function chooseEdge(section) {
  if (section.waiting || !section.scene) return;
  const scene = circuitScene();
  section.scene = scene;
  section.picture.choose(scene.outlined);
  section.list.mark(scene);
  section.detail.update(scene);
  if (scene.focus) section.detail.show();
  section.scatter(scene);
}

function circuitNote({ view, n, drawn, unfold, source }) {
  const parts = [
    n + " of " + steps(view.order.length) + (view.unscored ? " edges" : " edges by |score|"),
  ];
  const folded = drawn.filter((edge) => edge.members.length > 1).length;
  if (folded) parts.push(folded + " folded, each the sum of its shown members");
  if (unfold.positions === false && view.graph.positions.length) parts.push("positions folded");
  if (unfold.neurons === false && view.graph.neurons) parts.push("neurons folded");
  if (source.kind === "run") parts.push("each score from removing the edge for real");
  return parts.join("; ");
}

/// Other curves for the same axes: of what is compared, and of the other files of a group.
function circuitRivals({ view, compare }) {
  const rivals = [];
  for (const source of circuitSources) {
    if (
      source.kind === "set" &&
      source.files === view.source.files &&
      source !== view.source &&
      source.set.curve
    ) {
      rivals.push({
        other: circuitView(source, 0),
        name: "group" + (rivals.length % 8) + " thin",
        text: source.set.label,
      });
    }
  }
  if (compare && !rivals.some((rival) => rival.other === compare.view)) {
    rivals.push({
      other: compare.view,
      name: "dashed",
      text: compare.view.label + (compare.view.when ? ", " + compare.view.when : ""),
    });
  }
  return rivals;
}
