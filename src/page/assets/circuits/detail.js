// One edge: its score through training and tuning, by every method, its exact value, its partners.

/* global d3 */
import { el } from "../dom.js";
import { figure, svg } from "../figure.js";
import { nearest, number, percent, steps } from "../numbers.js";
import { arms, selected } from "../runs.js";
import { set } from "../state.js";
import { circuitCell, circuitChart, circuitKey } from "./chart.js";
import { circuitFoldedName, circuitGraph } from "./graph.js";
import { circuitPartners } from "./partners.js";
import { circuitKind, circuitShare } from "./order.js";
import { circuitSources, circuitTime, circuitView } from "./sources.js";

/// `members` are the edges of `view` that the chosen name stands for (several while it is folded).
export function circuitDetail(parent) {
  const box = el("div", {
    class: "circuit-detail",
    role: "region",
    "aria-label": "The chosen edge",
    "aria-live": "off",
  });
  parent.append(box);
  function update(scene) {
    const { view, focus } = scene;
    box.replaceChildren();
    if (!focus) {
      box.append(
        el(
          "p",
          { class: "quiet unchosen" },
          "Choose an edge in the picture or the table to see its score through time and by method, and its partners.",
        ),
      );
      return;
    }
    const members = circuitMembers(view, focus, scene.unfold);
    const close = el("button", { type: "button" }, "Close");
    close.addEventListener("click", () => set("edge", null));
    box.append(el("div", { class: "bar" }, el("h4", {}, focus), close));
    if (!members.length) {
      box.append(el("p", { class: "quiet" }, "This graph has no edge of this name."));
      return;
    }
    box.append(el("p", { class: "circuit-facts" }, circuitFacts(view, members)));
    const charts = el("div", {}),
      grid = el("div", { class: "circuit-sides" }, charts);
    box.append(grid);
    circuitScoreThroughTime(charts, view, members, focus);
    circuitByMethod(charts, view, members, focus);
    circuitPartners(grid, view, members);
  }
  return { update, show: () => box.scrollIntoView({ block: "nearest" }) };
}

function circuitMembers(view, name, unfold) {
  const e = view.graph.index.get(name);
  if (e !== undefined) return [e];
  return view.names.flatMap((_, i) =>
    circuitFoldedName(view.graph, i, unfold) === name ? [i] : [],
  );
}
function circuitSum(scores, members, offset = 0) {
  let sum = 0,
    some = false;
  for (const e of members) {
    const v = scores[offset + e];
    if (!Number.isNaN(v)) {
      sum += v;
      some = true;
    }
  }
  return some ? sum : null;
}

function circuitFacts(view, members) {
  const parts = [],
    [e] = members,
    sum = circuitSum(view.scores, members);
  if (members.length > 1) {
    parts.push("folded: " + members.length + " edges, whose scores add up to " + number(sum));
  } else if (view.unscored) parts.push(view.kept?.[e] ? "in the circuit" : "not in the circuit");
  else if (view.rank[e] < 0) parts.push("no score");
  else {
    parts.push(
      "score " +
        number(sum) +
        ", rank " +
        (view.rank[e] + 1) +
        " of " +
        view.order.length +
        ", " +
        percent(circuitShare(view, e)) +
        " of all |score|",
    );
  }
  const token = members.length === 1 ? view.tokens[view.graph.position[e]] : undefined;
  if (token !== undefined) parts.push("at " + JSON.stringify(token));
  const kind = members.length === 1 ? circuitKind(view, e) : "";
  if (kind) {
    parts.push(kind + ": its position " + (kind === "useful" ? "counts" : "does not count"));
  }
  if (view.run) parts.push("exact: the edge was removed for real");
  const exact = view.source.files?.sets.find((set) => set.method === "exact" && set.scores);
  if (exact && exact !== view.source.set) {
    const value = circuitSum(exact.scores, members);
    parts.push(
      "exact value " + (value == null ? "none" : number(value)) + " (" + exact.label + ")",
    );
  }
  return parts.join("; ") + ".";
}

function circuitScoreThroughTime(parent, view, members, focus) {
  const lines = view.run ? linesOfRuns(view, members) : linesOfSeries(view, members);
  if (!lines.length) return;
  const time = view.run ? "step" : "circuit_step",
    all = [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
  const stages = view.run ? arms.flatMap((_, a) => selected(a)?.stages.slice(1) ?? []) : [];
  circuitChart(parent, {
    title: "Score through " + (view.run ? "training" : "tuning"),
    name: "score-" + focus,
    lines,
    height: 180,
    marks: [...new Set(stages.map((stage) => stage.step))],
    xLabel: "step (updates)",
    yLabel: "score (metric)",
    now: view.source.kind === "set" ? null : view.step,
    pick: (x) => set(time, all[nearest(all, x)]),
    tell(x) {
      const said = lines.map((line) => {
        const i = nearest(line.x, x);
        return line.text + ", step " + steps(line.x[i]) + ": " + number(line.y[i]);
      });
      return said.join("\n");
    },
  });
  const trends = view.run ? [] : trendsOf(view, members);
  parent.append(circuitKey(lines), ...trends.map((text) => el("p", { class: "quiet" }, text)));
}

/// The line of what `members` of `view` have in `scores` [T, E], by names `list`; none if nothing.
function lineOf(view, members, x, list, scores, rest) {
  const { index } = circuitGraph(list);
  const own = members.map((e) => index.get(view.names[e])).filter((e) => e !== undefined);
  const y = x.map((_, t) => circuitSum(scores, own, t * list.length));
  return own.length ? [{ x, y, ...rest }] : [];
}

function linesOfRuns(view, members) {
  return arms.flatMap((_, a) => {
    const run = selected(a),
      circuits = run?.circuits;
    if (!circuits?.steps.length) return [];
    const rest = { name: "ink" + (a % 6), text: run.armName };
    return lineOf(view, members, circuits.steps, circuits.names, circuits.scores, rest);
  });
}

function linesOfSeries(view, members) {
  return (view.source.files.series ?? []).flatMap((series, s) => {
    const rest = { name: "group" + (s % 8), text: series.label };
    return lineOf(view, members, series.steps, view.names, series.scores, rest);
  });
}

function trendsOf(view, members) {
  const [e] = members;
  if (members.length !== 1) return [];
  return (view.source.files.series ?? []).flatMap(({ label, trend }) => {
    if (trend?.slope[e] == null) return [];
    const q = trend.q?.[e] == null ? "" : ", q = " + number(trend.q[e]);
    return [`${label}: trend ${number(trend.slope[e])} a step, p = ${number(trend.p[e])}${q}.`];
  });
}

function circuitByMethod(parent, view, members, focus) {
  const values = circuitSources.flatMap((source) =>
    view.source.files ? valueOfSet(view, members, source) : valueOfRun(view, members, source),
  );
  if (values.length < 2) return;
  const { cell, width } = circuitCell(parent, 400),
    height = 24 + 20 * values.length,
    left = 172,
    wide = width - left - 130;
  const title = view.run ? "In each arm" : "By method";
  const { root } = figure(cell, { title, width, height, name: "methods-" + focus });
  const sizes = values.map((v) => v.value ?? 0),
    low = Math.min(0, ...sizes);
  const x = d3.scaleLinear([low, Math.max(0, ...sizes, low + 1e-12)], [left, left + wide]);
  root.append(...values.flatMap((value, i) => valueBar(value, 20 * i + 4, x)));
  const middle = { x: left + wide / 2, y: height - 6, "text-anchor": "middle" };
  root.append(
    svg("line", { class: "circuit-zero", x1: x(0), x2: x(0), y1: 2, y2: height - 20 }),
    svg("text", { class: "axis", ...middle }, "score (metric)"),
  );
}

function valueOfSet(view, members, source) {
  const { set } = source;
  if (source.files !== view.source.files || source.kind !== "set" || !set.scores) return [];
  const its = circuitView(source, 0);
  return {
    text: set.label + (set.method === "exact" && set.label !== "exact" ? " (exact)" : ""),
    value: circuitSum(its.scores, members),
    rank: members.length === 1 ? its.rank[members[0]] : -1,
    now: source === view.source,
  };
}

function valueOfRun(view, members, source) {
  const its = source.kind === "run" ? circuitView(source, circuitTime(source)) : null;
  if (!its) return [];
  const { index } = its.graph;
  const own = members.map((e) => index.get(view.names[e])).filter((e) => e !== undefined);
  if (!own.length) return [];
  return {
    text: arms[source.arm].name + ", " + its.when,
    value: circuitSum(its.scores, own),
    rank: own.length === 1 ? its.rank[own[0]] : -1,
    now: source === view.source,
  };
}

/// A bar from 0 on the scale `x`, its name to the left, its value to the right.
function valueBar({ text, value, rank, now }, y, x) {
  const [left, right] = x.range();
  const cut = text.length > 22 ? text.slice(0, 21) + "\u2026" : text;
  const place = { x: left - 6, y: y + 12, "text-anchor": "end" };
  const label = { class: now ? "circuit-label bold" : "circuit-label", ...place };
  const marks = [svg("text", label, cut, svg("title", {}, text))];
  if (value != null) {
    const width = Math.max(0.5, Math.abs(x(value) - x(0)));
    const bar = { x: Math.min(x(0), x(value)), y: y + 2, width, height: 13 };
    const sign = value < 0 ? "negative" : "positive";
    marks.push(svg("rect", { class: "circuit-bar " + sign, ...bar }));
  }
  const ranked = rank >= 0 ? "  (rank " + (rank + 1) + ")" : "";
  const said = value == null ? "no score" : number(value) + ranked;
  return [...marks, svg("text", { class: "circuit-label", x: right + 8, y: y + 12 }, said)];
}
