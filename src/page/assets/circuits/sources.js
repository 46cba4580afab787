// Everything in the page that has a score for each edge, and one such list at one time as a "view".
//
// Three kinds: circuits through training (of the selected seed, in one arm), files of scores or
// circuits, and scores through tuning. All are listed with an id, which is what the address of the
// page holds.

import { data } from "../data.js";
import { atOrBefore, steps } from "../numbers.js";
import { arms, selected } from "../runs.js";
import { state } from "../state.js";
import { circuitGraph } from "./graph.js";
import { circuitOrder } from "./order.js";

export const CIRCUIT_DRAWN = 600;

export const circuitSources = [];
{
  const taken = new Set(["none", "previous", "stage", "at"]);
  const add = (source) => {
    // The address turns what looks like a number into one.
    let id = isFinite(source.id) ? "set" + source.id : source.id;
    for (let i = 2; taken.has(id); i++) id = source.id + "~" + i;
    taken.add(id);
    circuitSources.push({ ...source, id });
  };
  arms.forEach((arm, a) => {
    if (arm.runs.some((run) => run.circuits)) {
      add({
        id: "run" + a,
        kind: "run",
        arm: a,
        label: arm.name + ", through training",
        group: "Runs: circuits of the selected seed",
      });
    }
  });
  (data.circuits ?? []).forEach((group, g) => {
    const many = data.circuits.length > 1 || !group.sets.length ? group.name + ": " : "";
    group.sets.forEach((set, s) =>
      add({
        id: String(set.id ?? g + "." + s),
        kind: "set",
        set,
        files: group,
        label: many + set.label,
        group: "Files: " + group.name,
      }),
    );
    (group.series ?? []).forEach((series, s) =>
      add({
        id: "series" + g + "." + s,
        kind: "series",
        series,
        files: group,
        label: many + series.label,
        group: "Through tuning: " + group.name,
      }),
    );
  });
}

export function circuitSource(id) {
  return (
    circuitSources.find((source) => source.id === String(id) || source.id === "set" + id) ?? null
  );
}

/// Names, time points and what else stands behind a source now; null if the selected seed has none.
export function circuitBehind(source) {
  if (source.kind === "run") {
    const run = selected(source.arm);
    if (!run?.circuits?.steps.length) return null;
    return {
      run,
      names: run.circuits.names,
      steps: run.circuits.steps,
      label: run.armName + ", " + run.key,
    };
  }
  if (source.kind === "series") {
    return { names: source.files.names, steps: source.series.steps, label: source.label };
  }
  return { names: source.files.names, steps: null, label: source.label };
}

/// The number of the time point that is shown: runs follow the page's time, tuning has its own.
export function circuitTime(source, behind = circuitBehind(source)) {
  if (!behind?.steps) return 0;
  const step = source.kind === "run" ? state.step : state.circuit_step;
  return step == null ? behind.steps.length - 1 : atOrBefore(behind.steps, step);
}

const circuitViews = new Map();

/// The scores of a source at its time point `t`, with their order.
///
/// `order` has the scored edges by falling |score|, `rank[e]` counts from 0 (-1: none), `own` is
/// the size of the circuit that comes with it (null: none), `kept` its edges if they are not the
/// first ones of the order.
export function circuitView(source, t) {
  const behind = source && circuitBehind(source);
  if (!behind || t < 0) return null;
  const key = source.id + "|" + (behind.run?.key ?? "") + "|" + t;
  let view = circuitViews.get(key);
  if (!view) {
    view = circuitLook(source, behind, t);
    if (circuitViews.size >= 60) circuitViews.delete(circuitViews.keys().next().value);
  } else circuitViews.delete(key);
  circuitViews.set(key, view);
  return view;
}

function circuitLook(source, { run, names, steps: times, label }, t) {
  const count = names.length;
  const view = {
    source,
    run: run ?? null,
    names,
    graph: circuitGraph(names),
    t,
    step: times ? times[t] : (source.set?.step ?? null),
    label,
    own: null,
    kept: null,
    curve: null,
    unscored: false,
    tokens: [],
  };
  if (source.kind === "set") {
    const { set } = source;
    Object.assign(view, {
      kept: set.kept ?? null,
      curve: set.curve ?? null,
      unscored: !set.scores,
      tokens: set.tokens ?? [],
    });
    // A circuit without scores: all its edges are worth the same.
    view.scores =
      set.scores ?? Float32Array.from({ length: count }, (_, e) => (set.kept?.[e] ? 1 : NaN));
    if (set.kept) view.own = set.kept.reduce((sum, x) => sum + x, 0);
  } else {
    view.scores = (source.series ?? run.circuits).scores.subarray(t * count, (t + 1) * count);
    if (run) {
      view.own = run.circuits.edges[t];
      view.stage = run.circuits.stage[t];
      view.k = run.stages[view.stage]?.k ?? run.k;
    }
  }
  Object.assign(view, circuitOrder(view.scores));
  view.when = view.step == null ? "" : "step " + steps(view.step);
  return view;
}

/// How many edges were chosen; null for as many as the circuit has.
export function circuitAsked() {
  return Number.isInteger(state.shown) && state.shown > 0 ? state.shown : null;
}
