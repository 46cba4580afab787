// Curves over steps, drawn by uPlot: one thin line per run, a thick one per arm for the selected
// seed.

/* global uPlot */
import { byId, el, hideTip, showTip } from "./dom.js";
import { atOrBefore, nearest, number, steps } from "./numbers.js";
import { arms, runs, selected, switches } from "./runs.js";
import { on, set, state, tell } from "./state.js";
import { armColor, color } from "./theme.js";

export const charts = [];
let zooming = false;

function frame(options) {
  const font = "12px system-ui, 'DejaVu Sans', sans-serif";
  const axis = {
    stroke: () => color("quiet"),
    font,
    labelFont: font,
    labelSize: 18,
    labelGap: 2,
    grid: { stroke: () => color("grid"), width: 1 },
    ticks: { stroke: () => color("rule"), width: 1, size: 5 },
  };
  return {
    padding: [16, 22, 0, 0],
    legend: { show: false },
    scales: {
      x: { time: false },
      y: options.log
        ? {
            distr: 3,
            range: (u, min, max) => (min == null ? [0.1, 1] : uPlot.rangeLog(min, max, 10, false)),
          }
        : {
            range: options.range
              ? () => options.range
              : (u, min, max) =>
                  min == null ? [0, 1] : uPlot.rangeNum(Math.min(min, 0), max, 0.08, true),
          },
    },
    axes: [
      {
        ...axis,
        label: "step (updates)",
        size: 32,
        space: 60,
        values: (u, list) => list.map(steps),
      },
      {
        ...axis,
        label: options.unit,
        size: 52,
        space: options.log ? 22 : 28,
        values: (u, list) =>
          list.map((x) =>
            x == null ? "" : options.log ? decade(x) : String(Number(x.toPrecision(6))),
          ),
      },
    ],
    cursor: { points: { show: false }, drag: { x: true, y: false }, y: false },
  };
}

// Only powers of ten are named on a log axis; uPlot hands null for those that would crowd.
const raised = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079";
function decade(x) {
  const power = Math.round(Math.log10(x));
  if (Math.abs(Math.log10(x) - power) > 1e-6) return "";
  if (power >= -3 && power <= 3) return String(10 ** power);
  return (
    "10" + (power < 0 ? "\u207b" : "") + String(Math.abs(power)).replace(/./g, (d) => raised[d])
  );
}

function drawSwitches(u) {
  const { ctx } = u,
    ratio = devicePixelRatio || 1;
  ctx.save();
  ctx.font = 11 * ratio + "px system-ui, 'DejaVu Sans', sans-serif";
  ctx.lineWidth = ratio;
  ctx.setLineDash([4 * ratio, 3 * ratio]);
  const { left, top, width, height } = u.bbox;
  let free = left;
  for (const { arm, steps: at, text } of switches) {
    ctx.strokeStyle = ctx.fillStyle = armColor(arm);
    ctx.globalAlpha = at.length > 1 ? 0.4 : 0.9;
    for (const step of at) {
      const x = Math.round(u.valToPos(step, "x", true)) + 0.5;
      if (x < left || x > left + width) continue;
      ctx.beginPath();
      ctx.moveTo(x, top);
      ctx.lineTo(x, top + height);
      ctx.stroke();
      const room = ctx.measureText(text).width / 2;
      const centre = Math.min(Math.max(x, left + room), left + width - room);
      if (text && centre - room >= free) {
        free = centre + room + 8 * ratio;
        ctx.textAlign = "center";
        ctx.textBaseline = "bottom";
        ctx.fillText(text, centre, top - 2 * ratio);
      }
    }
  }
  ctx.restore();
}

function link(u) {
  const { min, max } = u.scales.x;
  if (zooming || min == null) return;
  zooming = true;
  for (const chart of charts) {
    const scale = chart.u.scales.x;
    if (chart.u !== u && (scale.min !== min || scale.max !== max)) {
      chart.u.setScale("x", { min, max });
    }
  }
  zooming = false;
  tell("step");
  tell("zoom");
}

function place(u, marker) {
  const x = state.step == null ? -1 : u.valToPos(state.step, "x");
  marker.hidden = !(x >= 0 && x <= u.over.clientWidth);
  if (!marker.hidden) marker.style.left = x + "px";
}

function mount(figure, options, height, build) {
  const box = el("div", { role: "img", "aria-label": options.title });
  figure.append(box);
  const marker = el("div", { class: "now", hidden: true });
  // A chart made later shows the steps the others are zoomed to.
  if (charts.length) {
    Object.assign(options.base.scales.x, {
      min: charts[0].u.scales.x.min,
      max: charts[0].u.scales.x.max,
    });
  }
  const u = build(box, { ...options.base, width: Math.max(200, figure.clientWidth), height });
  u.over.append(marker);
  const chart = { u, place: () => place(u, marker) };
  charts.push(chart);
  new ResizeObserver(() => {
    if (figure.clientWidth > 0 && figure.clientWidth !== u.width) {
      u.setSize({ width: figure.clientWidth, height });
      chart.place();
    }
  }).observe(figure);
  return chart;
}

/// A chart of one curve per run. `options.source(run)` gives `{step, value}` or nothing.
export function allRuns(id, options) {
  const figure = byId(id);
  const caption = el("figcaption", {});
  figure.append(caption);
  const shown = { options, source: options.source, lines: [] };
  const line = (a, width) => ({
    stroke: () => armColor(a),
    width,
    spanGaps: true,
    points: { show: false },
    alpha: width > 1 ? 1 : 0.5,
  });
  const base = {
    ...frame(options),
    series: [{}, ...runs.map((run) => line(run.arm, 1)), ...arms.map((_, a) => line(a, 2.6))],
    hooks: { draw: [drawSwitches], setScale: [(u, key) => key === "x" && link(u)] },
  };
  const make = (box, opts) => new uPlot(opts, columns(shown), box);
  const chart = mount(figure, { title: options.title, base }, options.height, make);
  const { u } = chart;
  onPointer(u, shown);

  function refresh(all) {
    const { min, max } = u.scales.x;
    u.setData(columns(shown), all);
    if (!all) u.setScale("x", { min, max });
    const some = shown.lines.some((line) => line.value.length);
    caption.textContent = options.title + (some ? "" : " (not recorded)");
  }
  refresh(true);
  on("key", () => refresh(false));
  on("theme", () => u.redraw(false));
  on("step", chart.place);
  return {
    setSource(next) {
      shown.source = next;
      refresh(false);
    },
  };
}

/// The chart's columns, and its `lines` anew. One x axis for all: every (step, occurrence) any run
/// has; a stage switch has two evaluations.
function columns(shown) {
  const { options, source } = shown;
  const lines = runs.map((run) => ({ run, ...(source(run) || { step: [], value: [] }) }));
  shown.lines = lines;
  const ids = lines.map((line) =>
    line.step.map((s, i) => 2 * s + (i > 0 && line.step[i - 1] === s ? 1 : 0)),
  );
  const union = [...new Set(ids.flat())].sort((a, b) => a - b);
  const index = new Map(union.map((id, i) => [id, i]));
  let floor = Infinity;
  for (const line of lines) for (const v of line.value) if (v > 0 && v < floor) floor = v;
  lines.forEach((line, l) => {
    line.column = new Array(union.length).fill(null);
    line.value.forEach((v, i) => {
      line.column[index.get(ids[l][i])] = v == null ? null : options.log ? Math.max(v, floor) : v;
    });
  });
  const chosen = arms.map((_, a) =>
    lines.find((line) => line.run.arm === a && line.run.key === state.key),
  );
  return [
    union.map((id) => Math.floor(id / 2)),
    ...lines.map((line) => line.column),
    ...chosen.map((line) => line?.column ?? new Array(union.length).fill(null)),
  ];
}

/// The line nearest to the pointer, and its point: `{line, i, px, py}`.
function lineAt(u, { lines, options }, event) {
  const box = u.over.getBoundingClientRect();
  const x = event.clientX - box.left,
    y = event.clientY - box.top,
    step = u.posToVal(x, "x");
  let best = 32,
    found = null;
  for (const line of lines) {
    if (!line.step.length) continue;
    const i = nearest(line.step, step);
    if (line.value[i] == null) continue;
    const px = u.valToPos(line.step[i], "x"),
      py = u.valToPos(options.log ? Math.max(line.value[i], 1e-12) : line.value[i], "y");
    const distance = Math.hypot((px - x) / 4, py - y) - (line.run.key === state.key ? 3 : 0);
    if (distance < best) [best, found] = [distance, { line, i, px, py }];
  }
  return found;
}

function onPointer(u, shown) {
  const dot = el("div", { class: "dot", hidden: true });
  u.over.append(dot);
  let hovered = null,
    pressed = 0;
  u.over.addEventListener("mousemove", (event) => {
    hovered = lineAt(u, shown, event);
    dot.hidden = !hovered;
    if (!hovered) return hideTip();
    const { line, i, px, py } = hovered,
      { run } = line,
      { name, more } = shown.options;
    dot.style.left = px + "px";
    dot.style.top = py + "px";
    dot.style.background = armColor(run.arm);
    const place = `${run.armName}, ${run.key}\nstep ${steps(line.step[i])}\n`;
    const rest = more ? more(run, line.step[i]) : "";
    showTip(event, place + name() + ": " + number(line.value[i]) + rest);
  });
  u.over.addEventListener("mouseleave", () => {
    dot.hidden = true;
    hideTip();
  });
  u.over.addEventListener("mousedown", (event) => {
    pressed = event.clientX;
  });
  u.over.addEventListener("click", (event) => {
    if (hovered && Math.abs(event.clientX - pressed) < 4) set("key", hovered.line.run.key);
  });
}

export function evalCurve(name) {
  return (run) => run.evals.curves[name] && { step: run.evals.step, value: run.evals.curves[name] };
}

/// All accuracies of a run at a step, for the hover text.
export function accuracies(run, step) {
  const i = atOrBefore(run.evals.step, step);
  const names = {
    train_accuracy: "train",
    test_accuracy: "test",
    train_accuracy_mod2: "train mod 2",
    test_accuracy_mod2: "test mod 2",
  };
  return Object.entries(names)
    .filter(([name]) => run.evals.curves[name])
    .map(([name, text]) => "\n  " + text + " " + number(run.evals.curves[name][i]))
    .join("");
}

/// Gradient norms of one arm's selected run, a line per group.
export function gradients(a) {
  const figure = el("figure", { class: "card" });
  byId("gradients").append(figure);
  const title = el("h4");
  figure.append(title);
  let chart = null;
  function draw() {
    const run = selected(a);
    title.textContent = arms[a].name + (run ? ", " + run.key : "");
    if (chart) {
      charts.splice(charts.indexOf(chart), 1);
      chart.u.root.parentNode.remove();
      chart.u.destroy();
      chart = null;
    }
    figure.querySelectorAll(".quiet").forEach((node) => node.remove());
    if (!run || !run.gradient) {
      figure.append(el("p", { class: "quiet" }, "Not recorded for this seed."));
      return;
    }
    const { step, groups, value } = run.gradient;
    const base = frame({ log: true, unit: "gradient norm" });
    const dashes = [[], [6, 3], [2, 2], [8, 2, 2, 2], [12, 3]];
    base.legend = { show: true, live: true };
    base.axes[1].size = 56;
    chart = mount(
      figure,
      {
        title: "Gradient norms of " + arms[a].name,
        base: {
          ...base,
          series: [
            // Away from the pointer, the last values.
            { label: "step", value: (u, x) => steps(x ?? step[step.length - 1]) },
            ...groups.map((group, g) => ({
              label: group,
              stroke: () => color("group" + (g % 8)),
              width: 1.5,
              dash: dashes[g % 5],
              points: { show: false },
              value: (u, x) => number(x ?? value[g][value[g].length - 1]),
            })),
          ],
          hooks: { setScale: [(u, key) => key === "x" && link(u)] },
        },
      },
      210,
      (box, opts) =>
        new uPlot(
          opts,
          [step, ...value.map((column) => column.map((x) => (x > 0 ? x : null)))],
          box,
        ),
    );
    chart.place();
  }
  draw();
  on("key", draw);
  on("theme", draw);
  on("step", () => chart && chart.place());
}
