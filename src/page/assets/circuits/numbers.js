// The numbers of a time point or of a file, and how they went through training.

import { el } from "../dom.js";
import { nearest, number, percent, steps } from "../numbers.js";
import { arms, selected } from "../runs.js";
import { on, set, state } from "../state.js";
import { circuitChart, circuitKey } from "./chart.js";
import { circuitShare } from "./order.js";

export function circuitNumbers(parent) {
  const list = el("dl", { class: "circuit-numbers" });
  parent.append(list);
  return function update(view, edges, n) {
    const rows = view.run?.circuits ? loggedNumbers(view) : fileNumbers(view);
    rows.push(...shownNumbers(view, edges, n));
    const there = rows.filter(([, value]) => value != null && value !== "");
    list.replaceChildren(
      ...there.map(([name, value, title]) =>
        el("div", { title }, el("dt", {}, name), el("dd", {}, String(value))),
      ),
    );
  };
}

const COUNTED = "share of all |score| on edges at positions that ";
const CHANGES =
  "came in, dropped out; of those that stayed how many changed their share of all |score| by more " +
  "than a tenth";

/// Of a time point of a run: `[name, value, what it is]`.
function loggedNumbers(view) {
  const { run, t } = view;
  const at = (name) => run.circuits[name]?.[t];
  const share = (name) => (at(name) == null ? null : percent(at(name)));
  const known = (name) => (at(name) == null ? null : number(at(name)));
  const stage = run.stages[view.stage]?.name ?? "stage " + (view.stage + 1);
  const own = view.own + " of " + view.names.length + " edges";
  const changes = ["reinforced", "pruned", "grew", "shrank"].map((name) => at(name) + " " + name);
  return [
    ["step", steps(view.step) + ", " + stage],
    ["metric, model", number(at("clean")), "mean logit of the answer minus that of the distractor"],
    ["metric, corrupted", number(at("corrupted"))],
    ["95 % circuit", view.own == null ? "none: the model does not prefer the answer" : own],
    ["its nodes", at("nodes")],
    ["its faithfulness", known("faithfulness")],
    ["useful", share("useful"), COUNTED + "count"],
    ["spurious", share("spurious"), COUNTED + "do not count"],
    ["since the log before", at("reinforced") == null ? null : changes.join(", "), CHANGES],
    ["Jaccard with it", known("jaccard")],
    ["rank correlation", known("rank_correlation")],
  ];
}

/// Of a file, or a time point of a tuning.
function fileNumbers(view) {
  const { set, series } = view.source,
    sum = set?.completeness;
  const [total, falls, rest] = sum ? [sum.sum, sum.delta, sum.residual].map(number) : [];
  return [
    ["method", set?.method],
    ["metric", set?.metric],
    ["baseline", set?.baseline],
    ["step", view.step == null ? null : steps(view.step)],
    ["edges with a score", view.unscored ? "none" : steps(view.order.length)],
    ["edges of the circuit", view.kept ? steps(view.own) : null],
    ["completeness", sum ? `sum ${total}, metric falls by ${falls}, residual ${rest}` : null],
    ["time points", series ? series.steps.length : null],
  ];
}

function shownNumbers(view, edges, n) {
  const touched = new Set();
  for (const e of edges) touched.add(view.graph.from[e]).add(view.graph.to[e]);
  const rows = [["shown", n + (n === 1 ? " edge, " : " edges, ") + touched.size + " nodes"]];
  if (view.unscored || !(view.total > 0)) return rows;
  let part = 0;
  for (const e of edges) part += circuitShare(view, e);
  return [...rows, ["of all |score|", percent(part)]];
}

/// Charts over steps of the selected seed in all arms; a click moves the time there.
export function circuitHistory(parent) {
  const grid = el("div", { class: "circuit-charts" }),
    key = el("div", {});
  parent.append(key, grid);
  let charts = [],
    now = null;
  const place = () => charts.forEach((chart) => chart.move(state.step));
  function draw() {
    const mine = arms.map((_, a) => selected(a)).filter((run) => run?.circuits?.steps.length);
    const stamp = mine.map((run) => run.arm + run.key).join();
    if (stamp === now) return place();
    now = stamp;
    grid.replaceChildren();
    key.replaceChildren();
    charts = [];
    if (!mine.length) return;
    key.append(circuitKey(historyLines(mine, ["edges"])));
    charts = HISTORIES.map((history) => historyChart(grid, mine, history));
  }
  on("key", draw);
  on("step", place);
  draw();
}

/// Charts: columns of the log, the second drawn dashed, and those told for a step beside them.
const HISTORIES = [
  {
    title: "Size of the 95 % circuit",
    name: "circuit-size",
    yLabel: "edges",
    shown: ["edges"],
    told: ["edges"],
  },
  {
    title: "Useful and spurious",
    name: "circuit-useful",
    yLabel: "share of all |score|",
    shown: ["useful", "spurious"],
    told: ["useful", "spurious"],
    note: "dashed: positions that do not count",
  },
  {
    title: "Reinforced and pruned",
    name: "circuit-changes",
    yLabel: "edges",
    shown: ["reinforced", "pruned"],
    sign: -1,
    told: ["reinforced", "pruned", "jaccard"],
    note: "since the log before; dashed, downwards: pruned",
  },
];

function historyLines(mine, shown, sign = 1) {
  return shown.flatMap((name, i) =>
    mine.map((run) => ({
      x: run.circuits.steps,
      y: run.circuits[name].map((v) => (v == null ? null : i ? sign * v : v)),
      name: "ink" + (run.arm % 6) + (i ? " dashed" : ""),
      text: run.armName,
    })),
  );
}

function historyChart(grid, mine, { title, name, yLabel, shown, sign, told, note }) {
  const all = [...new Set(mine.flatMap((run) => run.circuits.steps))].sort((a, b) => a - b);
  const stages = mine.flatMap((run) => run.stages.slice(1));
  const said = (run, x) => {
    const i = nearest(run.circuits.steps, x);
    const values = told.map((column) => {
      const value = run.circuits[column][i];
      const text = column === "jaccard" ? "Jaccard" : column;
      return text + " " + (value == null ? "none" : number(value));
    });
    return run.armName + ", step " + steps(run.circuits.steps[i]) + ":\n  " + values.join(", ");
  };
  return circuitChart(grid, {
    title,
    name,
    note,
    height: 170,
    lines: historyLines(mine, shown, sign),
    xLabel: "step (updates)",
    yLabel,
    now: state.step,
    pick: (x) => set("step", all[nearest(all, x)]),
    tell: (x) => mine.map((run) => said(run, x)).join("\n"),
    marks: [...new Set(stages.map((stage) => stage.step))],
  });
}
