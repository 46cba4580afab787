// What stands above the pictures (choices, spikes, what the marks mean) and below them (the sample
// in focus).

/* global d3 */
import { el } from "../dom.js";
import { svg } from "../figure.js";
import { atOrBefore, number, steps } from "../numbers.js";
import { set, state } from "../state.js";
import { sampleMark } from "./palette.js";
import { sampleTokens } from "./panels.js";
import { inFocus } from "./points.js";

export function explorerControls(parent, change) {
  const options = { fit: false, moves: false, lines: 16, byPrefix: false };
  const bar = el("div", { class: "row explore-bar" });
  const apply = (name, value) => {
    options[name] = value;
    change();
  };
  const check = (name, text) => {
    const input = el("input", { type: "checkbox" });
    input.addEventListener("change", () => apply(name, input.checked));
    bar.append(el("label", {}, input, " " + text));
  };
  const select = (name, text, values) => {
    const choices = values.map(([value, label]) =>
      el("option", { value, selected: options[name] === value }, label),
    );
    const input = el("select", {}, ...choices);
    input.addEventListener("change", () => apply(name, values[input.selectedIndex][0]));
    bar.append(el("label", {}, text + " ", input));
  };
  select("fit", "Axes", [
    [false, "fixed over the run"],
    [true, "fitted to the step"],
  ]);
  select("lines", "Half-planes", [
    [0, "of the neuron pointed at"],
    [16, "16 strongest"],
    [48, "48 strongest"],
    [Infinity, "all"],
  ]);
  select("byPrefix", "Attention rows", [
    [false, "sequences"],
    [true, "means by prefix"],
  ]);
  check("moves", "Movement since the frame before");
  parent.append(bar);
  return { options, update: spikeButtons(bar) };
}

/// Two buttons that go from spike to spike; what is returned is called with the arms that are
/// drawn.
function spikeButtons(bar) {
  let drawn = [];
  // A spike is shown by the first frame after it.
  const shownAt = (arm) =>
    (arm.run.spikes ?? []).map((step) => arm.frames.find((frame) => frame >= step));
  const places = () =>
    [...new Set(drawn.flatMap(shownAt))].filter((step) => step != null).sort((a, b) => a - b);
  const target = (way) =>
    way > 0
      ? places().find((step) => step > state.step)
      : places().findLast((step) => step < state.step);
  const spikes = [
    ["Previous spike", -1],
    ["Next spike", 1],
  ].map(([text, way]) => {
    const button = el("button", { type: "button" }, text);
    button.addEventListener("click", () => {
      const step = target(way);
      if (step != null) set("step", step);
    });
    bar.append(button);
    return { button, way };
  });
  return (list) => {
    drawn = list;
    for (const { button, way } of spikes) button.disabled = target(way) == null;
  };
}

/// One line per arm: the frame, its task and the spikes since the frame before.
export function explorerStatus(parent, list) {
  const box = parent.appendChild(el("div", { class: "explore-lines" }));
  const lines = list.map(() => box.appendChild(el("p", { class: "explore-status" })));
  return (views) =>
    views.forEach((view, i) => {
      const arm = list[i],
        { run, frames } = arm,
        stage = arm.stageAt(view.frame),
        at = frames[view.frame];
      const e = atOrBefore(run.evals.step, at),
        test = run.evals.curves.test_accuracy?.[e];
      const spikes = arm.spikesAt(view.frame);
      const text =
        arm.name +
        ", " +
        run.key +
        ": step " +
        steps(at) +
        (stage.name ? ", stage " + stage.name : "") +
        (stage.step === at && at > 0 ? " (starts here)" : "") +
        (test == null ? "" : ", test accuracy " + number(test)) +
        (view.finite ? "" : ". Weights are not finite here: nothing to draw") +
        (spikes.length ? ". " : "");
      const more = spikes.length > 6 ? " and " + (spikes.length - 6) + " more" : "";
      const said = spikes.length
        ? "Loss spike" +
          (spikes.length > 1 ? "s" : "") +
          " since the previous frame, at step " +
          spikes.slice(0, 6).map(steps).join(", ") +
          more
        : "";
      lines[i].replaceChildren(text, said && el("strong", { class: "warning" }, said));
    });
}

/// What the marks mean, for each task on the page: classes by shape and colour, sums by shade.
export function explorerLegend(parent) {
  const box = parent.appendChild(el("div", { class: "explore-legend" }));
  let shown = "";
  return (tasks, force) => {
    const name = tasks.map((task) => [task.p, task.k, task.length].join()).join(";");
    if (name === shown && !force) return;
    shown = name;
    const lines = tasks.map((task) =>
      el(
        "div",
        {},
        "p = " + task.p + ", k = " + task.k + ", length " + task.length + ": ",
        ...classLegend(task),
      ),
    );
    box.replaceChildren(
      ...lines,
      el(
        "div",
        { class: "quiet" },
        "Colour and shape: class (sum mod p). Shade: the sum, beside the mark. Outlined: predicted wrongly. The sequences " +
          "cover classes and sums evenly and are the same for all arms and steps of a task: their accuracy is not the test " +
          "set's.",
      ),
    );
  };
}
function classLegend(task) {
  const { p, n } = task,
    classes = [...d3.group(d3.range(n), (i) => task.answer[i])];
  if (p > 12) return [p + " classes, colours round the hues"];
  return classes.map(([c, mine]) => {
    const sums = new Map(mine.map((i) => [task.sum[i], i]));
    const marks = [...sums].slice(0, 5).flatMap(([sum, i]) => {
      const { d, fill } = sampleMark(task, i);
      return [
        svg("svg", { viewBox: "-7 -7 14 14", class: "mark" }, svg("path", { d, fill })),
        sum + " ",
      ];
    });
    return el(
      "span",
      { class: "explore-class" },
      "class " + c + " ",
      ...marks,
      sums.size > 5 ? "\u2026" : null,
    );
  });
}

/// The sample in focus: its tokens, and what each arm makes of it.
export function explorerDetails(parent, list) {
  const box = parent.appendChild(el("div", { class: "explore-details", "aria-live": "polite" }));
  let told = null;
  return (views) => {
    // Read out when another sample is chosen, not at every step of a film.
    box.setAttribute("aria-live", told === state.sample ? "off" : "polite");
    told = state.sample;
    const i = inFocus("sample", Math.max(...views.map((view) => view.task.n)));
    if (i == null) {
      box.replaceChildren(
        "Point at a sequence, or reach one with Tab and the arrow keys, to see it in all pictures; " +
          "click or Enter holds it.",
      );
      return;
    }
    const same = views.every((view) => view.task === views[0].task);
    const sequence = (task) => {
      if (!(i < task.n)) return ["no sample " + i];
      const [prefix, suffix] = sampleTokens(task, i);
      return [
        el("b", {}, prefix),
        suffix ? " | " + suffix : "",
        ", sum " + task.sum[i] + ", class " + task.answer[i],
      ];
    };
    const answer = (view) => {
      const { task, best, chance, weights, norm, attention } = view;
      if (!(i < task.n)) return [];
      const right = best[i] === task.answer[i],
        from = i * task.length;
      const on = d3.sum(attention.subarray(from, from + task.k));
      const sure = (v) => ", p(" + v + ") = " + number(chance[i * weights.V + v]);
      return [
        ": predicts " +
          best[i] +
          (right ? " (right)" : " (wrong)") +
          sure(best[i]) +
          (right ? "" : sure(task.answer[i])) +
          ", attention on the first " +
          task.k +
          ": " +
          number(on) +
          ", \u2016\u03be\u2016 = " +
          number(norm[i]),
      ];
    };
    const lines = views.map((view, v) =>
      el(
        "div",
        {},
        el("span", {}, list[v].name),
        ...(same ? [] : [" (p = " + view.task.p + "), ", ...sequence(view.task)]),
        ...answer(view),
      ),
    );
    const first = same
      ? sequence(views[0].task)
      : ["the arms are at different tasks here, so at different sequences"];
    box.replaceChildren(el("div", {}, "Sample " + i + ": ", ...first), ...lines);
  };
}
