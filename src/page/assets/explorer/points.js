// A layer of points in a picture: nodes are made once and only moved. One of them can be reached by
// Tab, the others from it by arrow keys; the point nearest to the pointer is the one in focus.

import { hideTip, showTip } from "../dom.js";
import { svg } from "../figure.js";
import { set, state } from "../state.js";
import { pathPoint } from "./places.js";

// What is in focus is told apart by kind; a sample's name is shared with the rest of the page.
export function focusName(kind) {
  return kind === "sample" ? "sample" : "explore-" + kind;
}
/// The one of `count` that is in focus; what an address says may be anything.
export function inFocus(kind, count) {
  const i = state[focusName(kind)];
  return Number.isInteger(i) && i >= 0 && i < count ? i : null;
}
/// Where an arrow key leads from the i-th of n, round and round.
export function keyTarget(key, i, n) {
  const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[key];
  if (key === "Home" || key === "End") return key === "Home" ? 0 : n - 1;
  return way && (i + way + n) % n;
}
// A sample that was clicked stays in focus while the pointer moves on.
export const pinned = { sample: false };

/// `count` points of a `kind`; `describe(i, short)` says what a point is.
export function pointLayer(root, { kind, count, describe, ring = 7 }) {
  // What all points share, the group says for them: a node without a class is restyled in half the
  // time.
  const group = svg("g", { class: "points " + kind });
  const nodes = Array.from({ length: count }, (_, i) =>
    svg("path", { "data-point": i, role: "button", tabindex: -1 }),
  );
  const circle = svg("circle", { class: "ring", r: ring, display: "none" });
  group.append(...nodes, circle);
  root.append(group);
  const layer = {
    ...{ kind, group, nodes, circle, describe, shown: count, stop: 0 },
    at: new Float32Array(2 * count).fill(NaN),
    written: nodes.map(() => ({})),
    pin: (i) => pin(kind, i),
    dress: (marks, renamed) => dress(layer, marks, renamed),
    move: (xy, toX, toY, inside) => move(layer, xy, toX, toY, inside),
    flag(test) {
      for (let i = 0; i < layer.shown; i++) write(layer, i, "class", test(i) ? "wrong" : "");
    },
    focus: () => focus(layer),
    nearest: (x, y) => nearestPoint(layer, x, y),
  };
  onKeys(layer);
  group.addEventListener("focusin", (event) =>
    set(focusName(kind), Number(event.target.dataset.point)),
  );
  reach(layer, 0);
  return layer;
}

// Only what changes is written, since a mark that is touched is drawn anew.
function write({ written, nodes }, i, name, value) {
  if (written[i][name] === value) return;
  written[i][name] = value;
  nodes[i].setAttribute(name, value);
}

function reach(layer, i) {
  layer.nodes[layer.stop]?.setAttribute("tabindex", -1);
  layer.stop = Math.max(0, Math.min(i ?? 0, layer.shown - 1));
  layer.nodes[layer.stop]?.setAttribute("tabindex", 0);
}

function pin(kind, i) {
  pinned.sample = kind === "sample";
  set(focusName(kind), i);
}

function onKeys(layer) {
  layer.group.addEventListener("keydown", (event) => {
    const i = Number(event.target.dataset.point);
    const next = keyTarget(event.key, i, layer.shown);
    if (event.key === "Enter" || event.key === " ") pin(layer.kind, i);
    else if (event.key === "Escape") pinned.sample = false;
    else if (next === undefined) return;
    else {
      reach(layer, next);
      layer.nodes[next].focus({ preventScroll: true });
    }
    event.preventDefault();
    event.stopPropagation();
  });
}

/// `marks[i]` is {d, fill, stroke, hidden?}; points beyond them are not shown. `renamed` if
/// descriptions changed too.
function dress(layer, marks, renamed) {
  layer.shown = marks.length;
  layer.nodes.forEach((node, i) => {
    const mark = marks[i];
    write(layer, i, "display", mark && !mark.hidden ? "inline" : "none");
    if (!mark) return;
    for (const name of ["d", "fill", "stroke"]) {
      if (mark[name] != null) write(layer, i, name, mark[name]);
    }
    if (renamed) node.setAttribute("aria-label", layer.describe(i, true));
  });
  reach(layer, layer.stop);
}

/// Places the points; `inside` moves what lies beyond the picture to its edge. How many did.
function move(layer, xy, toX, toY, inside) {
  const { at, shown } = layer;
  let beyond = 0;
  for (let i = 0; i < shown; i++) {
    const x = toX(xy[2 * i]),
      y = toY(xy[2 * i + 1]);
    const [cx, cy] = inside ? inside(x, y) : [x, y];
    if (cx !== x || cy !== y) beyond += 1;
    at[2 * i] = cx;
    at[2 * i + 1] = cy;
    if (cx === cx && cy === cy) {
      write(layer, i, "transform", "translate(" + pathPoint(cx, cy) + ")");
    }
  }
  at.fill(NaN, 2 * shown);
  return beyond;
}

function focus(layer) {
  const { at, circle } = layer;
  const i = inFocus(layer.kind, layer.shown),
    seen = i != null && at[2 * i] === at[2 * i];
  circle.setAttribute("display", seen ? "inline" : "none");
  if (!seen) return;
  circle.setAttribute("cx", at[2 * i]);
  circle.setAttribute("cy", at[2 * i + 1]);
  if (i !== layer.stop) reach(layer, i);
}

function nearestPoint(layer, x, y) {
  let best = { distance: 14, layer, i: -1 };
  for (let i = 0; i < layer.shown; i++) {
    const distance = Math.hypot(layer.at[2 * i] - x, layer.at[2 * i + 1] - y);
    if (distance < best.distance) best = { distance, layer, i };
  }
  return best;
}

/// The pointer over a picture: what is nearest comes into focus, a click holds a sample.
export function pickPoints(root, layers) {
  const { width, height } = root.viewBox.baseVal;
  const under = (event) => {
    const mark = event.target.closest?.("[data-point]");
    const own = mark && layers.find((layer) => layer.group.contains(mark));
    if (own) return { layer: own, i: Number(mark.dataset.point) };
    const box = root.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * width,
      y = ((event.clientY - box.top) / box.height) * height;
    return layers
      .map((layer) => layer.nearest(x, y))
      .reduce((a, b) => (b.distance < a.distance ? b : a));
  };
  root.addEventListener("pointermove", (event) => {
    const { layer, i } = under(event);
    if (i < 0) return hideTip();
    showTip(event, layer.describe(i));
    if (layer.kind !== "sample" || !pinned.sample) set(focusName(layer.kind), i);
  });
  root.addEventListener("pointerleave", hideTip);
  root.addEventListener("click", (event) => {
    const { layer, i } = under(event);
    if (i >= 0) layer.pin(i);
    else pinned.sample = false;
  });
}
