// What of a circuit is under the pointer: a node, else the nearest edge.

import { circuitCurvePoint } from "./layout.js";

const NODE_REACH = 7,
  EDGE_REACH = 9;

/// `{node, item}`, of which at most one is there.
export function circuitUnder({ root, layout, items }, event) {
  const rect = root.getBoundingClientRect(),
    scale = root.viewBox.baseVal.width / rect.width;
  const point = [(event.clientX - rect.left) * scale, (event.clientY - rect.top) * scale];
  const node = nodeAt(layout.nodes.values(), point);
  return { node, item: node ? null : edgeAt(items, point) };
}

function nodeAt(nodes, [x, y]) {
  let best = null,
    distance = NODE_REACH;
  for (const node of nodes) {
    const d = Math.hypot(node.x - x, node.y - y);
    if (d < distance) [best, distance] = [node, d];
  }
  return best;
}

function edgeAt(items, point) {
  let best = null,
    distance = EDGE_REACH;
  for (const item of items) {
    const [start, , , , , , end] = item.curve;
    if (point[0] < start - EDGE_REACH || point[0] > end + EDGE_REACH) continue;
    const d = curveDistance(item.curve, point) - item.width / 2;
    if (d < distance) [best, distance] = [item, d];
  }
  return best;
}

/// From a point to a curve, taken as 24 straight pieces.
function curveDistance(curve, [x, y]) {
  let least = Infinity,
    [px, py] = curve;
  for (let i = 1; i <= 24; i++) {
    const [qx, qy] = circuitCurvePoint(curve, i / 24);
    const length = (qx - px) ** 2 + (qy - py) ** 2;
    const along = (x - px) * (qx - px) + (y - py) * (qy - py);
    const t = Math.max(0, Math.min(1, along / (length || 1)));
    least = Math.min(least, Math.hypot(px + t * (qx - px) - x, py + t * (qy - py) - y));
    [px, py] = [qx, qy];
  }
  return least;
}
