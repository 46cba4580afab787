// Names beside points, none over another: each takes the nearest free place around its point, the
// most crowded first, with a line to its point where it had to move away. What finds no place is
// left out.

/* global d3 */

const LABEL_HEIGHT = 13;
const LABEL_RINGS = [3, 9, 17, 27, 39, 53, 69, 87, 107, 130, 155, 185, 220, 260];

// Asked once: the page's style is computed anew for each question.
const labelRuler = document.createElement("canvas").getContext("2d");
const labelFont = getComputedStyle(document.body).fontFamily;
export function labelWidth(text, size = 11) {
  labelRuler.font = size + "px " + labelFont;
  return labelRuler.measureText(text).width;
}

/// `points`: `{x, y, r, text}` in pixels; `bars`: `{x1, y1, x2, y2}` better not covered; `box`:
/// where to stay. Returns for each point `{x, y, anchor, far}` (the text's baseline; `far`: draw a
/// line to it), or null.
export function placeLabels(points, bars, box) {
  const marks = points.map(({ x, y, r }) => ({
    ...{ left: x - r, right: x + r },
    ...{ top: y - r, bottom: y + r },
  }));
  const crowd = (p) => d3.sum(points, (q) => 1 / (15 + Math.hypot(p.x - q.x, p.y - q.y)));
  const order = [...points.keys()].sort((a, b) => crowd(points[b]) - crowd(points[a]));
  const placed = new Array(points.length).fill(null);
  const around = { marks, bars, box, taken: [], leaders: [] };
  for (const i of order) {
    const width = labelWidth(points[i].text);
    const best = bestLabel(points[i], i, width, around);
    if (!best) continue;
    const { left: x, bottom, near, leader } = best;
    around.taken.push(best);
    if (leader) around.leaders.push(leader);
    placed[i] = { x, y: bottom - 3, width, near, far: Boolean(leader) };
  }
  return placed;
}

/// The cheapest free place around point `i`, or null.
function bestLabel(p, i, width, around) {
  const { marks, box, taken } = around;
  let best = null,
    least = Infinity;
  for (const [ring, gap] of LABEL_RINGS.entries()) {
    if (least <= ring * 3) break;
    for (let k = 0; k < 16; k++) {
      const label = labelAt(p, width, gap, (k / 16) * 2 * Math.PI);
      if (label.left < box.left || label.right > box.left + box.width) continue;
      if (label.top < box.top || label.bottom > box.top + box.height) continue;
      const meets = (other) => labelsMeet(label, other);
      if (taken.some(meets) || marks.some(meets)) continue;
      const { near } = label;
      const leader = gap > 9 ? { x1: p.x, y1: p.y, x2: near.x, y2: near.y } : null;
      // To the right first, as one reads; then away from whiskers, and lines away from names and
      // marks.
      const cost = ring * 3 + (k ? 1 : 0) + labelCost(label, leader, i, around);
      if (cost < least) [least, best] = [cost, { ...label, leader }];
    }
  }
  return best;
}

/// What a label and its leader would cover.
function labelCost(label, leader, i, { marks, bars, taken, leaders }) {
  const count = (list, crosses) =>
    list.reduce((sum, other, j) => sum + (crosses(other, j) ? 1 : 0), 0);
  const covered =
    2 * count(bars, (bar) => labelCrossed(label, bar)) +
    6 * count(leaders, (other) => labelCrossed(label, other));
  if (!leader) return covered;
  return (
    covered +
    6 * count(taken, (other) => labelCrossed(other, leader)) +
    4 * count(leaders, (other) => linesCross(leader, other)) +
    2 * count(marks, (other, j) => j !== i && labelCrossed(other, leader))
  );
}

// The box of a text whose nearest side is `gap` away from the point, in the direction of `angle`.
function labelAt(p, width, gap, angle) {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const near = { x: p.x + (p.r + gap) * cos, y: p.y + (p.r + gap) * sin };
  const left = cos > 0.3 ? near.x : cos < -0.3 ? near.x - width : near.x - width / 2;
  const top = near.y - LABEL_HEIGHT / 2 + (sin * LABEL_HEIGHT) / 2;
  return { left, right: left + width, top, bottom: top + LABEL_HEIGHT, near };
}
function labelsMeet(a, b) {
  return a.left < b.right + 2 && b.left < a.right + 2 && a.top < b.bottom && b.top < a.bottom;
}
function labelCrossed(box, { x1, y1, x2, y2 }) {
  // A line is outside of a box if it is wholly beside it, or all corners lie on one side of it.
  if (Math.max(x1, x2) < box.left || Math.min(x1, x2) > box.right) return false;
  if (Math.max(y1, y2) < box.top || Math.min(y1, y2) > box.bottom) return false;
  const side = (x, y) => Math.sign((x2 - x1) * (y - y1) - (y2 - y1) * (x - x1));
  const sides = [
    side(box.left, box.top),
    side(box.right, box.top),
    side(box.left, box.bottom),
    side(box.right, box.bottom),
  ];
  return new Set(sides).size > 1;
}
function linesCross(a, b) {
  const side = (l, x, y) => (l.x2 - l.x1) * (y - l.y1) - (l.y2 - l.y1) * (x - l.x1);
  return (
    side(a, b.x1, b.y1) * side(a, b.x2, b.y2) < 0 && side(b, a.x1, a.y1) * side(b, a.x2, a.y2) < 0
  );
}
