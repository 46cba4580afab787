// Colours and shapes of the explorer: a class has a colour and a shape, a sum a shade of the
// colour. Colours are worked out here (not by the style sheet) for canvases and for pictures that
// are saved.

/* global d3 */
import { color } from "../theme.js";

let explorerColors = null;
export function explorerPalette() {
  if (!explorerColors) {
    const named = ["paper", "ink", "quiet", ...Array.from({ length: 8 }, (_, c) => "class" + c)];
    explorerColors = Object.fromEntries(named.map((name) => [name, color(name)]));
  }
  return explorerColors;
}
export function forgetPalette() {
  explorerColors = null;
}

/// Classes beyond the eight named colours go round the hues, neighbours alike: they are cyclic.
export function classColor(c, p) {
  const palette = explorerPalette();
  if (c >= p) return palette.quiet;
  return p <= 8 ? palette["class" + c] : d3.hcl((360 * c) / p, 55, 58).formatHex();
}
/// Small sums towards the paper (less far on dark paper, where pale is hard to see), large ones
/// towards the ink.
function sumColor(c, p, rank) {
  const { paper, ink } = explorerPalette(),
    own = classColor(c, p),
    far = d3.lab(paper).l < 50 ? 0.4 : 0.65;
  if (rank < 0.5) return d3.interpolateLab(own, paper)(far * (1 - 2 * rank));
  return d3.interpolateLab(own, ink)(1.1 * (rank - 0.5));
}

const shapeCache = new Map();
export function markShape(kind, size) {
  const name = kind + ":" + size;
  if (!shapeCache.has(name)) {
    const {
      symbolCircle,
      symbolSquare,
      symbolTriangle,
      symbolDiamond,
      symbolCross,
      symbolStar,
      symbolWye,
    } = d3;
    const types = [
      symbolCircle,
      symbolSquare,
      symbolTriangle,
      symbolDiamond,
      symbolCross,
      symbolStar,
      symbolWye,
    ];
    shapeCache.set(name, d3.symbol(types[kind % types.length], size)());
  }
  return shapeCache.get(name);
}

export function strokeShape(type, size) {
  const name = type === d3.symbolTimes ? "x" + size : "*" + size;
  if (!shapeCache.has(name)) shapeCache.set(name, d3.symbol(type, size)());
  return shapeCache.get(name);
}

/// What samples, the rows of the tables (token and position) and tokens look like. The outline of a
/// sample is the style sheet's: it tells what is predicted wrongly.
export function sampleMark(task, i) {
  const c = task.answer[i];
  return { d: markShape(c, 44), fill: sumColor(c, task.p, task.rank[i]) };
}
export function cellMark(task, token, position, size = 26) {
  const own = classColor(token, task.p),
    counts = position < task.k;
  return {
    d: markShape(counts ? 0 : 1, size),
    fill: counts ? own : explorerPalette().paper,
    stroke: own,
  };
}
