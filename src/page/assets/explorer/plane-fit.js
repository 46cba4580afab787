// The plane a cloud of points is shown in: its coordinates if there are two, else the first two
// principal components. Coordinates are taken from the origin, not from the mean, so that rays and
// arrows start at (0, 0); the mean is taken out only to find the directions.

import { addScaled, dotProduct } from "../model.js";

/// `rows` is [n, D]. `{u, v}` are orthonormal, `explained` their shares of the variance, `own` says
/// that they are the coordinates themselves.
export function fitPlane(rows, D) {
  if (D <= 2) {
    const axis = (k) => Float64Array.from({ length: D }, (_, i) => (i === k ? 1 : 0));
    return { D, u: axis(0), v: axis(1), own: true, explained: [1, 0] };
  }
  const spread = scatterMatrix(rows, D);
  // Subspace iteration with more directions than two: the second is found even if the third is
  // close.
  const count = Math.min(D, 8);
  const start = (k) =>
    Float64Array.from({ length: D }, (_, i) => Math.sin(1 + i * (k + 1) * 1.7 + k));
  let basis = Array.from({ length: count }, (_, k) => start(k));
  orthonormal(basis);
  const image = (vector) =>
    Float64Array.from(vector, (_, i) => dotProduct(spread, i * D, vector, 0, D));
  for (let round = 0; round < 32; round++) {
    basis = basis.map(image);
    orthonormal(basis);
  }
  const images = basis.map(image);
  const inner = basis.map((a) => images.map((b) => dotProduct(a, 0, b, 0, D)));
  const [first, second] = symmetricEigen(inner);
  const [u, v] = [first, second].map(({ vector }) => {
    const axis = new Float64Array(D);
    vector.forEach((much, k) => addScaled(axis, 0, basis[k], 0, much, D));
    // A component's sign means nothing; the largest entry is made positive so that it is always the
    // same.
    const top = axis.reduce((best, x) => (Math.abs(x) > Math.abs(best) ? x : best), 0);
    return axis.map((x) => x * (top < 0 ? -1 : 1));
  });
  let total = 0;
  for (let i = 0; i < D; i++) total += spread[i * D + i];
  return {
    D,
    u,
    v,
    own: false,
    explained: [first, second].map(({ value }) => Math.max(0, value) / (total || 1)),
  };
}

// X^T X of the rows less their mean.
function scatterMatrix(rows, D) {
  const mean = meanRow(rows, D),
    row = new Float64Array(D),
    to = new Float64Array(D * D);
  for (let at = 0; at < rows.length; at += D) {
    for (let i = 0; i < D; i++) row[i] = rows[at + i] - mean[i];
    for (let i = 0; i < D; i++) addScaled(to, i * D, row, 0, row[i], D);
  }
  return to;
}
function meanRow(rows, D) {
  const n = rows.length / D,
    mean = new Float64Array(D);
  for (let r = 0; r < n; r++) addScaled(mean, 0, rows, r * D, 1 / n, D);
  return mean;
}

// Gram and Schmidt, twice, in place; a direction that vanishes is replaced by an axis.
function orthonormal(basis) {
  basis.forEach((vector, k) => {
    const D = vector.length;
    for (let axis = -1; axis < D; axis++) {
      if (axis >= 0) (vector.fill(0), (vector[axis] = 1));
      const before = Math.sqrt(dotProduct(vector, 0, vector, 0, D));
      for (let twice = 0; twice < 2; twice++) {
        for (let j = 0; j < k; j++) {
          addScaled(vector, 0, basis[j], 0, -dotProduct(vector, 0, basis[j], 0, D), D);
        }
      }
      const size = Math.sqrt(dotProduct(vector, 0, vector, 0, D));
      if (!(size > 1e-10 * before)) continue;
      for (let i = 0; i < D; i++) vector[i] /= size;
      return;
    }
  });
}

// Jacobi's rotations; pairs by falling value.
function symmetricEigen(matrix) {
  const n = matrix.length,
    a = matrix.map((row) => [...row]);
  const vectors = a.map((_, i) => a.map((_, j) => (i === j ? 1 : 0)));
  for (let sweep = 0; sweep < 30; sweep++) {
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        if (Math.abs(a[p][q]) <= 1e-15 * Math.sqrt(Math.abs(a[p][p] * a[q][q]))) continue;
        const angle = 0.5 * Math.atan2(2 * a[p][q], a[p][p] - a[q][q]);
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        const turn = (x, y) => [c * x + s * y, c * y - s * x];
        for (let i = 0; i < n; i++) [a[i][p], a[i][q]] = turn(a[i][p], a[i][q]);
        for (let i = 0; i < n; i++) [a[p][i], a[q][i]] = turn(a[p][i], a[q][i]);
        for (const row of vectors) [row[p], row[q]] = turn(row[p], row[q]);
      }
    }
  }
  return a
    .map((row, i) => ({ value: row[i], vector: vectors.map((v) => v[i]) }))
    .sort((x, y) => y.value - x.value);
}

/// The coordinates of every row in the plane, [n, 2].
export function inPlane(rows, { D, u, v }) {
  const n = rows.length / D,
    xy = new Float64Array(2 * n);
  for (let r = 0; r < n; r++) {
    xy[2 * r] = dotProduct(rows, r * D, u, 0, D);
    xy[2 * r + 1] = dotProduct(rows, r * D, v, 0, D);
  }
  return xy;
}

/// The share of the rows' variance that lies in the plane.
export function shareInPlane(rows, plane) {
  const n = rows.length / plane.D,
    mean = meanRow(rows, plane.D);
  const square = (list) => dotProduct(list, 0, list, 0, list.length);
  const whole = square(rows) - n * square(mean),
    held = square(inPlane(rows, plane)) - n * square(inPlane(mean, plane));
  return whole > 0 ? Math.min(1, Math.max(0, held / whole)) : 1;
}

/// The mean of the rows, less what of it lies in the plane: where a picture of the plane cuts
/// space.
export function restOf(rows, plane) {
  const rest = meanRow(rows, plane.D);
  for (const axis of [plane.u, plane.v]) {
    addScaled(rest, 0, axis, 0, -dotProduct(rest, 0, axis, 0, plane.D), plane.D);
  }
  return rest;
}
