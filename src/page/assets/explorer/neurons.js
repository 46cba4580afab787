// The MLP's neurons in the pictures: receptors (rows of W_1), assemblers (columns of W_2), the
// lines where a neuron switches, the query's arrow and other strokes below the points.

import { svg } from "../figure.js";
import { dotProduct } from "../model.js";
import { number } from "../numbers.js";
import { classColor, strokeShape } from "./palette.js";
import { PLANE_BOX, arrowTo, circlePath, edgeOf, pathPoint, raysTo } from "./places.js";
import { inPlane, restOf } from "./plane-fit.js";
import { inFocus } from "./points.js";
import { foldOutput } from "./slice.js";

export function assemblerRows(view) {
  if (view.assemblers) return view.assemblers;
  const { W2, D, F } = view.weights,
    columns = new Float64Array(F * D);
  for (let i = 0; i < D; i++) for (let j = 0; j < F; j++) columns[j * D + i] = W2[i * F + j];
  return (view.assemblers = columns);
}

/// Of each neuron: how much what it writes varies over the samples (strength), the token whose
/// logit it raises most, on how many samples it is above zero.
function neuronFacts(view) {
  if (view.neurons) return view.neurons;
  const { F, V, D } = view.weights,
    n = view.task.n,
    columns = assemblerRows(view);
  const folded = (view.folded ??= foldOutput(view.weights));
  const strength = new Float64Array(F),
    raises = new Int32Array(F),
    active = new Int32Array(F);
  for (let j = 0; j < F; j++) {
    let sum = 0,
      squares = 0;
    for (let s = 0; s < n; s++) {
      const h = view.hidden[s * F + j];
      sum += h;
      squares += h * h;
      active[j] += h > 0 ? 1 : 0;
    }
    const size = Math.sqrt(dotProduct(columns, j * D, columns, j * D, D));
    strength[j] = size * Math.sqrt(Math.max(0, squares / n - (sum / n) ** 2));
    for (let v = 1; v < V; v++) {
      if (folded.raise[v * F + j] > folded.raise[raises[j] * F + j]) raises[j] = v;
    }
  }
  const order = [...strength.keys()].sort((a, b) => strength[b] - strength[a]);
  return (view.neurons = { strength, raises, active, order });
}
// Strokes, not faces: samples are faces.
export function neuronMarks({ view }, shape) {
  const { strength, raises, order } = neuronFacts(view),
    most = strength[order[0]] || 1;
  return Array.from(strength, (much, j) => {
    const size = 10 * Math.max(1, Math.ceil(6 * Math.sqrt(much / most)) || 1);
    return {
      d: strokeShape(shape, size),
      fill: "none",
      stroke: classColor(raises[j], view.task.p),
    };
  });
}
export function describeNeuron({ view }, j, short) {
  if (short) return "neuron " + j;
  const { strength, raises, active, order } = neuronFacts(view),
    { b1 } = view.weights;
  const place = " (" + (order.indexOf(j) + 1) + " of " + order.length + ")";
  return (
    "neuron " +
    j +
    ", strength " +
    number(strength[j]) +
    place +
    "\nabove 0 on " +
    active[j] +
    " of " +
    view.task.n +
    " samples\nraises token " +
    raises[j] +
    " most" +
    (b1 ? "\nbias " + number(b1[j]) : "")
  );
}

export function queryArrow(panel, group) {
  const circle =
    panel.plane.own && panel.plane.D === 2
      ? group.appendChild(svg("path", { class: "faint" }))
      : null;
  const arrow = group.appendChild(svg("path", { class: "query" }));
  return () => {
    const [x, y] = inPlane(panel.view.weights.q, panel.plane);
    arrow.setAttribute("d", arrowTo(panel.x(0), panel.y(0), ...edgeOf(panel.x(x), panel.y(y)), 8));
    if (!circle) return;
    // Two coordinates of mean square 1 lie on a circle.
    const r = panel.x(Math.SQRT2) - panel.x(0);
    circle.setAttribute("d", circlePath(panel.x(0), panel.y(0), r));
  };
}

export function embeddingRays(panel, group) {
  const rays = group.appendChild(svg("path", { class: "faint" }));
  const classes = Array.from({ length: panel.arm.V }, () =>
    group.appendChild(svg("path", { class: "classray" })),
  );
  return () => {
    rays.setAttribute("d", raysTo(panel, inPlane(assemblerRows(panel.view), panel.plane)));
    const xy = inPlane(panel.view.weights.E, panel.plane),
      reach = Math.min(PLANE_BOX.width, PLANE_BOX.height) / 2.3;
    const sizes = classes.map((_, v) => Math.hypot(xy[2 * v], xy[2 * v + 1])),
      most = Math.max(...sizes, 1e-9);
    classes.forEach((path, v) => {
      const [x0, y0, much] = [panel.x(0), panel.y(0), reach / most];
      path.setAttribute(
        "d",
        arrowTo(x0, y0, ...edgeOf(x0 + xy[2 * v] * much, y0 - xy[2 * v + 1] * much), 7),
      );
      path.setAttribute("stroke", classColor(v, panel.view.task.p));
    });
  };
}

export function faintOutputs(panel, group) {
  const dots = group.appendChild(svg("path", { class: "dots" }));
  return () => {
    const xy = inPlane(panel.view.mlp, panel.plane);
    let d = "";
    for (let i = 0; i < xy.length; i += 2) {
      const [x, y] = edgeOf(panel.x(xy[i]), panel.y(xy[i + 1]));
      if (x === x && y === y) d += "M" + pathPoint(x, y) + "h0";
    }
    dots.setAttribute("d", d);
  };
}

// The lines w . h + b = 0 of the strongest neurons, and of the one in focus its side above zero.
export function halfPlanes(panel, group) {
  const side = group.appendChild(svg("path", { class: "side" }));
  const rays = group.appendChild(svg("path", { class: "faint" }));
  const lines = group.appendChild(svg("path", { class: "switch" }));
  const chosen = group.appendChild(svg("path", { class: "switch chosen" }));
  let cut = () => [];
  function focus() {
    const j = panel.view ? inFocus("neuron", panel.view.weights.F) : null,
      corners = j == null ? null : cut(j);
    chosen.setAttribute("d", corners ? corners.line : "");
    side.setAttribute("d", corners ? corners.side : "");
  }
  return Object.assign(
    () => {
      const { view, plane, options } = panel,
        { W1, b1, D } = view.weights,
        rest = restOf(view.normed, plane);
      const xy = inPlane(W1, plane);
      rays.setAttribute("d", raysTo(panel, xy));
      cut = (j) =>
        cutBox(
          panel,
          xy[2 * j],
          xy[2 * j + 1],
          (b1 ? b1[j] : 0) + dotProduct(W1, j * D, rest, 0, D),
        );
      lines.setAttribute(
        "d",
        neuronFacts(view)
          .order.slice(0, options.lines)
          .map((j) => cut(j).line)
          .join(""),
      );
      focus();
    },
    { focus },
  );
}

// Where a x + b y + c = 0 crosses the picture, and the picture's part where it is above zero.
function cutBox({ area, x: toX, y: toY }, a, b, c) {
  const corners = [
    [area.x0, area.y0],
    [area.x1, area.y0],
    [area.x1, area.y1],
    [area.x0, area.y1],
  ];
  const crossings = [],
    kept = [];
  corners.forEach(([x, y], i) => {
    const [nextX, nextY] = corners[(i + 1) % 4],
      here = a * x + b * y + c,
      there = a * nextX + b * nextY + c;
    if (here >= 0) kept.push([x, y]);
    if (here >= 0 === there >= 0) return;
    const t = here / (here - there),
      crossing = [x + t * (nextX - x), y + t * (nextY - y)];
    crossings.push(crossing);
    kept.push(crossing);
  });
  const path = (list, end) =>
    list.length > 1 ? "M" + list.map(([x, y]) => pathPoint(toX(x), toY(y))).join("L") + end : "";
  return { line: path(crossings, ""), side: path(kept, "Z") };
}
