// All seeds of all arms as tiny charts of one scale: a column is a seed, a row an arm, so that what
// one seed did in each arm stands in one column. Too many for one line wrap into bands.

/* global d3 */
import { data } from "../data.js";
import { byId, el, hideTip, showTip } from "../dom.js";
import { svg } from "../figure.js";
import { number, steps } from "../numbers.js";
import { arms, keys, runs } from "../runs.js";
import { on, set, state } from "../state.js";

const SEED_CELL = { width: 92, height: 46, least: 76, most: 120, label: 132, gap: 6 };
const SEED_CURVES = {
  test_accuracy: "test accuracy",
  train_accuracy: "train accuracy",
  cluster_r2: "cluster R\u00b2",
  attention_relevant: "attention on the positions that count",
};

export function seedGrid(place) {
  const curves = Object.keys(SEED_CURVES).filter((name) =>
    runs.some((run) => run.evals.curves[name]),
  );
  const options = curves.map((name) => el("option", { value: name }, SEED_CURVES[name]));
  const select = el("select", { "aria-label": "Curve of the small charts" }, ...options);
  select.value = curves.includes(state.seedCurve) ? state.seedCurve : curves[0];
  const longest = Math.max(1, ...runs.flatMap((run) => run.evals.step.slice(-1)));
  const label = "All seeds; arrow keys move";
  const grid = el("div", { class: "seed-grid", role: "group", "aria-label": label });
  byId(place).append(
    el("div", { class: "row" }, el("label", {}, "Curve ", select)),
    el("p", { class: "quiet" }, gridSaid(longest)),
    grid,
  );
  const cells = makeCells(grid, longest);
  const draw = () => {
    for (const cell of cells.rows.flat()) cell.draw(select.value);
  };
  onKeys(cells);
  select.addEventListener("change", () => set("seedCurve", select.value));
  on("seedCurve", () => {
    if (curves.includes(state.seedCurve)) select.value = state.seedCurve;
    draw();
  });
  on("key", () => mark(cells));
  draw();
  mark(cells);
  arrange(cells);
  new ResizeObserver(() => arrange(cells)).observe(grid);
}

function gridSaid(longest) {
  const limit = number(data.threshold);
  return (
    `Every chart: the curve from 0 to 1 (up; the thin line is ${limit}) over steps 0 to ` +
    `${steps(longest)} (across; updates), dashed where a stage ends. \u2713 solid: it generalises, ` +
    `and the step at which test accuracy first reached ${limit}; \u2717 dashed frame: it does not, ` +
    "and its final test accuracy. Click one, or press Enter, to choose its seed."
  );
}

/// A cell for each arm and seed; `at` is the one stop of the tab key for all, arrows go on from
/// there.
function makeCells(grid, longest) {
  const order = [...keys].sort((a, b) => seedNumber(a) - seedNumber(b) || (a < b ? -1 : 1));
  const rows = arms.map((_, a) => order.map((key) => seedCell(a, key, longest)));
  const heads = order.map((key) =>
    el("div", { class: "seed-head", "aria-hidden": "true" }, key.replace(/^seed /, "")),
  );
  return { grid, order, rows, heads, columns: 0, at: { a: 0, i: 0 } };
}

// Bands of as many seeds as fit, each with its arms below one another.
function arrange(cells) {
  const { grid, order, rows, heads } = cells;
  const { label, least, gap, most } = SEED_CELL;
  const fit = Math.max(1, Math.floor((grid.clientWidth - label) / (least + gap)));
  const columns = Math.ceil(order.length / Math.ceil(order.length / fit));
  if (columns === cells.columns || grid.clientWidth === 0) return;
  cells.columns = columns;
  grid.style.gridTemplateColumns = `${label}px repeat(${columns}, minmax(0, ${most}px))`;
  const focused = document.activeElement;
  const bands = Array.from({ length: Math.ceil(order.length / columns) }, (_, b) => {
    const slice = (list) => list.slice(b * columns, (b + 1) * columns);
    const pad = Array.from({ length: columns - slice(order).length }, () => el("div", {}));
    const lines = arms.map((_, a) => [
      seedLabel(a),
      ...slice(rows[a]).map((cell) => cell.node),
      ...pad.map((p) => p.cloneNode()),
    ]);
    const first = el("div", { class: "seed-head first" }, "seed");
    return [first, ...slice(heads), ...pad, ...lines.flat()];
  });
  grid.replaceChildren(...bands.flat());
  if (grid.contains(focused)) focused.focus();
}

function stopAt({ rows, at }, a, i, focus) {
  const cell = rows[a]?.[i];
  if (!cell || !cell.run) return;
  rows[at.a][at.i].node.tabIndex = -1;
  Object.assign(at, { a, i });
  cell.node.tabIndex = 0;
  if (focus) cell.node.focus();
}

function onKeys(cells) {
  const { grid, rows, at, order } = cells;
  grid.addEventListener("keydown", (event) => {
    const { a, i } = at;
    const to = {
      ArrowLeft: [a, i - 1],
      ArrowRight: [a, i + 1],
      Home: [a, 0],
      End: [a, order.length - 1],
      ArrowUp: a > 0 ? [a - 1, i] : [arms.length - 1, i - cells.columns],
      ArrowDown: a + 1 < arms.length ? [a + 1, i] : [0, i + cells.columns],
    }[event.key];
    if (!to) return;
    event.preventDefault();
    stopAt(cells, ...to, true);
  });
  rows.forEach((row, a) =>
    row.forEach((cell, i) => cell.node.addEventListener("focus", () => stopAt(cells, a, i, false))),
  );
}

function mark(cells) {
  const { grid, order, rows, heads } = cells;
  const i = order.indexOf(state.key);
  rows.forEach((row) => row.forEach((cell, j) => cell.mark(j === i)));
  heads.forEach((head, j) => head.classList.toggle("chosen-seed", j === i));
  const a = rows.findIndex((row) => row[i]?.run);
  if (a >= 0 && !grid.contains(document.activeElement)) stopAt(cells, a, i, false);
}

function seedNumber(key) {
  const found = String(key).match(/\d+/);
  return found ? Number(found[0]) : Infinity;
}

/// What came of a run, in a word and a sentence.
function seedOutcome(run) {
  const final = run.test == null ? "" : run.test.toFixed(3).replace(/^0\./, ".");
  if (run.diverged) return { kind: "failed", word: "\u2717 diverged", said: "diverged" };
  if (run.success) {
    const at = run.solved ? steps(run.solved[1]) : final;
    return {
      kind: "solved",
      word: "\u2713 " + at,
      said:
        "generalises" +
        (run.solved ? " (first at step " + at + ")" : "") +
        ", final test accuracy " +
        final,
    };
  }
  if (run.test == null) {
    return { kind: "failed", word: "\u2717 unfinished", said: "has no final test accuracy" };
  }
  return {
    kind: "failed",
    word: "\u2717 " + final,
    said: "does not generalise, final test accuracy " + final,
  };
}

function seedLabel(a) {
  const mine = arms[a].runs,
    good = mine.filter((run) => run.success).length;
  return el(
    "div",
    { class: "seed-label ink" + (a % 6) },
    el("div", {}, el("span", { class: "swatch arm" + (a % 6) }), arms[a].name),
    el("div", { class: "quiet" }, good + " of " + mine.length + " \u2713"),
    el(
      "div",
      { class: "seed-scale", "aria-hidden": "true" },
      el("span", {}, "1"),
      el("span", {}, "0"),
    ),
  );
}

function seedCell(a, key, longest) {
  const run = runs.find((run) => run.arm === a && run.key === key);
  if (!run) {
    return { node: el("div", { class: "seed-none", title: "no such run" }), draw() {}, mark() {} };
  }
  const { width, height } = SEED_CELL;
  const x = d3.scaleLinear([0, longest], [1, width - 1]),
    y = d3.scaleLinear([0, 1], [height - 2, 2]);
  const curve = svg("path", { class: "seed-curve ink" + (a % 6) });
  const node = seedButton(a, run, seedPicture(run, x, y, curve));
  return {
    node,
    run,
    draw(name) {
      const values = run.evals.curves[name] || [],
        at = run.evals.step;
      const line = d3
        .line()
        .x((i) => x(at[i]).toFixed(1))
        .y((i) => y(values[i]).toFixed(1));
      curve.setAttribute("d", line(seedThinned(at, values, longest / width)) || "");
    },
    mark(chosen) {
      node.setAttribute("aria-pressed", String(chosen));
    },
  };
}

/// The curve, the threshold and the ends of stages.
function seedPicture(run, x, y, curve) {
  const { width, height } = SEED_CELL,
    limit = y(data.threshold);
  const ends = run.stages.slice(1).map(({ step }) => {
    return svg("line", { class: "seed-switch", x1: x(step), x2: x(step), y1: 0, y2: height });
  });
  const view = {
    viewBox: "0 0 " + width + " " + height,
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  };
  const line = svg("line", { class: "zero", x1: 0, x2: width, y1: limit, y2: limit });
  return svg("svg", view, line, ...ends, curve);
}

function seedButton(a, run, picture) {
  const outcome = seedOutcome(run);
  const said = arms[a].name + ", " + run.key + ": " + outcome.said;
  const attributes = { class: "seed-cell " + outcome.kind, "aria-label": said, tabindex: "-1" };
  const word = el("span", { class: "seed-word", "aria-hidden": "true" }, outcome.word);
  const node = el("button", { type: "button", ...attributes }, picture, word);
  const stages = run.stages
    .slice(1)
    .map((stage) => "\n" + stage.name + " from step " + steps(stage.step));
  node.addEventListener("click", () => set("key", run.key));
  node.addEventListener("mousemove", (event) => showTip(event, said + stages.join("")));
  node.addEventListener("mouseleave", hideTip);
  return node;
}

/// At most the first, the lowest and the highest of each pixel: a small chart has no room for more.
function seedThinned(at, values, pixel) {
  const there = [...at.keys()].filter((i) => values[i] != null),
    kept = [];
  for (let n = 0; n < there.length;) {
    const first = there[n];
    let low = first,
      high = first;
    for (; n < there.length && at[there[n]] < at[first] + pixel; n++) {
      if (values[there[n]] < values[low]) low = there[n];
      if (values[there[n]] > values[high]) high = there[n];
    }
    kept.push(...new Set([first, Math.min(low, high), Math.max(low, high)]));
  }
  return [...kept, ...there.slice(-1)];
}
