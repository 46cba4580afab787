// A picture of points in a plane that stands still through the run: coordinates or components.

/* global d3 */
import { el } from "../dom.js";
import { axes, figure, svg } from "../figure.js";
import { percent, steps } from "../numbers.js";
import { PLANE, PLANE_BOX, arrowTo, circlePath, edgeOf, planeTick } from "./places.js";
import { fitPlane, inPlane, shareInPlane } from "./plane-fit.js";
import { inFocus, pickPoints, pointLayer } from "./points.js";
import { regionPainter } from "./regions.js";

/// `spec`: see panels.js. One arm's picture of it.
export function planePanel(parent, spec, arm) {
  const picture = explorerFigure(parent, spec, arm, PLANE);
  const last = arm.lastView();
  const plane = fitPlane(spec.rows(last), last.weights.D);
  const panel = {
    ...{ arm, spec, plane, picture, root: picture.root, canvas: picture.canvas },
    ...{ area: null, x: null, y: null, view: null, before: null, frame: null },
    fitted: steps(arm.frames[last.frame]),
    whole: planeArea(arm.someViews(12), spec, plane),
    // How much of the variance the plane holds is worked out once for each view.
    shares: new WeakMap(),
  };
  addParts(panel);
  return {
    node: picture.node,
    move: (view, before, options) => move(panel, view, before, options),
    focus: () => focus(panel),
    recolor() {
      if (!panel.view) return;
      dress(panel);
      move(panel, panel.view, panel.before, panel.options);
    },
    fine: panel.regions?.fine,
  };
}

/// What the picture is made of, from the axes up to the points.
function addParts(panel) {
  const { root, spec, arm } = panel;
  panel.origin = svg("path", { class: "origin", d: "M-4 0H4M0 -4V4" });
  setArea(panel, panel.whole);
  const under = svg("g", { class: "under" });
  root.append(under, panel.origin);
  panel.regions = spec.layer ? regionPainter(panel, spec.layer, under) : null;
  panel.decoration = spec.decorate ? spec.decorate(panel, under) : null;
  panel.arrows = spec.moves ? under.appendChild(svg("path", { class: "moves" })) : null;
  panel.layers = spec.layers.map((layer) => {
    const { kind, ring } = layer;
    const describe = (i, short) => layer.describe(panel, i, short);
    const points = pointLayer(root, { kind, count: layer.count(arm), ring, describe });
    return { ...layer, points };
  });
  const points = panel.layers.map((layer) => layer.points);
  panel.labels = spec.labels ? pointLabels(root, points[0], spec.labels(arm)) : null;
  pickPoints(root, points);
  panel.linked = spec.linked ? root.appendChild(svg("path", { class: "linked" })) : null;
}

function axisNames({ own, explained }) {
  if (own) return ["coordinate 1", "coordinate 2"];
  return explained.map((share, i) => `component ${i + 1} (${percent(share)} of variance)`);
}

function setArea(panel, area) {
  const { root, plane, origin } = panel,
    { left, top, width, height } = PLANE_BOX;
  const x = d3.scaleLinear([area.x0, area.x1], [left, left + width]);
  const y = d3.scaleLinear([area.y0, area.y1], [top + height, top]);
  Object.assign(panel, { area, x, y });
  const [xLabel, yLabel] = axisNames(plane);
  const format = { ticks: 4, xFormat: planeTick, yFormat: planeTick };
  const next = axes(root, { x, y, xLabel, yLabel, box: PLANE_BOX, ...format });
  if (panel.frame) panel.frame.replaceWith(next);
  panel.frame = next;
  origin.setAttribute("transform", "translate(" + x(0) + "," + y(0) + ")");
  const [atX, atY] = edgeOf(x(0), y(0));
  origin.setAttribute("display", atX === x(0) && atY === y(0) ? "inline" : "none");
}

function dress(panel) {
  for (const { points, marks } of panel.layers) points.dress(marks(panel), true);
}

function move(panel, view, before, options) {
  const { spec, plane, layers } = panel;
  const changed = panel.view?.task !== view.task;
  Object.assign(panel, { view, before, options });
  if (changed) dress(panel);
  if (options.fit) setArea(panel, planeArea([view], spec, plane));
  else if (panel.area !== panel.whole) setArea(panel, panel.whole);
  let beyond = 0;
  for (const { points, rows } of layers) {
    beyond += points.move(inPlane(rows(view), plane), panel.x, panel.y, edgeOf);
  }
  for (const layer of layers) layer.after?.(panel, layer.points);
  panel.regions?.coarse();
  panel.decoration?.();
  panel.arrows?.setAttribute("d", before ? movement(panel, spec.rows) : "");
  panel.labels?.();
  const said = [
    plane.own ? "" : sharesSaid(panel),
    spec.readout ? spec.readout(panel) : "",
    beyond ? "Beyond the axes, drawn at the edge: " + beyond + "." : "",
  ];
  panel.picture.say(said.filter(Boolean).join(" "));
  focus(panel);
}

function sharesSaid({ view, spec, plane, shares, fitted }) {
  if (!shares.has(view)) shares.set(view, shareInPlane(spec.rows(view), plane));
  const share = percent(shares.get(view));
  return `Components of step ${fitted}; ${share} of the variance at this step.`;
}

// What belongs to the sample in focus: the table's rows of its tokens, as large as their attention.
function focus({ view, arm, layers, decoration, linked }) {
  if (!view) return;
  for (const { points } of layers) points.focus();
  decoration?.focus?.();
  linked?.setAttribute("d", attendedCells(view, layers[0].points.at, arm.positions));
}

function attendedCells(view, at, positions) {
  const { length, tokens, n } = view.task,
    i = inFocus("sample", n);
  let d = "";
  for (let t = 0; i != null && t < length; t++) {
    const cell = tokens[i * length + t] * positions + t,
      r = 3 + 14 * Math.sqrt(view.attention[i * length + t]);
    if (at[2 * cell] === at[2 * cell] && r === r) {
      d += circlePath(at[2 * cell], at[2 * cell + 1], r);
    }
  }
  return d;
}

// Arrows from where the points were under the previous frame's weights.
function movement({ before, view, plane, x, y }, rows) {
  const [from, to] = [inPlane(rows(before), plane), inPlane(rows(view), plane)];
  let d = "";
  for (let i = 0; i < to.length; i += 2) {
    d += arrowTo(...edgeOf(x(from[i]), y(from[i + 1])), ...edgeOf(x(to[i]), y(to[i + 1])), 4);
  }
  return d;
}

// A figure with a line of its own below, for what changes with the step.
export function explorerFigure(parent, spec, arm, { width, height }) {
  const picture = figure(parent, {
    title: arm.name,
    width,
    height,
    layer: Boolean(spec.layer),
    name: spec.id + "-" + arm.name + "-" + arm.run.key,
  });
  picture.root.setAttribute("aria-label", spec.title + ", " + arm.name);
  // A group of marks that can be reached, not one picture.
  picture.root.setAttribute("role", "group");
  if (picture.canvas) {
    picture.canvas.width = 2 * width;
    picture.canvas.height = 2 * height;
  }
  const line = el("p", { class: "quiet readout" });
  picture.node.append(line);
  return {
    ...picture,
    say: (text) => {
      if (line.textContent !== text) line.textContent = text;
    },
  };
}

/// The square-unit window that holds all points of the views, with a margin.
function planeArea(views, spec, plane) {
  let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
  const take = (x, y) => {
    if (!(Math.abs(x) < 1e9 && Math.abs(y) < 1e9)) return;
    x0 = Math.min(x0, x);
    x1 = Math.max(x1, x);
    y0 = Math.min(y0, y);
    y1 = Math.max(y1, y);
  };
  for (const view of views) {
    for (const rows of [
      ...spec.layers.map((layer) => layer.rows(view)),
      ...(spec.extent ? spec.extent(view) : []),
    ]) {
      const xy = inPlane(rows, plane);
      for (let i = 0; i < xy.length; i += 2) take(xy[i], xy[i + 1]);
    }
  }
  if (spec.origin || !(x1 >= x0)) take(0, 0);
  const unit = Math.max((x1 - x0) / PLANE_BOX.width, (y1 - y0) / PLANE_BOX.height, 1e-6) * 1.12;
  const [x, y, w, h] = [
    (x0 + x1) / 2,
    (y0 + y1) / 2,
    (unit * PLANE_BOX.width) / 2,
    (unit * PLANE_BOX.height) / 2,
  ];
  return { x0: x - w, x1: x + w, y0: y - h, y1: y + h };
}

// Labels beside points, each at the first side where nothing is in its way; without one it is left
// out.
function pointLabels(root, points, texts) {
  const nodes = texts.map((text) =>
    root.appendChild(
      svg("text", { class: "halo", "text-anchor": "middle", "aria-hidden": "true" }, text),
    ),
  );
  const sides = [
    [9, -6],
    [-9, -6],
    [9, 9],
    [-9, 9],
    [0, -10],
    [0, 12],
    [13, 1],
    [-13, 1],
  ];
  return () => {
    const taken = [];
    const { left, top, width, height } = PLANE_BOX;
    const free = (x, y, w) =>
      x - w > left &&
      x + w < left + width &&
      y - 6 > top &&
      y + 6 < top + height &&
      taken.every((box) => Math.abs(x - box.x) > w + box.w || Math.abs(y - box.y) > 6 + box.h);
    for (let i = 0; i < nodes.length; i++) {
      taken.push({ x: points.at[2 * i], y: points.at[2 * i + 1], w: 4, h: 3 });
    }
    nodes.forEach((node, i) => {
      const w = 3.4 * texts[i].length,
        [x, y] = [points.at[2 * i], points.at[2 * i + 1]];
      const side =
        x === x
          ? sides.find(([dx, dy]) => free(x + dx + Math.sign(dx) * (w - 3.4), y + dy, w))
          : null;
      node.setAttribute("display", side ? "inline" : "none");
      if (!side) return;
      const place = { x: x + side[0] + Math.sign(side[0]) * (w - 3.4), y: y + side[1], w, h: 5 };
      taken.push(place);
      node.setAttribute("x", place.x.toFixed(1));
      node.setAttribute("y", (place.y + 4).toFixed(1));
    });
  };
}
