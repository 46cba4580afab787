// Attention over training: a map of positions (down) and steps (across) per arm, one colour scale.
// The colours are nine points of viridis (van der Walt & Smith, CC0), dark for little attention.

import { byId, el, hideTip, showTip } from "./dom.js";
import { nearest, number, steps } from "./numbers.js";
import { arms, selected } from "./runs.js";
import { on, set, state } from "./state.js";
import { color } from "./theme.js";

export const viridis = [
  [68, 1, 84],
  [71, 44, 122],
  [59, 81, 139],
  [44, 113, 142],
  [33, 144, 141],
  [39, 173, 129],
  [92, 200, 99],
  [170, 220, 50],
  [253, 231, 37],
];
function heat(share) {
  const at = Math.min(Math.max(share, 0), 1) * (viridis.length - 1);
  const i = Math.min(Math.floor(at), viridis.length - 2);
  const mixed = viridis[i].map((c, j) => Math.round(c + (at - i) * (viridis[i + 1][j] - c)));
  return "rgb(" + mixed.join(",") + ")";
}

const EDGE = { left: 46, right: 74, top: 6, bottom: 36 };

export function attentionMap(a) {
  const card = el("figure", { class: "card" });
  const title = el("h4");
  const canvas = el("canvas", { role: "img" });
  const missing = el("p", { class: "quiet", hidden: true }, "Not recorded for this seed.");
  card.append(title, canvas, missing);
  byId("attention").append(card);
  let layout = null;
  function draw() {
    const run = selected(a);
    title.textContent = arms[a].name + (run ? ", " + run.key : "");
    const there = Boolean(run && run.attention);
    missing.hidden = there;
    canvas.hidden = !there;
    layout = there ? mapLayout(run, card.clientWidth - 22) : null;
    if (!layout) return;
    const said = "Attention per position and step of " + title.textContent;
    canvas.setAttribute("aria-label", said + ", from 0 to " + number(layout.top));
    const ctx = sized(canvas, layout);
    drawCells(ctx, layout);
    drawAxes(ctx, layout);
    drawMarks(ctx, layout);
    drawScale(ctx, layout);
  }
  onPointer(canvas, () => layout);
  draw();
  for (const what of ["key", "theme", "step"]) on(what, draw);
  new ResizeObserver(draw).observe(card);
}

/// What is drawn, and where: `x(step)` in pixels, cells of `w` x `h` pixels in all, up to weight
/// `top`.
function mapLayout(run, wide) {
  const { step, rows, value } = run.attention;
  const shown = arms.flatMap((_, b) => selected(b)?.attention?.value ?? []);
  const top = shown.reduce((most, v) => Math.max(most, v ?? 0), 1e-9);
  const width = Math.max(260, wide),
    height = EDGE.top + EDGE.bottom + Math.max(150, Math.min(rows * 17, 320));
  const w = width - EDGE.left - EDGE.right,
    h = height - EDGE.top - EDGE.bottom;
  const last = step[step.length - 1],
    first = step[0],
    span = Math.max(1, last - first);
  const x = (s) => EDGE.left + ((s - first) / span) * w;
  return { run, step, rows, value, top, width, height, w, h, first, last, span, x, cell: h / rows };
}

function sized(canvas, { width, height }) {
  const ratio = devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  canvas.style.width = width + "px";
  canvas.style.height = height + "px";
  const ctx = canvas.getContext("2d");
  ctx.scale(ratio, ratio);
  ctx.font = "12px system-ui, 'DejaVu Sans', sans-serif";
  return ctx;
}

// A cell reaches half way to its neighbours.
function drawCells(ctx, { step, rows, value, top, w, x, cell }) {
  for (let i = 0; i < step.length; i++) {
    const from = i ? (x(step[i - 1]) + x(step[i])) / 2 : EDGE.left;
    const to = i + 1 < step.length ? (x(step[i]) + x(step[i + 1])) / 2 : EDGE.left + w;
    for (let r = 0; r < rows; r++) {
      const v = value[i * rows + r];
      ctx.fillStyle = v == null ? color("panel") : heat(v / top);
      ctx.fillRect(from, EDGE.top + r * cell, to - from + 0.6, cell + 0.6);
    }
  }
}

function drawAxes(ctx, { rows, cell, w, h, x, first, last, span }) {
  ctx.fillStyle = color("ink");
  ctx.strokeStyle = color("rule");
  ctx.textBaseline = "middle";
  ctx.textAlign = "right";
  const every = Math.ceil(13 / cell);
  for (let r = 0; r < rows; r += every) {
    ctx.fillText(String(r), EDGE.left - 6, EDGE.top + (r + 0.5) * cell);
  }
  ctx.save();
  ctx.translate(10, EDGE.top + h / 2);
  ctx.rotate(-Math.PI / 2);
  ctx.textAlign = "center";
  ctx.fillStyle = color("quiet");
  ctx.fillText("position", 0, 0);
  ctx.restore();
  ctx.textBaseline = "top";
  const tick = niceStep(span / 5);
  for (let s = Math.ceil(first / tick) * tick; s <= last; s += tick) {
    ctx.textAlign = "center";
    ctx.fillStyle = color("ink");
    ctx.fillText(steps(s), x(s), EDGE.top + h + 5);
    ctx.fillRect(x(s), EDGE.top + h, 1, 4);
  }
  ctx.fillStyle = color("quiet");
  ctx.fillText("step (updates)", EDGE.left + w / 2, EDGE.top + h + 20);
}

/// The line behind the positions that count, the stages, the step of now.
function drawMarks(ctx, { run, rows, cell, w, h, x }) {
  const upright = (step, style, width) => {
    ctx.strokeStyle = style;
    ctx.lineWidth = width;
    line(ctx, x(step), EDGE.top, x(step), EDGE.top + h);
  };
  if (run.k > 0 && run.k < rows) {
    const y = EDGE.top + run.k * cell;
    ctx.strokeStyle = "#ff3b30";
    ctx.lineWidth = 2;
    line(ctx, EDGE.left - 24, y, EDGE.left + w, y);
  }
  ctx.setLineDash([4, 3]);
  for (const stage of run.stages.slice(1)) upright(stage.step, "#ffffff", 1.5);
  ctx.setLineDash([]);
  if (state.step == null) return;
  upright(state.step, "#ffffff", 3);
  upright(state.step, "#000000", 1);
}

/// The scale, with what uniform attention would be.
function drawScale(ctx, { rows, top, w, h }) {
  const bar = EDGE.left + w + 14;
  for (let i = 0; i < h; i++) {
    ctx.fillStyle = heat(1 - i / h);
    ctx.fillRect(bar, EDGE.top + i, 12, 1.5);
  }
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  const uniform = 1 / rows;
  // 1/12 is an exact name for a weight that digits would only round.
  const marks = [
    [0, "0"],
    [top, number(top)],
  ];
  if (uniform / top > 0.1 && uniform / top < 0.9) marks.push([uniform, "1/" + rows]);
  for (const [v, text] of marks) {
    const y = EDGE.top + h * (1 - v / top);
    ctx.fillStyle = color("ink");
    ctx.fillRect(bar + 12, y - 0.5, 4, 1);
    ctx.fillText(text, bar + 18, Math.min(Math.max(y, EDGE.top + 6), EDGE.top + h - 6));
  }
  ctx.fillStyle = color("quiet");
  ctx.textAlign = "center";
  ctx.fillText("weight", bar + 14, EDGE.top + h + 26);
}

function onPointer(canvas, layoutNow) {
  const cellAt = (event) => {
    const layout = layoutNow();
    if (!layout) return null;
    const box = canvas.getBoundingClientRect();
    const x = event.clientX - box.left - EDGE.left,
      y = event.clientY - box.top - EDGE.top;
    if (x < 0 || y < 0 || x > layout.w || y >= layout.h) return null;
    const i = nearest(layout.step, layout.first + (x / layout.w) * layout.span);
    return { i, r: Math.floor((y / layout.h) * layout.rows), layout };
  };
  canvas.addEventListener("mousemove", (event) => {
    const at = cellAt(event);
    if (!at) return hideTip();
    const { i, r, layout } = at,
      { run, step, rows, value } = layout;
    const counts = run.k ? (r < run.k ? " (counts)" : " (does not count)") : "";
    const weight = number(value[i * rows + r]);
    showTip(event, `step ${steps(step[i])}\nposition ${r}${counts}\nattention ${weight}`);
  });
  canvas.addEventListener("mouseleave", hideTip);
  canvas.addEventListener("click", (event) => {
    const at = cellAt(event);
    if (at) set("step", at.layout.step[at.i]);
  });
}

function line(ctx, x0, y0, x1, y1) {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}

/// The next of 1, 2, 5 times a power of ten.
function niceStep(x) {
  const power = 10 ** Math.floor(Math.log10(Math.max(x, 1)));
  return [1, 2, 5, 10].find((m) => m * power >= x) * power;
}
