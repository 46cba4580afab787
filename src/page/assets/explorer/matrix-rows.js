// The rows of the attention matrix, the axes beside them and the colour scale.

/* global d3 */
import { viridis } from "../attention.js";
import { svg } from "../figure.js";
import { number } from "../numbers.js";
import { classColor } from "./palette.js";
import { sampleTokens } from "./panels.js";

export const MATRIX = { width: 280, height: 300 };
export const MATRIX_BOX = { left: 40, top: 8, width: 182, height: 252 };

/// Rows with their places: of each class its mean, then its sequences, or means of equal prefixes.
/// A mean is taller, and classes stand apart.
export function matrixRows(task, byPrefix) {
  const list = [];
  for (let c = 0; c < task.p; c++) {
    const mine = task.answer.flatMap((answer, i) => (answer === c ? [i] : []));
    if (!mine.length) continue;
    list.push({ c, mean: mine, high: 2.6 });
    const groups = byPrefix
      ? [...d3.group(mine, (i) => task.prefix[i]).values()]
      : mine.map((i) => [i]);
    for (const members of groups) {
      list.push({ c, mean: members, first: members[0], high: byPrefix ? 2 : 1 });
    }
    list.at(-1).gap = 0.8;
  }
  const unit = MATRIX_BOX.height / d3.sum(list, (row) => row.high + (row.gap || 0));
  let y = MATRIX_BOX.top;
  for (const row of list) {
    Object.assign(row, { y, height: row.high * unit });
    y += row.height + (row.gap || 0) * unit;
  }
  return list;
}

export function rowName(task, row, byPrefix) {
  if (row.first == null) return `class ${row.c}, mean of ${row.mean.length}`;
  const parts = sampleTokens(task, row.first).filter(Boolean);
  const what = byPrefix
    ? `prefix ${parts[0]}, mean of ${row.mean.length}`
    : `sample ${row.first}: ${parts.join(" | ")}`;
  return `${what}, sum ${task.sum[row.first]}, class ${row.c}`;
}

/// Positions below, classes beside the rows, the line behind those that count, the scale.
export function matrixAxes(task, rows, byPrefix, most) {
  const { left, top, width, height } = MATRIX_BOX,
    cell = width / task.length,
    low = top + height;
  const group = svg("g", { class: "axes" });
  const name = (text, place) =>
    group.append(svg("text", { class: "axis", "text-anchor": "middle", ...place }, text));
  const every = Math.ceil((task.length * 17) / width);
  for (let t = 0; t < task.length; t += every) {
    name(String(t), { x: left + (t + 0.5) * cell, y: low + 13 });
  }
  name("position", { x: left + width / 2, y: low + 29 });
  name(`class (rows: ${byPrefix ? "prefixes" : "sequences"} by sum)`, {
    transform: `translate(11,${top + height / 2}) rotate(-90)`,
  });
  group.append(...classMarks(task, rows));
  const x = left + task.k * cell;
  group.append(svg("line", { class: "after", x1: x, x2: x, y1: top - 5, y2: low + 5 }));
  group.append(scaleBar(task, most));
  return group;
}

function classMarks(task, rows) {
  const marks = [],
    { left } = MATRIX_BOX;
  let free = -Infinity;
  for (const [c, block] of d3.group(rows, (row) => row.c)) {
    const from = block[0].y,
      to = block.at(-1).y + block.at(-1).height,
      middle = (from + to) / 2;
    const fill = classColor(c, task.p);
    marks.push(svg("rect", { x: left - 6, y: from, width: 4, height: to - from, fill }));
    if (middle - free < 12) continue;
    free = middle;
    marks.push(svg("text", { x: left - 10, y: middle + 4, "text-anchor": "end" }, String(c)));
  }
  return marks;
}

function scaleBar(task, most) {
  const bar = svg("g", {}),
    { top, height } = MATRIX_BOX,
    x = MATRIX_BOX.left + MATRIX_BOX.width + 14,
    uniform = 1 / task.length,
    piece = height / 40;
  for (let i = 0; i < 40; i++) {
    const fill = heatColor(1 - (i + 0.5) / 40);
    bar.append(svg("rect", { x, y: top + i * piece, width: 11, height: piece + 0.5, fill }));
  }
  const marks = [
    [0, "0"],
    [most, number(most)],
  ];
  if (uniform / most > 0.06 && uniform / most < 0.94) marks.push([uniform, "1/" + task.length]);
  for (const [value, text] of marks) {
    const at = top + height * (1 - value / most);
    const y = Math.min(Math.max(at + 4, top + 9), top + height);
    bar.append(svg("line", { class: "tick", x1: x + 11, x2: x + 15, y1: at, y2: at }));
    bar.append(svg("text", { class: "axis", x: x + 17, y }, text));
  }
  const place = { x: x + 5, y: top + height + 29, "text-anchor": "middle" };
  bar.append(svg("text", { class: "axis", ...place }, "weight"));
  return bar;
}

/// Viridis, dark for little; the points are those of the map of attention over training.
const heatShades = [];
export function heatColor(share) {
  if (!heatShades.length) {
    const mix = d3.interpolateRgbBasis(viridis.map(([r, g, b]) => d3.rgb(r, g, b).formatHex()));
    for (let i = 0; i < 256; i++) heatShades.push(mix(i / 255));
  }
  return heatShades[Math.min(255, Math.max(0, Math.round(share * 255)))] ?? "transparent";
}
