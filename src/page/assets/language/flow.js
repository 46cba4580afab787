// Edges at their positions: from the writer's line up to the reader's, in the column of the
// position. Between columns only heads move anything: for those with shown edges, grey arcs from
// the keys to the query.

import { hideTip, showTip } from "../dom.js";
import { attends } from "../edge-name.js";
import { svg } from "../figure.js";
import { lookEdgeSaid, lookGroup, lookHeadOf } from "./words.js";

const LOOK_ARC = 0.05;

/// The lines from the input up, as far as any edge goes.
export function lookRows(scene) {
  const names = ["input"];
  const mlps = scene.edges.some(({ from, to }) =>
    [from, to].some((node) => !attends(node) && node.layer >= 0),
  );
  for (let layer = 0; layer < scene.look.layers; layer++) {
    names.push("a" + layer, ...(mlps ? ["m" + layer] : []));
  }
  return [...names, "logits"];
}

export function lookFlow(root, scene, { columns, rows, floor, step }) {
  const arcs = svg("g", { class: "arcs", "aria-hidden": "true" });
  const group = svg("g", { class: "flow" });
  root.append(arcs, group);
  const flow = { scene, arcs, group, columns, rows, floor, step };
  // Arrow keys go through the edges by the size of their scores.
  group.addEventListener("keydown", (event) => {
    const move = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (move == null && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    const at = scene.edges.indexOf(scene.edge),
      last = Math.max(0, scene.shown - 1);
    const to = Math.max(0, Math.min(last, at + (at < 0 ? 1 : (move ?? 0))));
    lookPick(scene, scene.edges[to]);
  });
  for (const what of ["edge", "edges"]) scene.on(what, () => draw(flow));
  draw(flow);
}

/// Where a node stands at position `t`, or one of its ports; null if the drawing has no place for
/// it.
function point({ scene, columns, rows, floor, step }, node, t, port) {
  const { look } = scene,
    column = columns[t];
  const line =
    node.layer < 0
      ? rows.indexOf(node.kind)
      : rows.indexOf((attends(node) ? "a" : "m") + node.layer);
  if (!column || line < 0) return null;
  const spread = Math.min(18, (column.width - 26) / Math.max(1, look.heads - 1));
  const heads = node.kind === "kv" ? lookGroup(scene) : 1;
  const head = node.index * heads + (heads - 1) / 2 - (look.heads - 1) / 2;
  const shift = { q: -2.5, v: 2.5 }[port] ?? 0;
  const aside = attends(node) ? head * spread : 0;
  return { x: column.middle + aside + shift, y: floor - line * step };
}

// Each edge leaves to its side, so that those over one another stay apart.
function curve(flow, edge) {
  const { columns, step } = flow;
  const t = Math.max(0, edge.position);
  const [a, b] = [point(flow, edge.from, t), point(flow, edge.to, t, edge.port)];
  if (!edge.known || !a || !b) return null;
  const lines = Math.abs(a.y - b.y) / step;
  const far = Math.min(columns[t].width * 0.5, 3 + 5 * Math.sqrt(lines));
  const side = Math.sign(edge.score || 1) * far;
  const [out, into] = [`${a.x + side},${a.y - step * 0.4}`, `${b.x + side},${b.y + step * 0.4}`];
  return { a, b, d: `M${a.x},${a.y - 3}C${out} ${into} ${b.x},${b.y + 4}` };
}

function draw(flow) {
  const { scene, arcs, group } = flow,
    { edges, edge: chosen } = scene;
  const shown = edges.slice(0, scene.shown);
  const list = chosen && !shown.includes(chosen) ? [...shown, chosen] : shown;
  const focused = group.contains(document.activeElement);
  group.replaceChildren();
  const dots = new Map();
  for (const edge of list) {
    const at = curve(flow, edge);
    if (!at) continue;
    group.append(edgeMark(scene, edge, at, edge === (chosen ?? list[0])));
    dots.set(edge.from.name, { node: edge.from, p: at.a });
    dots.set(edge.to.name + edge.port, { node: edge.to, p: at.b });
  }
  for (const { node, p } of dots.values()) {
    const dot = { class: "flow-node", cx: p.x, cy: p.y, r: 3 };
    group.append(svg("circle", dot, svg("title", {}, node.part)));
  }
  const ends = chosen && curve(flow, chosen);
  if (ends) {
    const reader = chosen.to.part + (chosen.port ? "<" + chosen.port + ">" : "");
    group.append(endName(chosen.from.part, ends.a), endName(reader, ends.b));
  }
  arcs.replaceChildren(...lookArcs(scene, list, (node, t) => point(flow, node, t)));
  if (focused) group.querySelector("[tabindex='0']")?.focus();
}

function endName(name, p) {
  const place = { x: p.x - 7, y: p.y + 4, "text-anchor": "end" };
  return svg("text", { class: "halo chosen", ...place }, name);
}

/// The line of an edge; `stop` if Tab goes to it.
function edgeMark(scene, edge, { d }, stop) {
  const mine = edge === scene.edge,
    strongest = Math.max(1e-12, Math.abs(scene.edges[0].score));
  const width = (0.8 + 5.2 * (Math.abs(edge.score) / strongest)).toFixed(2);
  const sign = edge.score < 0 ? "negative" : "positive";
  const attributes = {
    class: "flow-edge " + sign + (mine ? " chosen" : ""),
    role: "button",
    tabindex: stop ? "0" : "-1",
    "aria-pressed": String(mine),
    "aria-label": lookEdgeSaid(scene, edge),
  };
  const g = svg(
    "g",
    attributes,
    svg("path", { class: "edge", d, "stroke-width": width }),
    svg("path", { class: "reach", d }),
  );
  g.addEventListener("click", () => lookPick(scene, mine ? null : edge));
  g.addEventListener("mousemove", (event) => showTip(event, lookEdgeSaid(scene, edge)));
  g.addEventListener("mouseleave", hideTip);
  return g;
}

/// Where a head reads keys or values at one position and its output is used at another: the ways
/// between them.
function lookArcs(scene, list, point) {
  const into = new Map(),
    out = new Map();
  const add = (map, layer, head, t) => {
    const key = layer + "," + head;
    if (!map.has(key)) map.set(key, new Set());
    map.get(key).add(t);
  };
  for (const edge of list) {
    const { from, to, port, position } = edge;
    if (to.kind === "kv") {
      const group = lookGroup(scene);
      for (let h = 0; h < group; h++) add(into, to.layer, to.index * group + h, position);
    }
    if (to.kind === "head") add(port === "q" ? out : into, to.layer, to.index, position);
    if (from.kind === "head") add(out, from.layer, from.index, position);
  }
  const arcs = [];
  for (const [key, queries] of out) {
    const [layer, head] = key.split(",").map(Number);
    const node = { kind: "head", layer, index: head };
    for (const query of queries) {
      for (const at of into.get(key) ?? []) {
        const weight = at === query ? 0 : scene.weight(layer, head, query, at, "clean");
        const [a, b] = [point(node, at), point(node, query)];
        if (weight < LOOK_ARC || !a || !b) continue;
        const lift = Math.min(22, 6 + Math.abs(a.x - b.x) * 0.05);
        arcs.push(
          svg("path", {
            class: "arc",
            "stroke-opacity": (0.25 + 0.75 * weight).toFixed(2),
            "stroke-width": (0.8 + 2.2 * weight).toFixed(2),
            d: `M${a.x},${a.y}C${a.x},${a.y - lift} ${b.x},${b.y - lift} ${b.x},${b.y}`,
          }),
        );
      }
    }
  }
  return arcs;
}

/// Chooses an edge; that of a head shows the head's pattern, from where the edge is if the head's
/// output or query is.
export function lookPick(scene, edge) {
  scene.choose("edge", edge ? edge.name : null);
  const head = edge && lookHeadOf(scene, edge);
  if (head) scene.choose("head", "a" + head.layer + ".h" + head.head);
  const asks = edge && edge.position >= 0 && (edge.from.kind === "head" || edge.port === "q");
  if (asks) scene.choose("query", edge.position);
}
