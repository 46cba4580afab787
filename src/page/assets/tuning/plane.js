// What is reached against what is kept: a point for each method, with the 95 % intervals of its
// means over seeds.

/* global d3 */
import { data } from "../data.js";
import { el, hideTip, showTip } from "../dom.js";
import { axes, figure, svg } from "../figure.js";
import {
  TUNING_FIGURES,
  tuningBase,
  tuningFamily,
  tuningMean,
  tuningSaid,
  tuningSymbol,
} from "./figures.js";
import { placeLabels } from "./labels.js";
import { tuningZoom } from "./zoom.js";

const TUNING_PLANE = { width: 640, height: 470 };
const BOX = { left: 56, top: 14, width: 570, height: 400 };

/// `view`: `{x, y, base, zoom}`, names of figures, whether the model before tuning has to be in the
/// picture, and the domains zoomed to or null. `pick(row)` is called for a point that is chosen.
export function tuningPlane(place, t, view, pick) {
  const { root, node, caption } = figure(place, {
    title: "Methods on a plane",
    note: "whiskers: 95 % intervals of the means over seeds",
    ...TUNING_PLANE,
    name: t.name + " plane",
  });
  root.setAttribute("role", "group");
  const hint = el("p", { class: "quiet", role: "status" });
  node.append(hint);
  const clip = "tuning-clip-" + data.tunings.indexOf(t);
  const plane = { t, view, pick, root, caption, hint, clip, scales: null };
  const zoomTo = (zoom) => {
    view.zoom = zoom;
    draw(plane);
  };
  tuningZoom(root, BOX, () => plane.scales, zoomTo);
  return { draw: () => draw(plane), zoomBy: (factor) => zoomTo(zoomed(plane, factor)) };
}

const chosenRow = ({ t, view }) => t.rows.find((row) => row.name === view.picked());

// Around the picked method, or the middle: for those who do not drag.
function zoomed(plane, factor) {
  const { view, scales } = plane,
    chosen = chosenRow(plane);
  const around = (name, scale) => {
    const [a, b] = scale.domain(),
      middle = tuningMean(chosen?.[name]) ?? (a + b) / 2;
    return [middle - ((b - a) / 2) * factor, middle + ((b - a) / 2) * factor];
  };
  return { x: around(view.x, scales.x), y: around(view.y, scales.y) };
}

function domain({ t, view }, name) {
  const figures = t.rows.map((row) => row[name]).filter((f) => tuningMean(f) != null);
  const values = figures.flatMap((f) => [f.mean, ...(f.interval ?? [])]);
  if (view.base && tuningBase(t, name) != null) values.push(tuningBase(t, name));
  const [low, high] = values.length ? d3.extent(values) : [0, 1];
  const margin = 0.07 * (high - low || Math.abs(high) || 1);
  return [low - margin, high + margin];
}

// Better is always right or up, so that one reading serves all pairs of axes.
function scale(plane, name, range, zoom) {
  const way = TUNING_FIGURES[name].better > 0 ? range : [...range].reverse();
  return d3.scaleLinear(zoom ?? domain(plane, name), way);
}

function inView({ x, y }) {
  const { left, top, width, height } = BOX;
  return x >= left && x <= left + width && y >= top && y <= top + height;
}

function draw(plane) {
  const { t, view, root } = plane;
  const focused = root.contains(document.activeElement);
  const kept = focused ? document.activeElement.dataset.row : null;
  const { left, top, width, height } = BOX;
  const x = scale(plane, view.x, [left, left + width], view.zoom?.x);
  const y = scale(plane, view.y, [top + height, top], view.zoom?.y);
  plane.scales = { x, y };
  root.replaceChildren();
  frame(plane);
  const has = (row) => tuningMean(row[view.x]) != null && tuningMean(row[view.y]) != null;
  const there = t.rows.filter(has).map((row) => {
    const place = { x: x(row[view.x].mean), y: y(row[view.y].mean) };
    return { row, text: row.name, ...place, r: tuningRadius(row) };
  });
  // Small ones last, so that they are not hidden.
  const points = there.filter(inView).sort((a, b) => b.r - a.r);
  const bars = points.flatMap((p) => tuningWhiskers(p, x, y, view));
  const front = tuningFront(
    there.map((p) => [p.x, p.y]),
    BOX,
  );
  const whiskers = bars.map((bar) => svg("line", { class: "whisker", ...bar }));
  root.append(clipped(plane, front, ...whiskers));
  const shown = points.length;
  const base = [tuningBase(t, view.x), tuningBase(t, view.y)];
  if (view.base && base.every((value) => value != null)) {
    points.push(...[tuningBasePoint(x(base[0]), y(base[1]))].filter(inView));
  }
  const inner = { left: left + 2, top: top + 2, width: width - 4, height: height - 4 };
  const labels = placeLabels(points, bars, inner);
  drawPoints(plane, points, labels);
  say(plane, labels.filter((label) => !label).length, there.length - shown);
  if (kept != null) root.querySelector('[data-row="' + kept + '"]')?.focus();
}

function clipped({ clip }, ...children) {
  return svg("g", { "clip-path": "url(#" + clip + ")" }, ...children);
}

/// The axes, and what nothing is drawn beyond.
function frame({ t, view, root, scales, clip }) {
  const named = (name) =>
    TUNING_FIGURES[name].unit(t) + (TUNING_FIGURES[name].better < 0 ? ", less is better" : "");
  const [xLabel, yLabel] = [view.x, view.y].map((name) => named(name) + " \u2192");
  axes(root, { ...scales, xLabel, yLabel, box: BOX });
  const { left, top, width, height } = BOX;
  root.append(svg("clipPath", { id: clip }, svg("rect", { x: left, y: top, width, height })));
}

function drawPoints(plane, points, labels) {
  const { root, scales, view } = plane,
    chosen = chosenRow(plane);
  points.forEach((p, i) => {
    if (!labels[i]?.far) return;
    const { near } = labels[i];
    root.append(svg("line", { class: "leader", x1: p.x, y1: p.y, x2: near.x, y2: near.y }));
  });
  for (const p of points) root.append(p.row ? mark(plane, p, p.row === chosen) : p.node);
  if (chosen) root.append(clipped(plane, ...tuningSeeds(chosen, scales.x, scales.y, view)));
  points.forEach((p, i) => {
    if (!labels[i]) return;
    const { x, y } = labels[i];
    const name = "halo" + (p.row && p.row === chosen ? " chosen" : "");
    root.append(svg("text", { class: name, "aria-hidden": "true", x, y }, p.text));
  });
}

function say({ t, view, hint, caption }, hidden, beyond) {
  hint.textContent =
    "Right and up is better. Line: what no other method beats on both axes. " +
    "Area: share of the blocks' numbers ever trained. " +
    (hidden ? hidden + " names found no room: point at the marks. " : "") +
    (beyond ? beyond + " methods lie outside of this view. " : "") +
    "Drag a box to look closer.";
  const [x, y] = [view.x, view.y].map((name) => TUNING_FIGURES[name].short(t));
  caption.firstChild.textContent = y + " against " + x + " ";
}

function mark({ t, pick }, p, chosen) {
  const attributes = {
    class: "method " + tuningFamily(p.row) + (chosen ? " chosen" : ""),
    transform: "translate(" + p.x + "," + p.y + ")",
    tabindex: "0",
    role: "button",
    "aria-pressed": String(chosen),
    "aria-label": tuningSaid(t, p.row).replace(/\n/g, "; "),
    "data-row": t.rows.indexOf(p.row),
  };
  const g = svg("g", attributes, svg("path", { d: tuningSymbol(p.row, Math.PI * p.r * p.r) }));
  g.addEventListener("click", () => pick(p.row));
  g.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    pick(p.row);
  });
  g.addEventListener("mousemove", (event) => showTip(event, tuningSaid(t, p.row)));
  g.addEventListener("mouseleave", hideTip);
  return g;
}

export function tuningRadius(row) {
  return 3.5 + 9 * Math.sqrt(Math.min(tuningMean(row.ever) ?? 0, 1.3));
}
function tuningWhiskers(p, x, y, view) {
  const [h, v] = [p.row[view.x].interval, p.row[view.y].interval];
  return [
    ...(h ? [{ x1: x(h[0]), x2: x(h[1]), y1: p.y, y2: p.y }] : []),
    ...(v ? [{ x1: p.x, x2: p.x, y1: y(v[0]), y2: y(v[1]) }] : []),
  ];
}
function tuningSeeds(row, x, y, view) {
  return row.runs
    .filter((run) => Number.isFinite(run[view.x]) && Number.isFinite(run[view.y]))
    .map((run) =>
      svg("circle", { class: "one-seed", cx: x(run[view.x]), cy: y(run[view.y]), r: 2.5 }),
    );
}
function tuningBasePoint(x, y) {
  const node = svg(
    "g",
    { class: "method base", transform: "translate(" + x + "," + y + ")" },
    svg("path", { d: "M-6,0H6M0,-6V6" }),
    svg("title", {}, "the model before tuning"),
  );
  return { x, y, r: 6, text: "before tuning", node };
}
/// The stairs below and left of which every method is beaten on both axes; in pixels, right and up
/// is better.
function tuningFront(points, box) {
  const front = [];
  for (const [x, y] of [...points].sort((a, b) => b[0] - a[0] || a[1] - b[1])) {
    if (!front.length || y < front[front.length - 1][1]) front.push([x, y]);
  }
  front.reverse();
  let d = front.length ? "M" + box.left + "," + front[0][1] : "";
  front.forEach(([x], i) => {
    d += "H" + x + "V" + (i + 1 < front.length ? front[i + 1][1] : box.top + box.height);
  });
  return svg("path", { class: "front", d });
}
