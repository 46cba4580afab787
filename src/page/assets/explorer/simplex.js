// Class probabilities of the samples: a segment, a triangle or a regular polygon with a class at
// each corner, a point at the mean of the corners weighted by the probabilities.

/* global d3 */
import { axes, svg } from "../figure.js";
import { percent } from "../numbers.js";
import { classColor, markShape } from "./palette.js";
import { PLANE, pathPoint } from "./places.js";
import { explorerFigure } from "./plane.js";
import { pickPoints, pointLayer } from "./points.js";

const SIMPLEX_BOX = { left: 46, top: 8, width: 222, height: 214 };

export function simplexPanel(parent, spec, arm) {
  const picture = explorerFigure(parent, spec, arm, PLANE);
  const { root } = picture,
    [layer] = spec.layers;
  const panel = { arm, view: null, layer, picture, toX: null, toY: null };
  panel.backdrop = svg("g", {});
  root.append(panel.backdrop);
  const describe = (i, short) => layer.describe(panel, i, short);
  panel.points = pointLayer(root, { kind: "sample", count: layer.count(arm), describe });
  pickPoints(root, [panel.points]);
  return {
    node: picture.node,
    move: (view, before, options) => move(panel, view, before, options),
    focus: () => focus(panel),
    recolor() {
      if (!panel.view) return;
      dress(panel);
      move(panel, panel.view, panel.before, panel.options);
    },
  };
}

function dress(panel) {
  const { task } = panel.view,
    next = svg("g", { class: "axes" });
  if (task.p === 2) segment(panel, task, next);
  else polygon(panel, task, next);
  panel.backdrop.replaceWith(next);
  panel.backdrop = next;
  panel.points.dress(panel.layer.marks(panel), true);
}

/// Two classes: a segment, with the sum upwards.
function segment(panel, task, group) {
  const { left, top, width, height } = SIMPLEX_BOX;
  const x = d3.scaleLinear([-0.04, 1.04], [left, left + width]);
  const y = d3.scaleLinear([-0.5, task.k + 0.5], [top + height, top]);
  const xLabel = "p(class 1) / (p(class 0) + p(class 1))";
  axes(group, { x, y, xLabel, yLabel: "sum", box: SIMPLEX_BOX });
  Object.assign(panel, { toX: x, toY: y });
}

/// More classes: a corner for each, and its mark outside of it.
function polygon(panel, { p }, group) {
  const middle = p === 3 ? 136 : 118,
    r = p === 3 ? 100 : 88;
  const toX = (value) => PLANE.width / 2 + r * value;
  const toY = (value) => middle - r * value;
  Object.assign(panel, { toX, toY });
  const corners = simplexCorners(p);
  const sides = corners.map(([a, b]) => pathPoint(toX(a), toY(b)));
  group.append(svg("path", { class: "frame", d: "M" + sides.join("L") + "Z" }));
  const every = Math.ceil(p / 24);
  corners.forEach(([a, b], c) => {
    if (c % every) return;
    const transform = "translate(" + pathPoint(toX(a) + 13 * a, toY(b) - 13 * b) + ")";
    const name = { x: toX(a) + 26 * a, y: toY(b) - 25 * b + 4, "text-anchor": "middle" };
    group.append(
      svg("path", { d: markShape(c, 50), fill: classColor(c, p), transform }),
      svg("text", name, String(c)),
    );
  });
}

function move(panel, view, before, options) {
  const { points, layer, picture } = panel;
  const changed = panel.view?.task !== view.task;
  Object.assign(panel, { view, before, options });
  if (changed) dress(panel);
  const { xy, spare } = simplexPlaces(view);
  points.move(xy, panel.toX, panel.toY);
  layer.after(panel, points);
  picture.say(simplexSaid(panel, spare));
  focus(panel);
}

function simplexSaid({ view, arm }, spare) {
  const { p, n, answer } = view.task;
  const right = view.best.slice(0, n).filter((v, i) => v === answer[i]).length;
  const polygon =
    `Regular polygon of ${p} classes: corners and sides are exact, inside several mixtures share ` +
    "a place.";
  const shapes = { 2: "Segment; height is the sum.", 3: "Triangle, corners are classes." };
  const little = spare < 5e-4 ? "less than 0.1 %" : "at most " + percent(spare);
  const rest = arm.V > p ? ` Spare tokens hold ${little} and are left out.` : "";
  return `${right} of ${n} samples right. ${shapes[p] ?? polygon}${rest}`;
}

function focus({ view, points }) {
  if (view) points.focus();
}

function simplexCorners(p) {
  return Array.from({ length: p }, (_, c) => {
    const angle = Math.PI / 2 - (2 * Math.PI * c) / p;
    return [Math.cos(angle), Math.sin(angle)];
  });
}
function simplexPlaces({ task, chance, weights: { V } }) {
  const { n, p, sum } = task,
    xy = new Float64Array(2 * n),
    corners = simplexCorners(p);
  let spare = 0;
  for (let i = 0; i < n; i++) {
    let used = 0;
    for (let c = 0; c < p; c++) used += chance[i * V + c];
    spare = Math.max(spare, 1 - used);
    if (p === 2) {
      xy[2 * i] = chance[i * V + 1] / used;
      // Equal sums side by side, so that points of one sum can be told apart.
      xy[2 * i + 1] = sum[i] + 0.5 * ((((i * 7) % 16) + 0.5) / 16 - 0.5);
      continue;
    }
    for (let c = 0; c < p; c++) {
      xy[2 * i] += (chance[i * V + c] / used) * corners[c][0];
      xy[2 * i + 1] += (chance[i * V + c] / used) * corners[c][1];
    }
  }
  return { xy, spare };
}
