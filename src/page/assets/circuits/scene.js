// What of the circuits is shown, from what is chosen: everything the parts of the section draw.

import { atOrBefore } from "../numbers.js";
import { state } from "../state.js";
import { circuitCompare, circuitShared } from "./compare.js";
import { circuitCurveOf } from "./curve.js";
import { circuitFoldedName } from "./graph.js";
import { circuitDrawnEdges } from "./layout.js";
import { CIRCUIT_WORDS } from "./picture.js";
import { circuitEdges, circuitKind } from "./order.js";
import {
  CIRCUIT_DRAWN,
  circuitAsked,
  circuitBehind,
  circuitSource,
  circuitSources,
  circuitTime,
  circuitView,
} from "./sources.js";

export const CIRCUIT_FILTERS = {
  all: ["all edges", () => true],
  gained: ["gained (reinforced)", (scene, e) => scene.compare?.status.get(e) === "gained"],
  lost: ["lost (pruned)", (scene, e) => scene.compare?.status.get(e) === "lost"],
  kept: ["kept", (scene, e) => scene.compare?.status.get(e) === "kept"],
  grew: ["grew by more than a tenth", (scene, e) => Boolean(scene.compare?.grew.has(e))],
  shrank: ["shrank by more than a tenth", (scene, e) => Boolean(scene.compare?.shrank.has(e))],
  useful: ["useful: its position counts", (scene, e) => circuitKind(scene.view, e) === "useful"],
  spurious: [
    "spurious: its position does not",
    (scene, e) => circuitKind(scene.view, e) === "spurious",
  ],
  positive: ["score above 0", (scene, e) => scene.view.scores[e] > 0],
  negative: ["score below 0", (scene, e) => scene.view.scores[e] < 0],
};

/// The chosen source, or the first one that has something to show.
export function circuitChosen() {
  const chosen = circuitSource(state.circuit);
  if (chosen) return chosen;
  return (
    circuitSources.findLast((source) => source.kind === "run" && circuitBehind(source)) ??
    circuitSources.find((source) => circuitBehind(source)) ??
    circuitSources[0]
  );
}

/// What a view may be compared with: `[id, text, group]`.
export function circuitChoices(source, view) {
  const list = [["none", "nothing", ""]];
  const behind = circuitBehind(source);
  if (behind?.steps) {
    list.push(["previous", "the time point before", ""]);
    if (source.kind === "run" && new Set(behind.run.circuits.stage).size > 1) {
      list.push(["stage", "the end of the stage before", ""]);
    }
    list.push(["at", "itself at another step", ""]);
  }
  for (const other of circuitSources) {
    if (other === source) continue;
    const its = circuitBehind(other);
    if (view && its && circuitShared(view.names, its.names)) {
      list.push([other.id, other.label, other.group]);
    }
  }
  return list;
}

/// The view that the shown one is compared with, or why there is none: `{view, time, why}`.
function circuitOther(source, view) {
  const id = state.other ?? (view.step != null && source.kind !== "set" ? "previous" : "none");
  if (id === "none") return {};
  const behind = circuitBehind(source);
  if (["previous", "stage", "at"].includes(id)) {
    if (!behind.steps) return { why: "a file has no time points" };
    let t = view.t - 1;
    if (id === "at") t = atOrBefore(behind.steps, state.circuit_at ?? behind.steps[0]);
    if (id === "stage") {
      t = behind.run
        ? behind.run.circuits.stage.findLastIndex((stage, i) => i < view.t && stage < view.stage)
        : -1;
    }
    if (t < 0) {
      return { why: id === "stage" ? "there is no stage before" : "this is the first time point" };
    }
    return { view: circuitView(source, t), time: true };
  }
  const other = circuitSource(id),
    its = other && circuitBehind(other);
  if (!its) {
    return {
      why: other
        ? other.label + " has no circuits of this seed"
        : "there is no \u201c" + id + "\u201d in this page",
    };
  }
  if (!circuitShared(view.names, its.names)) {
    return { why: other.label + " is about another graph" };
  }
  return { view: circuitView(other, circuitTime(other)) };
}

function circuitUnfold(graph) {
  // The small model is drawn whole.
  const few = graph.layers === 1 && graph.positions.length <= 24;
  return {
    positions: Boolean(state.circuit_positions ?? few),
    neurons: Boolean(state.circuit_neurons ?? few),
  };
}

/// An edge that another part of the page chose by its position is the same edge here, where
/// positions are not told apart.
function circuitKnown(graph, name) {
  if (name == null || graph.index.has(name)) return name ?? null;
  const plain = String(name).replace(/@\d+/g, "");
  return graph.index.has(plain) ? plain : String(name);
}

/// `edges` are those of the circuit, `listed` those drawn (with what the other circuit has beyond
/// them, filtered, at most CIRCUIT_DRAWN), `drawn` the same as they are folded; null if the source
/// has nothing for this seed.
export function circuitScene() {
  const source = circuitChosen(),
    view = circuitView(source, circuitTime(source));
  if (!view) return null;
  const { view: other, time, why } = circuitOther(source, view);
  // Scores that came without a circuit are shown with as many edges as the circuit they are
  // compared with.
  const size =
    circuitAsked() ??
    (view.own == null && source.kind === "set" && other?.own != null ? other.own : null);
  const edges = circuitEdges(view, size),
    n = edges.length;
  const scene = {
    source,
    view,
    edges,
    n,
    why,
    focus: circuitKnown(view.graph, state.edge),
    compare: null,
    terms: CIRCUIT_WORDS[time ? "time" : "other"],
  };
  if (other) {
    scene.compare = circuitCompare(view, edges, other, circuitEdges(other, circuitAsked()));
  }
  scene.unfold = circuitUnfold(view.graph);
  scene.colour = state.circuit_colour ?? (other && !time ? "change" : "sign");
  const lost = scene.compare
    ? [...scene.compare.status].filter(([, status]) => status === "lost").map(([e]) => e)
    : [];
  const [, test] = CIRCUIT_FILTERS[state.circuit_filter] ?? CIRCUIT_FILTERS.all;
  const matching = [...edges, ...lost].filter((e) => test(scene, e));
  scene.matching = matching.length;
  scene.listed = matching.slice(0, CIRCUIT_DRAWN);
  scene.drawn = circuitDrawnEdges(view, scene.listed, scene.unfold, scene.compare);
  const e = view.graph.index.get(scene.focus);
  scene.outlined = e === undefined ? scene.focus : circuitFoldedName(view.graph, e, scene.unfold);
  return scene;
}

/// What of the circuit is shown, for whoever drives the page.
window.edgegradCircuit = () => {
  if (!circuitSources.length) return null;
  const scene = circuitScene(),
    source = circuitChosen();
  if (!scene) {
    return {
      id: source.id,
      step: null,
      shown: [],
      n: 0,
      faithfulness: null,
      diff: null,
      focus: state.edge ?? null,
    };
  }
  const { view, compare } = scene,
    curve = circuitCurveOf(view);
  return {
    id: source.id,
    step: view.step,
    n: scene.n,
    focus: scene.focus,
    shown: scene.listed.filter((e) => compare?.status.get(e) !== "lost").map((e) => view.names[e]),
    faithfulness: curve && Array.from(curve.n, (n, i) => [n, curve.f[i]]),
    diff: compare && {
      gained: compare.gained,
      lost: compare.lost + compare.beyond,
      kept: compare.kept,
    },
  };
};
