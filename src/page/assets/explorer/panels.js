// What the explorer shows, picture by picture. `rows(view)` is what the plane is fitted on,
// `layers` the points on it, `layer` the kind of regions below them; see plane.js.

/* global d3 */
import { dotProduct } from "../model.js";
import { number, percent } from "../numbers.js";
import {
  assemblerRows,
  describeNeuron,
  embeddingRays,
  faintOutputs,
  halfPlanes,
  neuronMarks,
  queryArrow,
} from "./neurons.js";
import { cellMark, explorerPalette, markShape, sampleMark } from "./palette.js";
import { inPlane } from "./plane-fit.js";

function cells(id, title, rows, note, more) {
  const kind = { kind: "cell", count: (arm) => arm.V * arm.positions };
  const layer = { ...kind, rows, marks: cellMarks, describe: describeCell };
  return { id, title, rows, note, linked: true, origin: true, layers: [layer], ...more };
}

function samples(rows) {
  return {
    kind: "sample",
    count: (arm) => arm.most,
    rows,
    describe: describeSample,
    marks: ({ view }) => Array.from({ length: view.task.n }, (_, i) => sampleMark(view.task, i)),
    after: ({ view }, points) => points.flag((i) => view.best[i] !== view.task.answer[i]),
  };
}

function neurons(rows, shape) {
  return {
    kind: "neuron",
    count: (arm) => arm.lastView().weights.F,
    rows,
    describe: describeNeuron,
    ring: 6,
    marks: (panel) => neuronMarks(panel, shape),
    after: (panel, points) => points.dress(neuronMarks(panel, shape)),
  };
}

const receptors = (view) => view.weights.W1,
  embeddings = (view) => view.weights.E;

/// All pictures, in the order of the model.
export function explorerPanels() {
  return [...embeddingPanels(), ...attentionPanels(), ...mlpPanels(), ...outputPanels()];
}

/// Tokens and positions by themselves.
function embeddingPanels() {
  return [
    {
      id: "tokens",
      title: "Token embeddings E",
      rows: embeddings,
      origin: true,
      labels: (arm) => numbered(arm.V),
      note: "One point per token, which is also a class; grey ones are tokens the task does not use.",
      layers: [
        {
          kind: "token",
          count: (arm) => arm.V,
          rows: embeddings,
          describe: (panel, i) => "token " + i,
          marks: ({ arm, view }) =>
            Array.from({ length: arm.V }, (_, i) => ({
              ...cellMark(view.task, i, 0),
              d: markShape(i, 60),
            })),
        },
      ],
    },
    {
      id: "positions",
      title: "Position embeddings P",
      rows: (view) => view.weights.P,
      origin: true,
      labels: (arm) => numbered(arm.positions),
      note: "Filled: the first k positions, which count; hollow: the rest.",
      layers: [
        {
          kind: "position",
          count: (arm) => arm.positions,
          rows: (view) => view.weights.P,
          describe: ({ view }, i) =>
            "position " + i + (i < view.task.k ? " (counts)" : " (does not count)"),
          marks: ({ arm, view }) =>
            Array.from({ length: arm.positions }, (_, t) => {
              const { ink, paper } = explorerPalette();
              return {
                d: markShape(t < view.task.k ? 0 : 1, 46),
                fill: t < view.task.k ? ink : paper,
                stroke: ink,
              };
            }),
        },
      ],
    },
  ];
}

/// What attention sees, weighs and adds up.
function attentionPanels() {
  return [
    cells(
      "sums",
      "Embeddings E + P",
      (view) => view.tables.sum,
      "One point per token (colour) and position (filled circle: counts, hollow square: does not).",
    ),
    cells(
      "normed",
      "Normed embeddings z, with the query q",
      (view) => view.tables.normed,
      "z = (E + P) / root mean square. The arrow is q from the origin; attention goes where z points with it.",
      { extent: (view) => [view.weights.q], decorate: queryArrow, readout: describeQuery },
    ),
    {
      id: "attention",
      title: "Attention",
      matrix: true,
      note:
        "Rows: sequences by class, then sum, then prefix; the tall first row of each class is its mean. The line " +
        "ends the k positions that count.",
    },
    cells(
      "values",
      "Values W\u1d65 z",
      (view) => view.tables.value,
      "What a token at a position adds to \u03be, before attention weighs it.",
    ),
  ];
}

/// The sequence embedding and the neurons that read it and write to it.
function mlpPanels() {
  return [
    {
      id: "sequence",
      title: "Sequence embeddings \u03be, with decision regions",
      rows: (view) => view.xi,
      layer: "mlp",
      moves: true,
      layers: [samples((view) => view.xi)],
      readout: (panel) => describeNorms(panel) + " " + describeSlice(panel),
      note:
        "Background: the likeliest class of softmax(E (\u03be + MLP(norm \u03be))), stronger where surer; " +
        "lines where a class has 50, 90, 99 %.",
    },
    {
      id: "receptors",
      title: "Normed \u03be, with MLP receptors",
      rows: (view) => view.normed,
      origin: true,
      decorate: halfPlanes,
      layers: [neurons(receptors, d3.symbolAsterisk), samples((view) => view.normed)],
      readout: describeLines,
      note:
        "The plane of norm \u03be. Stars: rows w of W\u2081, larger if the neuron writes more, coloured as the " +
        "assemblers. Lines: w \u00b7 h + b = 0.",
    },
    {
      id: "assemblers",
      title: "MLP assemblers",
      rows: assemblerRows,
      origin: true,
      decorate: embeddingRays,
      layers: [neurons(assemblerRows, d3.symbolTimes)],
      note:
        "Columns of W\u2082, which neurons write; colour: the class whose logit they raise most. Rays: directions " +
        "of the classes' E.",
    },
    {
      id: "mlp",
      title: "MLP output",
      rows: (view) => view.mlp,
      origin: true,
      moves: true,
      layers: [samples((view) => view.mlp)],
      note: "What the MLP adds to each \u03be.",
    },
  ];
}

/// What the unembedding makes of it.
function outputPanels() {
  return [
    {
      id: "output",
      title: "Output o = \u03be + MLP, with output regions",
      rows: (view) => view.out,
      origin: true,
      layer: "output",
      extent: (view) => [view.mlp],
      decorate: faintOutputs,
      readout: describeSlice,
      layers: [samples((view) => view.out)],
      note: "Background: the likeliest class of softmax(E o), lines as above. Faint dots: the MLP output alone.",
    },
    {
      id: "simplex",
      title: "Class probabilities",
      simplex: true,
      layers: [samples(() => null)],
      note: "",
    },
  ];
}

function numbered(n) {
  return n > 64 ? [] : Array.from({ length: n }, (_, i) => String(i));
}

function cellMarks({ arm, view }) {
  return Array.from({ length: arm.V * arm.positions }, (_, row) => {
    const v = Math.floor(row / arm.positions),
      t = row % arm.positions;
    return { ...cellMark(view.task, v, t), hidden: t >= view.task.length };
  });
}
function describeCell({ arm, view }, row, short) {
  const v = Math.floor(row / arm.positions),
    t = row % arm.positions;
  const text =
    "token " + v + " at position " + t + (t < view.task.k ? " (counts)" : " (does not count)");
  return short
    ? text
    : text + "\nattention score q \u00b7 z / \u221ad: " + number(view.tables.score[row]);
}

export function sampleTokens(task, i) {
  const all = [...task.tokens.subarray(i * task.length, (i + 1) * task.length)];
  return [all.slice(0, task.k), all.slice(task.k)].map((part) => part.join(" "));
}
function describeSample({ view }, i, short) {
  const { task, best, chance, weights } = view;
  const answer = task.answer[i],
    tokens = sampleTokens(task, i).filter(Boolean).join(" | ");
  const text = "sample " + i + ": " + tokens + "\nsum " + task.sum[i] + ", class " + answer;
  if (short) return text;
  return (
    text +
    "\npredicted " +
    best[i] +
    ", p(" +
    answer +
    ") = " +
    number(chance[i * weights.V + answer])
  );
}

// Points lie off the picture's plane, so that one may be classed otherwise than what is behind it.
function describeSlice({ plane }) {
  return plane.own
    ? ""
    : "Regions: the slice through the mean of the other components; points lie off it.";
}
function describeNorms({ view }) {
  const sorted = [...view.norm].sort((a, b) => a - b),
    n = sorted.length;
  const middle = (sorted[(n - 1) >> 1] + sorted[n >> 1]) / 2;
  const [min, median, max] = [sorted[0], middle, sorted[n - 1]].map(number);
  return "\u2016\u03be\u2016: min " + min + ", median " + median + ", max " + max + ".";
}
function describeQuery({ view, plane }) {
  const { q } = view.weights,
    size = dotProduct(q, 0, q, 0, q.length),
    [x, y] = inPlane(q, plane);
  const share = percent(size ? (x * x + y * y) / size : 0);
  const norm = "\u2016q\u2016 = " + number(Math.sqrt(size));
  return norm + (plane.own ? "." : ", " + share + " of its square in the plane.");
}
function describeLines({ view, plane, options }) {
  const { F } = view.weights,
    count = Math.min(options.lines, F);
  return (
    "Lines of " +
    (count === F ? "all " : "the " + count + " strongest of ") +
    F +
    " neurons" +
    (plane.own ? "." : ", where the plane through the mean of the rest cuts them.")
  );
}
