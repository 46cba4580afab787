// The model on a plane of sequence embeddings: g = rest + x u + y v with u, v orthonormal and
// `rest` orthogonal to both. Before the norm's division all is affine in x and y, and E W_2 is
// folded.

import { ACTIVATIONS, POOLED_EPS, addScaled, dotProduct } from "../model.js";

/// E W_2 as [V, F] (V filled up to fours with zeros), and E b_2.
export function foldOutput({ V, D, F, E, W2, b2 }) {
  const raise = new Float64Array(fours(V) * F),
    bias = new Float64Array(V);
  for (let v = 0; v < V; v++) {
    for (let i = 0; i < D; i++) {
      if (b2) bias[v] += E[v * D + i] * b2[i];
      addScaled(raise, v * F, W2, i * F, E[v * D + i], F);
    }
  }
  return { raise, bias };
}

// Of an activation, what is left beside `slope * max(0, x)`; it is nearly constant outside [-16,
// 16].
const TABLE_REACH = 16,
  TABLE_FINE = 128,
  TABLE_LAST = 2 * TABLE_REACH * TABLE_FINE - 1e-6;
const activationTables = {};
function activationTable(name) {
  return (activationTables[name] ??= (() => {
    const slope = name === "tanh" ? 0 : 1,
      act = ACTIVATIONS[name];
    const values = Float32Array.from({ length: 2 * TABLE_REACH * TABLE_FINE + 2 }, (_, i) => {
      const x = i / TABLE_FINE - TABLE_REACH;
      return act(x) - slope * Math.max(0, x);
    });
    return { slope, values };
  })());
}

/// Logits are `constant + x alongX + y alongY`, with the MLP's added if `folded` is given.
export function planeSlice(weights, plane, rest, folded) {
  const { V, D, F, E, W1, b1 } = weights;
  const products = (rows, n, vector) =>
    Float64Array.from({ length: n }, (_, r) => dotProduct(rows, r * D, vector, 0, D));
  const on = (rows, n) =>
    ["rest", "u", "v"].map((name) => products(rows, n, name === "rest" ? rest : plane[name]));
  const logits = on(E, V),
    ySquare = plane.v.some((x) => x) ? 1 : 0;
  const slice = {
    V,
    D,
    F: folded ? F : 0,
    logits,
    ySquare,
    restSquare: dotProduct(rest, 0, rest, 0, D),
  };
  if (folded) {
    logits[0] = logits[0].map((x, v) => x + folded.bias[v]);
    Object.assign(slice, {
      inner: on(W1, F),
      bias: b1 || new Float64Array(F),
      raise: folded.raise,
    });
    Object.assign(slice, activationTable(weights.activation));
  }
  return slice;
}

// The activation of one neuron along a row of the grid.
function rowOfNeuron(height, root, n, before, along, bias, slope, values) {
  for (let c = 0; c < n; c++) {
    const u = before * root[c] + bias;
    before += along;
    let t = (u + TABLE_REACH) * TABLE_FINE;
    t = t < 0 ? 0 : t > TABLE_LAST ? TABLE_LAST : t;
    const i = t | 0,
      left = values[i];
    height[c] = left + (t - i) * (values[i + 1] - left) + (u > 0 ? slope * u : 0);
  }
}

// Four tokens at once: each height is read once for them.
function addToFour(score, at, height, raise, from, F, n) {
  const a = raise[from],
    b = raise[from + F],
    c = raise[from + 2 * F],
    d = raise[from + 3 * F];
  for (let i = 0; i < n; i++) {
    const h = height[i],
      j = at + i;
    score[j] += a * h;
    score[j + n] += b * h;
    score[j + 2 * n] += c * h;
    score[j + 3 * n] += d * h;
  }
}
function fours(n) {
  return 4 * Math.ceil(n / 4);
}

/// Rows `from` to `to` of an n x n grid over `area` (first row at the top, cells by their middle):
/// the likeliest token and its probability, and in `all` (if given) every token's, [V][n n].
export function fillRegions(slice, area, n, from, to, best, share, all) {
  const { V, F, logits, inner, bias, raise } = slice;
  const dx = (area.x1 - area.x0) / n,
    dy = (area.y1 - area.y0) / n,
    left = area.x0 + dx / 2;
  const score = new Float64Array(fours(V) * n),
    root = new Float64Array(n),
    height = new Float64Array(n);
  for (let row = from; row < to; row++) {
    const y = area.y1 - (row + 0.5) * dy;
    for (let v = 0; v < V; v++) {
      const start = logits[0][v] + y * logits[2][v];
      for (let c = 0; c < n; c++) score[v * n + c] = start + (left + c * dx) * logits[1][v];
    }
    rowOfRoots(root, n, slice.restSquare + slice.ySquare * y * y, left, dx, slice.D);
    for (let j = 0; j < F; j++) {
      const start = inner[0][j] + y * inner[2][j] + inner[1][j] * left;
      rowOfNeuron(height, root, n, start, inner[1][j] * dx, bias[j], slice.slope, slice.values);
      for (let v = 0; v < V; v += 4) addToFour(score, v * n, height, raise, v * F + j, F, n);
    }
    rowOfChances(score, V, n, row * n, best, share, all);
  }
}

// One over the norm's divisor along a row.
function rowOfRoots(root, n, square, left, dx, D) {
  for (let c = 0; c < n; c++) {
    const x = left + c * dx;
    root[c] = 1 / (Math.sqrt((square + x * x) / D) + POOLED_EPS);
  }
}

function rowOfChances(score, V, n, start, best, share, all) {
  for (let c = 0; c < n; c++) {
    let top = 0,
      sum = 0;
    for (let v = 1; v < V; v++) if (score[v * n + c] > score[top * n + c]) top = v;
    const most = score[top * n + c];
    for (let v = 0; v < V; v++) sum += Math.exp(score[v * n + c] - most);
    best[start + c] = top;
    share[start + c] = 1 / sum;
    if (all) {
      for (let v = 0; v < V; v++) all[v][start + c] = Math.exp(score[v * n + c] - most) / sum;
    }
  }
}
