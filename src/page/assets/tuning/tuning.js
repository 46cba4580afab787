// Methods of tuning: one block for each comparison.

/* global d3 */
import { data } from "../data.js";
import { byId, el } from "../dom.js";
import { svg } from "../figure.js";
import { on, set, state } from "../state.js";
import { table } from "../table.js";
import { tuningControl } from "./control.js";
import { tuningDetails } from "./details.js";
import {
  TUNING_FAMILIES,
  TUNING_FIGURES,
  TUNING_NAMES,
  tuningBytes,
  tuningFamily,
  tuningFixed,
  tuningMean,
  tuningRate,
  tuningShare,
  tuningSymbol,
  tuningText,
} from "./figures.js";
import { tuningPath } from "./path.js";
import { tuningPlane, tuningRadius } from "./plane.js";

export function tunings(place) {
  for (const [i, t] of data.tunings.entries()) {
    const block = el("div", { class: "tuning" });
    byId(place).append(block);
    tuningBlock(block, t, "tuned" + i);
  }
}

function tuningBlock(place, t, prefix) {
  const view = {
    x: "target",
    y: "retention",
    base: false,
    zoom: null,
    picked: () => (state[prefix] == null ? null : String(state[prefix])),
  };
  for (const axis of ["x", "y"]) {
    if (TUNING_NAMES.includes(state[prefix + axis])) view[axis] = state[prefix + axis];
  }
  const pick = (row) => set(prefix, row.name);
  const controls = el("div", { class: "row" }),
    left = el("div", {}),
    right = el("div", {});
  place.append(
    el("h3", {}, t.title ? t.name + ": " + t.title : t.name),
    el("p", { class: "quiet" }, tuningIntroduction(t)),
    controls,
    el("div", { class: "grid tuning-pictures" }, left, right),
  );
  const plane = tuningPlane(left, t, view, pick);
  left.append(tuningLegend(t));
  const ways = ["x", "y"].map((which) => tuningPath(right, t, view, which, pick));
  tuningTable(place, t, pick);
  const below = el("div", { class: "grid tuning-below" });
  place.append(below);
  const draws = [plane, ...ways, tuningDetails(below, t, view)];
  tuningControl(below, t);
  const draw = () => draws.forEach((part) => part.draw());
  controls.append(
    tuningAxis(t, view, prefix, "x", "Across ", draw),
    tuningAxis(t, view, prefix, "y", "Up ", draw),
    ...tuningButtons(view, plane),
  );
  on(prefix, draw);
  draw();
}

/// Which figure an axis shows.
function tuningAxis(t, view, prefix, axis, label, draw) {
  const options = TUNING_NAMES.map((name) =>
    el("option", { value: name }, TUNING_FIGURES[name].short(t)),
  );
  const select = el("select", {}, ...options);
  select.value = view[axis];
  select.addEventListener("change", () => set(prefix + axis, select.value));
  on(prefix + axis, () => {
    const name = state[prefix + axis];
    if (!TUNING_NAMES.includes(name)) return;
    select.value = view[axis] = name;
    view.zoom = null;
    draw();
  });
  return el("label", {}, label, select);
}

function tuningButtons(view, plane) {
  const whole = () => {
    view.zoom = null;
    plane.draw();
  };
  const base = el("input", { type: "checkbox" });
  base.addEventListener("change", () => {
    view.base = base.checked;
    whole();
  });
  const button = (text, label, act) => {
    const node = el("button", { type: "button", "aria-label": label, title: label }, text);
    node.addEventListener("click", act);
    return node;
  };
  return [
    el("label", {}, base, " with the model before tuning"),
    el(
      "span",
      {},
      button("+", "Closer, around the chosen method", () => plane.zoomBy(0.5)),
      " ",
      button("\u2212", "Further", () => plane.zoomBy(2)),
      " ",
      button("All", "Show all methods", whole),
    ),
  ];
}

function tuningIntroduction(t) {
  const count = (n, word) => n + " " + word + (n === 1 ? "" : "s");
  const before = ["target", "transfer", "retention"].map(
    (name) =>
      TUNING_FIGURES[name].short(t) + " " + tuningFixed(t.base[name], TUNING_FIGURES[name].digits),
  );
  return (
    `${count(t.rows.length, "method")}, ${count(t.seeds, "seed")} each, each at the learning rate that was chosen. ` +
    `The model before tuning: ${before.join(", ")}, gap ${tuningFixed(t.base.gap, 2)} logits. ` +
    "Intervals are 95 % by Student's t over seeds."
  );
}

/// What shapes and areas mean, for the families that there are.
function tuningLegend(t) {
  const families = [...new Set(t.rows.map(tuningFamily))];
  const row = (family) => t.rows.find((row) => tuningFamily(row) === family);
  const symbol = (d, family, r) =>
    svg(
      "svg",
      {
        class: "tuning-key",
        viewBox: -r + " " + -r + " " + 2 * r + " " + 2 * r,
        width: 2 * r,
        height: 2 * r,
        "aria-hidden": "true",
      },
      svg("g", { class: "method " + family }, svg("path", { d })),
    );
  const shapes = families.map((family) =>
    el("span", {}, symbol(tuningSymbol(row(family), 90), family, 9), TUNING_FAMILIES[family].name),
  );
  const sizes = [0.05, 0.25, 1].map((ever) => {
    const r = tuningRadius({ ever });
    return el(
      "span",
      {},
      symbol(d3.symbol(d3.symbolCircle, Math.PI * r * r)(), "size", r + 1),
      100 * ever + " %",
    );
  });
  return el(
    "p",
    { class: "tuning-legend quiet" },
    ...shapes,
    el("span", {}, "ever trained:"),
    ...sizes,
  );
}

/// Columns of how good the last circuits are; comparisons of earlier versions have none.
function circuitColumns(t, plain) {
  return ["faithfulness", "completeness", "connectivity"]
    .filter((name) => t.rows.some((row) => row[name]))
    .map((name) => plain(name, name, (figure) => tuningText(figure, 3)));
}

function tuningTable(place, t, pick) {
  const figures = TUNING_NAMES.map((name) => ({
    title: TUNING_FIGURES[name].short(t),
    number: true,
    value: (row) => tuningMean(row[name]),
    text: (row) => tuningText(row[name], TUNING_FIGURES[name].digits),
  }));
  const plain = (title, name, text) => ({
    title,
    number: true,
    value: (row) => tuningMean(row[name]),
    text: (row) => text(row[name]),
  });
  table(place, {
    columns: [
      { title: "method", value: (row) => row.name },
      {
        title: "learning rate",
        number: true,
        value: (row) => row.lr,
        text: (row) => tuningRate(row.lr) + (row.at_the_edge ? " !" : ""),
      },
      ...figures,
      ...circuitColumns(t, plain),
      plain("trained", "trained", tuningShare),
      plain("ever", "ever", tuningShare),
      plain("ms / step", "step_ms", (figure) =>
        tuningMean(figure) == null ? "none" : tuningMean(figure).toFixed(1),
      ),
      plain("memory", "bytes", tuningBytes),
      {
        title: "diverged",
        number: true,
        value: (row) => row.diverged ?? 0,
        text: (row) => (row.diverged ?? 0) + " of " + t.seeds,
      },
      {
        title: "front",
        value: (row) => (row.pareto ? 0 : 1),
        text: (row) => (row.pareto ? "*" : ""),
      },
    ],
    rows: t.rows,
    name: t.name + ", methods",
    pick,
  });
  place.append(
    el(
      "p",
      { class: "quiet" },
      "Means over seeds [95 % interval]. * no other method reaches and keeps as much with as few numbers ever " +
        "trained. ! the best learning rate is the smallest or the largest that was tried. Trained: numbers an " +
        "update changes, ever: those that any did, both per numbers in the blocks. Faithfulness, completeness and " +
        "connectivity are those of the last circuit that was tuned. Memory: gradients and the " +
        "optimiser's state. Click a row for all its seeds.",
    ),
  );
}
