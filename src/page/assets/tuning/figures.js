// What a comparison of methods of tuning measures, how it is written, and what is chance.

/* global d3 */

import { meanInterval } from "../numbers.js";

export const TUNING_FIGURES = {
  target: {
    better: 1,
    digits: 3,
    unit: (t) => t.target_name + " (share, 0 to 1)",
    short: (t) => t.target_name,
  },
  gap: {
    better: 1,
    digits: 2,
    unit: () => "gap gained: logit of what is asked minus its rival's, after minus before (logits)",
    short: () => "gap gained (logits)",
  },
  transfer: {
    better: 1,
    digits: 3,
    unit: () => "transfer: the same on what tuning never showed (share)",
    short: () => "transfer",
  },
  retention: {
    better: 1,
    digits: 3,
    unit: () => "retention of the other domains (score after / before)",
    short: () => "retention",
  },
  nll_change: {
    better: -1,
    digits: 3,
    unit: () => "nll change of the other domains (nats per token)",
    short: () => "nll change (nats)",
  },
};
export const TUNING_NAMES = Object.keys(TUNING_FIGURES);

/// What the model before tuning has: of the gap and of the likelihood, what it has gained or lost
/// is told.
export function tuningBase(t, name) {
  return name === "gap" || name === "nll_change" ? 0 : (t.base[name] ?? null);
}
/// A figure may be a number or `{mean, interval}`.
export function tuningMean(figure) {
  const x = typeof figure === "number" ? figure : figure?.mean;
  return Number.isFinite(x) ? x : null;
}
export function tuningText(figure, digits) {
  const mean = tuningMean(figure),
    range = figure?.interval;
  if (mean == null) return "none";
  return (
    tuningFixed(mean, digits) +
    (range ? " [" + range.map((x) => tuningFixed(x, digits)).join(", ") + "]" : "")
  );
}
export function tuningFixed(x, digits) {
  return x == null
    ? "none"
    : x
        .toFixed(digits)
        .replace(/^-(?=[0.]*$)/, "")
        .replace(/^-/, "\u2212");
}
export function tuningShare(figure) {
  const mean = tuningMean(figure);
  return mean == null ? "none" : (100 * mean).toFixed(1) + " %";
}
export function tuningBytes(figure) {
  const mean = tuningMean(figure);
  return mean == null ? "none" : (mean / 1e6).toFixed(2) + " MB";
}

export function tuningRate(x) {
  return x == null ? "none" : String(Number(x.toPrecision(3)));
}

// Told apart by shape as well as by colour.
export const TUNING_FAMILIES = {
  circuit: { name: "circuits", shape: "symbolCircle" },
  random: { name: "random control", shape: "symbolDiamond" },
  adapter: { name: "adapters", shape: "symbolTriangle" },
  other: { name: "other parts", shape: "symbolSquare" },
};
export function tuningFamily(row) {
  const method = String(row.method ?? row.name);
  if (/lora/.test(method)) return "adapter";
  if (/^random/.test(method)) return "random";
  return /^(circuit|static)/.test(method) ? "circuit" : "other";
}
export function tuningSymbol(row, size) {
  return d3.symbol(d3[TUNING_FAMILIES[tuningFamily(row)].shape], size)();
}

/// `a` minus `b`, seed by seed: the mean, its 95 % interval, and how many there are.
export function tuningDifference(a, b, name) {
  const differences = a.runs.flatMap((run) => {
    const other = b.runs.find((other) => other.seed === run.seed);
    const there = other && Number.isFinite(run[name]) && Number.isFinite(other[name]);
    return there ? [run[name] - other[name]] : [];
  });
  const n = differences.length;
  if (n === 0) return null;
  return { mean: d3.mean(differences), interval: meanInterval(differences), seeds: n };
}

/// All figures of a row for the hover text and for those who listen.
export function tuningSaid(t, row) {
  const lines = TUNING_NAMES.map(
    (name) =>
      TUNING_FIGURES[name].short(t) + " " + tuningText(row[name], TUNING_FIGURES[name].digits),
  );
  return [
    row.name,
    ...lines,
    "trained by an update " +
      tuningShare(row.trained) +
      ", ever " +
      tuningShare(row.ever) +
      " of the blocks' numbers",
    ...(row.at_the_edge ? ["its learning rate is at the edge of those tried"] : []),
    ...(row.diverged ? [row.diverged + " of " + t.seeds + " runs diverged"] : []),
  ].join("\n");
}
