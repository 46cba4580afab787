// How many edges are shown, beside what they are worth: the slider and the faithfulness curve.

import { el } from "../dom.js";
import { nearest, number, steps } from "../numbers.js";
import { set } from "../state.js";
import { circuitChart, circuitKey } from "./chart.js";
import { circuitCurveOf, circuitFaithfulness, circuitRun } from "./curve.js";
import { patchedHindrance } from "./patched.js";
import { circuitAsked } from "./sources.js";

export function circuitThreshold(parent) {
  const range = { type: "range", min: 0, max: 1, step: 1, value: 0, id: "circuit-shown" };
  const slider = el("input", { ...range, "aria-label": "Edges shown" });
  const count = { type: "number", min: 1, step: 1, "aria-label": "Number of edges shown" };
  const exact = el("input", count);
  const own = el("button", { type: "button" }, "95 % circuit");
  const of = el("span", { class: "quiet" });
  const label = el("label", { for: "circuit-shown" }, "Edges");
  const place = el("div", {}),
    why = el("p", { class: "quiet", hidden: true });
  parent.append(el("div", { class: "circuit-slider" }, label, slider, exact, of, own), place, why);
  const shown = { sizes: [1], view: null, n: 1, drawn: null, chart: null };
  const threshold = { slider, exact, own, of, place, why, ...shown };
  slider.addEventListener("input", () => {
    show(threshold, threshold.sizes[Number(slider.value)]);
  });
  exact.addEventListener("change", () => {
    if (Number(exact.value) >= 1) show(threshold, Number(exact.value));
    else update(threshold, threshold.view, threshold.n);
  });
  own.addEventListener("click", () => set("shown", null));
  return {
    update: (view, n) => update(threshold, view, n),
    settle: (others) => settle(threshold, others),
  };
}

function show({ view }, value) {
  set("shown", Math.max(1, Math.min(view.order.length, Math.round(value))));
}

// Every number up to ten, then steps of about a twelfth.
function stops(count) {
  const list = [];
  for (let x = 1; x < count; x = Math.max(x + 1, Math.round(x * 1.08))) list.push(x);
  return [...list, count];
}

function update(threshold, view, n) {
  const { slider, exact, own, of } = threshold;
  Object.assign(threshold, { view, n });
  const count = Math.max(1, view.order.length);
  if (threshold.sizes.at(-1) !== count) threshold.sizes = stops(count);
  slider.max = threshold.sizes.length - 1;
  slider.value = nearest(threshold.sizes, n);
  slider.setAttribute("aria-valuetext", n + " of " + count + " edges");
  exact.max = count;
  exact.value = n;
  of.textContent = "of " + steps(count);
  const sized = view.run && view.own != null;
  own.textContent = view.kept ? "Its circuit" : sized ? "95 % circuit" : "Default";
  own.disabled = circuitAsked() == null;
  if (threshold.drawn === view) threshold.chart?.move(n, circuitFaithfulness(view, n));
}

// Made a moment after the picture: it may have to run the model.
function settle(threshold, others) {
  const { view, place, why } = threshold;
  const curve = circuitCurveOf(view);
  threshold.drawn = view;
  const lines = others.flatMap(({ other, name, text }) => {
    const its = circuitCurveOf(other);
    return its ? [{ x: its.n, y: its.f, name, text }] : [];
  });
  if (curve) {
    const text = view.label + (view.when ? ", " + view.when : "");
    lines.push({ x: curve.n, y: curve.f, name: "main", text });
  }
  place.replaceChildren();
  threshold.chart = lines.length ? drawCurve(threshold, curve, lines) : null;
  why.textContent = remark(view, curve, lines);
  why.hidden = !why.textContent;
}

function drawCurve(threshold, curve, lines) {
  const { view, n, place } = threshold;
  const note = !curve
    ? "of other scores"
    : curve.run
      ? "each size run in this page, other edges corrupted"
      : "as `edgegrad evaluate` measured it";
  const last = lines.map((line) => line.x[line.x.length - 1]);
  const chart = circuitChart(place, {
    title: "Faithfulness",
    name: "faithfulness",
    height: 200,
    lines,
    logX: true,
    dots: true,
    note,
    domain: [1, Math.max(2, view.order.length, ...last)],
    xLabel: "edges kept, by falling |score| (log)",
    yLabel: "faithfulness",
    levels: [0.95, 0, 1],
    now: n,
    nowY: circuitFaithfulness(view, n),
    pick: (x) => show(threshold, curve && !curve.run ? curve.n[nearest(curve.n, x)] : x),
    tell(x) {
      if (!curve) return Math.round(x) + " edges";
      const i = nearest(Array.from(curve.n), x);
      return steps(curve.n[i]) + " edges\nfaithfulness " + number(curve.f[i]);
    },
  });
  if (lines.length > 1 || !curve) place.append(circuitKey(lines));
  return chart;
}

/// What has to be said of the curve, or of why there is none.
function remark(view, curve, lines) {
  if (!lines.length) {
    const why = circuitRun(view)
      ? "the model and its corrupted run are worth the same"
      : patchedHindrance(view);
    return "No faithfulness curve: " + why + ".";
  }
  if (!curve) return "No curve of these scores: " + patchedHindrance(view) + ".";
  // Large values of either sign make the curve hard to read; say what they mean.
  return Array.from(curve.f).some((f) => f < -0.5 || f > 1.5)
    ? "Below 0 a circuit is worth less than the corrupted run, above 1 more than the model."
    : "";
}
