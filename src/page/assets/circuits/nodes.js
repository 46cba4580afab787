// The nodes of a drawn circuit: dots, ports, names, the line between positions that count and those
// that do not.

import { PORTS, attends } from "../edge-name.js";
import { svg } from "../figure.js";
import { circuitLabels, circuitPortShift } from "./layout.js";

/// Marks for the groups `axis`, `lines`, `nodes` and `labels` of the picture.
export function circuitNodeMarks({ view }, layout, items, wide) {
  const border = borderMarks(view, layout);
  const marks = [...layout.nodes.values()].map((node) => nodeMarks(node, layout, items));
  const always = (node) => node.kind === "input" || (node.kind === "logits" && node.position < 0);
  const labels = circuitLabels(layout, always).map(({ text, x, y, anchor }) =>
    svg("text", { class: "circuit-label", x, y, "text-anchor": anchor }, text),
  );
  return {
    axis: [...titles(layout, wide), ...marks.flatMap((mark) => mark.ports), ...border.names],
    lines: border.lines,
    nodes: marks.flatMap((mark) => mark.dots),
    labels,
  };
}

/// The columns' titles.
function titles({ columns }, wide) {
  const crowded = wide / columns.length < 34,
    last = columns.length - 1;
  return columns.flatMap(({ title, x, kind, column }, i) => {
    if (crowded && kind === "mlp") return [];
    const anchor = i === 0 ? "start" : column > 1 && i === last ? "end" : "middle";
    const place = { x: x + (i === 0 ? -20 : i === last ? 24 : 0), y: 14, "text-anchor": anchor };
    return [svg("text", { class: "axis", ...place }, title)];
  });
}

/// The dots of a node, and the names of ports that stand far from it.
function nodeMarks(node, layout, items) {
  const name = node.weight > 0 ? "circuit-node" : "circuit-node off";
  if (!attends(node)) {
    const most = Math.min(node.kind === "neuron" ? 3 : 5, node.pitch / 2.4);
    const r = Math.max(node.weight > 0 ? 2.2 : 1, most);
    return { dots: [svg("circle", { class: name, cx: node.x, cy: node.y, r })], ports: [] };
  }
  const height = Math.max(3, Math.min(14, node.pitch * 0.6));
  const box = { x: node.x - 5, y: node.y - height / 2, width: 10, height, rx: 3 };
  const dots = [svg("rect", { class: name, ...box })],
    names = [];
  const read = items.filter((item) => item.edge.to === node.name).map((item) => item.edge.port);
  for (const port of new Set(read)) {
    if (!port) continue;
    const y = node.y + circuitPortShift(node, port, layout.ports),
      far = Math.abs(y - node.y) > 14;
    if (Math.abs(y - node.y) > height / 2) {
      const stem = { x1: node.x - 6, x2: node.x - 3, y1: y, y2: node.y };
      dots.push(svg("line", { class: "circuit-stem", ...stem }));
    }
    dots.push(svg("circle", { class: "circuit-port", cx: node.x - 6, cy: y, r: far ? 3 : 1.8 }));
    const place = { class: "circuit-label", x: node.x + 2, y: y + 4 };
    if (far) names.push(svg("text", place, PORTS[port]));
  }
  return { dots, ports: names };
}

/// The line between positions that count and those that do not.
function borderMarks({ k }, { nodes, left }) {
  const inputs = [...nodes.values()].filter((node) => node.kind === "input" && node.position >= 0);
  const above = inputs.findLast((node) => node.position < k),
    below = inputs.find((node) => node.position >= k);
  if (k == null || !above || !below) return { lines: [], names: [] };
  const y = (above.y + below.y) / 2;
  return {
    lines: [svg("line", { class: "circuit-border", x1: 2, x2: left + 30, y1: y, y2: y })],
    names: [
      svg("text", { class: "axis", x: 2, y: y - 5 }, "count"),
      svg("text", { class: "axis", x: 2, y: y + 14 }, "do not"),
    ],
  };
}
