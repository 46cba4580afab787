// The charts of all runs, and the choice between their curves.

import { accuracies, allRuns, evalCurve } from "./curves.js";
import { byId, el } from "./dom.js";

function choice(id, name, options, change) {
  options.forEach(([value, text], i) => {
    const input = el("input", { type: "radio", name, value, checked: i === 0 });
    input.addEventListener("change", () => change(value));
    byId(id).append(el("label", {}, input, " " + text));
  });
}

const LOSSES = {
  batch: ["batch loss", "training batch"],
  train_loss: ["train loss", "training set"],
  test_loss: ["test loss", "test set"],
};
const ACCURACIES = {
  test_accuracy: ["test accuracy", "test"],
  train_accuracy: ["train accuracy", "train"],
  test_accuracy_mod2: ["test accuracy mod 2", "test mod 2"],
  train_accuracy_mod2: ["train accuracy mod 2", "train mod 2"],
};
const SHARE = [0, 1.03];
/// Smaller charts: place, title, unit, curve, its short name, range.
const OTHERS = [
  ["cluster", "Cluster R\u00b2: variance due to the sum", "share of variance", "cluster_r2"],
  ["relevant", "Attention on the positions that count", "attention (sum)", "attention_relevant"],
  ["norm", "Norm of the sequence embedding", "mean norm", "sequence_norm"],
];
const SHORT = {
  cluster_r2: "cluster R\u00b2",
  attention_relevant: "attention",
  sequence_norm: "norm",
};

export function startCurves() {
  const loss = { title: "Loss, log scale", unit: "cross-entropy (nats)", log: true };
  const lossOf = (name) => (name === "batch" ? (run) => run.loss : evalCurve(name));
  chosenCurve("loss", LOSSES, lossOf, loss);
  const accuracy = { title: "Accuracy", unit: "share right", range: SHARE, more: accuracies };
  chosenCurve("accuracy", ACCURACIES, evalCurve, accuracy);
  for (const [id, title, unit, curve] of OTHERS) {
    const range = id === "norm" ? undefined : SHARE;
    const source = evalCurve(curve);
    allRuns(id, { height: 200, title, unit, range, source, name: () => SHORT[curve] });
  }
}

/// A chart of one of several curves: `curves` has for each its name and that of its choice.
function chosenCurve(id, curves, sourceOf, options) {
  let [now] = Object.keys(curves);
  const name = () => curves[now][0];
  const chart = allRuns(id, { ...options, height: 300, source: sourceOf(now), name });
  const choices = Object.entries(curves).map(([curve, [, text]]) => [curve, text]);
  choice(id + "-choice", id, choices, (curve) => {
    now = curve;
    chart.setSource(sourceOf(curve));
  });
}
