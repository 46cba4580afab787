// Where the nodes of a circuit stand: layers from left to right, in a layer heads above each other
// in the order of their numbers, MLPs in a lane of their own below them. Places depend on the graph
// alone as long as all of its nodes fit, so that nothing jumps through time or with the threshold.

import { attends, parseNode } from "../edge-name.js";
import { circuitFold, circuitFoldedName } from "./graph.js";
import { circuitKind } from "./order.js";

const CIRCUIT_PITCH = 3.6;

/// The shown edges as drawn ones: those that fall together while positions or neurons are folded
/// are one, whose score is the sum. `status` of `compare` decides what is drawn beside the circuit
/// itself.
export function circuitDrawnEdges(view, edges, unfold, compare) {
  const drawn = new Map();
  for (const e of edges) {
    const name = circuitFoldedName(view.graph, e, unfold);
    let edge = drawn.get(name);
    if (!edge) {
      const [from, to] = [view.graph.nodes[view.graph.from[e]], view.graph.nodes[view.graph.to[e]]];
      edge = {
        name,
        members: [],
        score: 0,
        from: circuitFold(from, unfold),
        to: circuitFold(to, unfold),
        port: view.graph.port[e],
        kinds: new Set(),
        statuses: new Set(),
        ghost: true,
      };
      drawn.set(name, edge);
    }
    const status = compare?.status.get(e);
    edge.statuses.add(status ?? "kept");
    edge.members.push(e);
    edge.kinds.add(circuitKind(view, e));
    if (status !== "lost") edge.ghost = false;
  }
  for (const edge of drawn.values()) {
    for (const e of edge.members) {
      // What was lost has a score still; it is no part of the sum of a circuit that goes on without
      // it.
      if (!edge.ghost && compare?.status.get(e) === "lost") continue;
      edge.score += view.unscored || Number.isNaN(view.scores[e]) ? 0 : view.scores[e];
    }
    edge.kind = edge.kinds.size === 1 ? [...edge.kinds][0] : "";
    edge.status = edge.statuses.size === 1 ? [...edge.statuses][0] : "kept";
  }
  return [...drawn.values()];
}

/// All nodes of a graph as they are folded, by column; made once for each way to fold.
export function circuitColumns(graph, unfold) {
  const key = (unfold.positions ? "p" : "") + (unfold.neurons ? "n" : "");
  graph.columns ??= {};
  if (graph.columns[key]) return graph.columns[key];
  const nodes = new Map(),
    readers = new Set(graph.to);
  graph.nodes.forEach((node, id) => {
    const name = circuitFold(node, unfold);
    if (nodes.has(name)) return;
    const plain = parseNode(name),
      { kind, layer } = plain;
    const place = {
      input: 0,
      head: 1 + 2 * layer,
      kv: 1 + 2 * layer,
      mlp: 2 + 2 * layer,
      neuron: 2 + 2 * layer,
      logits: 1 + 2 * graph.layers,
    };
    nodes.set(name, {
      ...plain,
      column: place[kind] ?? (readers.has(id) ? 1 + 2 * graph.layers : 0),
    });
  });
  const columns = Array.from({ length: 2 + 2 * graph.layers }, () => []);
  for (const node of nodes.values()) columns[node.column].push(node);
  for (const column of columns) {
    column.sort(
      (a, b) =>
        a.position - b.position ||
        (a.kind === "kv") - (b.kind === "kv") ||
        a.index - b.index ||
        (a.name < b.name ? -1 : 1),
    );
  }
  return (graph.columns[key] = columns);
}

/// `nodes`: name to `{.., x, y, pitch, touched}`; `columns`: `{title, x}`.
export function circuitLayout(graph, drawn, unfold, { left, top, width, height }) {
  const all = circuitColumns(graph, unfold),
    nodes = new Map(),
    last = all.length - 1;
  const weight = new Map();
  for (const edge of drawn) {
    for (const end of [edge.from, edge.to]) {
      weight.set(end, (weight.get(end) ?? 0) + Math.abs(edge.score) + 1e-9);
    }
  }
  const heads = Math.max(1, ...all.map((column) => column.filter(attends).length));
  // One lane below for MLPs that are one node each, if there are heads beside which they would be
  // in the way.
  const lane = all.some(
    (column) => column.length && column[0].kind === "mlp" && column.length === 1,
  );
  const bottom = top + height,
    main = lane ? height - Math.min(90, Math.max(44, height / (heads + 2))) : height;
  const columns = [];
  all.forEach((column, c) => {
    const x = left + (last ? (width * c) / last : 0);
    if (column.length) {
      columns.push({ title: circuitTitle(column[0], unfold), x, kind: column[0].kind, column: c });
    }
    const inLane = column.length === 1 && column[0].kind === "mlp";
    const room = column[0]?.kind === "neuron" || inLane ? height : main;
    const fits = column.length * CIRCUIT_PITCH <= room;
    const list = fits ? column : column.filter((node) => weight.has(node.name));
    const pitch = room / Math.max(1, list.length);
    list.forEach((node, i) => {
      const y = inLane ? bottom - 14 : top + pitch * (i + 0.5);
      nodes.set(node.name, {
        ...node,
        x,
        y,
        pitch: inLane ? 28 : pitch,
        weight: weight.get(node.name) ?? 0,
        hidden: list.length < column.length,
      });
    });
  });
  return { nodes, columns, top, left, main, ports: graph.ports };
}

function circuitTitle(node, unfold) {
  if (node.kind === "input") return unfold.positions && node.position >= 0 ? "position" : "input";
  if (attends(node)) return "a" + node.layer;
  return node.kind === "neuron" ? "m" + node.layer + " neurons" : node.part;
}

/// How far above or below its node the port of a reader is: those the graph has are spread evenly.
export function circuitPortShift(node, port, ports) {
  const i = ports.indexOf(port);
  return i < 0 || ports.length < 2
    ? 0
    : (i - (ports.length - 1) / 2) *
        Math.min(node.pitch / 3.4, node.pitch > 150 ? 90 / (ports.length - 1) : 7);
}

/// The curve of an edge, as its four points.
export function circuitCurve(layout, edge) {
  const from = layout.nodes.get(edge.from),
    to = layout.nodes.get(edge.to);
  if (!from || !to) return null;
  const x1 = from.x + 5,
    y1 = from.y,
    x2 = to.x - 6,
    y2 = to.y + circuitPortShift(to, edge.port, layout.ports);
  const span = to.column - from.column,
    reach = Math.max(12, (x2 - x1) * 0.45);
  let [c1, c2] = [y1, y2];
  if (span > 1) {
    const over = layout.columns.find(
      (column) =>
        column.column > from.column && column.column < to.column && column.kind === "neuron",
    );
    const level = Math.abs(y1 - y2) < 16;
    // Past a column full of neurons it goes over the top, past nodes at its own height it bows.
    if (over && layout.columns.length <= 4) {
      c1 = c2 = layout.top - 60 - Math.abs(y1 - layout.top) * 0.28;
    } else if (level) {
      const bow = Math.min(26 + 9 * span, 0.7 * Math.max(from.pitch, to.pitch));
      const sign = y1 > layout.main + layout.top ? -1 : 1;
      c1 += sign * bow;
      c2 += sign * bow;
    }
  }
  return [x1, y1, x1 + reach, c1, x2 - reach, c2, x2, y2];
}
export function circuitCurvePoint([x1, y1, a1, b1, a2, b2, x2, y2], t) {
  const s = 1 - t,
    p = s * s * s,
    q = 3 * s * s * t,
    r = 3 * s * t * t,
    u = t * t * t;
  return [p * x1 + q * a1 + r * a2 + u * x2, p * y1 + q * b1 + r * b2 + u * y2];
}

/// Which nodes get labels, the heaviest first, and where: none covers another.
export function circuitLabels(layout, labelled) {
  const boxes = [],
    labels = [];
  const wanted = [...layout.nodes.values()].filter((node) => node.weight > 0 || labelled(node));
  wanted.sort((a, b) => b.weight - a.weight || a.y - b.y);
  for (const node of wanted) {
    const { text, dx, dy, anchor } = circuitLabel(node);
    const wide = 6.6 * text.length + 2,
      x = node.x + dx,
      y = node.y + dy;
    const start = anchor === "end" ? x - wide : anchor === "middle" ? x - wide / 2 : x;
    const box = [start, y - 10, start + wide, y + 3];
    if (boxes.some((b) => b[0] < box[2] && box[0] < b[2] && b[1] < box[3] && box[1] < b[3])) {
      continue;
    }
    boxes.push(box);
    labels.push({ node, text, x, y, anchor });
  }
  return labels;
}
function circuitLabel(node) {
  if (node.kind === "input") {
    return {
      text:
        node.position >= 0
          ? (node.part === "input" ? "" : node.part + " ") + node.position
          : node.part,
      dx: -9,
      dy: 4,
      anchor: "end",
    };
  }
  if (node.kind === "logits") return { text: "logits", dx: 9, dy: 4, anchor: "start" };
  if (node.kind === "neuron") {
    return { text: node.name.replace(/^m\d+\./, ""), dx: 6, dy: 4, anchor: "start" };
  }
  if (attends(node) && node.pitch > 150) {
    return { text: node.name, dx: 0, dy: -60, anchor: "middle" };
  }
  return {
    text: node.name,
    dx: 0,
    dy: -Math.min(14, Math.max(9, node.pitch / 3)),
    anchor: "middle",
  };
}
