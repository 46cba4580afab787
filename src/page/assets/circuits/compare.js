// Two circuits side by side: what was gained, lost, kept; how alike their scores are.

import { circuitGraph } from "./graph.js";
import { circuitShare } from "./order.js";

/// For each edge of `names` its number in `others`, -1 if it is not there.
const circuitMaps = new WeakMap();
function circuitMap(names, others) {
  if (names === others) return null;
  const known = circuitMaps.get(names) ?? new WeakMap();
  circuitMaps.set(names, known);
  if (!known.has(others)) {
    const { index } = circuitGraph(others);
    known.set(
      others,
      Int32Array.from(names, (name) => index.get(name) ?? -1),
    );
  }
  return known.get(others);
}

/// Whether two lists of names are of one graph: at least half of the shorter one is in the other.
/// Only the first is parsed for it.
const circuitAlike = new WeakMap();
export function circuitShared(names, others) {
  if (names === others) return true;
  const known = circuitAlike.get(names) ?? new WeakMap();
  circuitAlike.set(names, known);
  if (!known.has(others)) {
    const { index } = circuitGraph(names),
      both = others.reduce((sum, name) => sum + (index.has(name) ? 1 : 0), 0);
    known.set(others, 2 * both >= Math.min(names.length, others.length));
  }
  return known.get(others);
}

/// `edges` of `view` against `otherEdges` of `other`. `status[e]` is "gained", "lost" or "kept" for
/// edges of either circuit (by the numbers of `view`), `grew` and `shrank` hold those kept whose
/// share of all |score| changed by more than a tenth; `beyond` counts edges of the other circuit
/// that this graph does not have.
export function circuitCompare(view, edges, other, otherEdges) {
  const map = circuitMap(view.names, other.names),
    back = circuitMap(other.names, view.names);
  const there = (e) => (map ? map[e] : e);
  const inOther = new Set(otherEdges),
    result = {
      view: other,
      status: new Map(),
      gained: 0,
      lost: 0,
      kept: 0,
      beyond: 0,
      grew: new Set(),
      shrank: new Set(),
      there,
      edges: otherEdges,
    };
  for (const e of edges) {
    const o = there(e);
    if (o >= 0 && inOther.has(o)) {
      result.status.set(e, "kept");
      result.kept++;
      if (view.unscored || other.unscored) continue;
      const [now, was] = [circuitShare(view, e), circuitShare(other, o)];
      if (now > 1.1 * was) result.grew.add(e);
      else if (was > 1.1 * now) result.shrank.add(e);
    } else {
      result.status.set(e, "gained");
      result.gained++;
    }
  }
  for (const o of otherEdges) {
    const e = back ? back[o] : o;
    if (e < 0) result.beyond++;
    else if (!result.status.has(e)) {
      result.status.set(e, "lost");
      result.lost++;
    }
  }
  const either = result.gained + result.lost + result.kept + result.beyond;
  result.jaccard = either ? result.kept / either : null;
  return result;
}

/// Spearman's correlation of |score| over the edges that both have a score for.
export function circuitRankCorrelation(view, other) {
  const map = circuitMap(view.names, other.names),
    back = circuitMap(other.names, view.names);
  const first = circuitRanks(view, (e) => other.rank[map ? map[e] : e] >= 0);
  const second = circuitRanks(other, (o) => view.rank[back ? back[o] : o] >= 0);
  const x = [],
    y = [];
  for (const e of view.order) {
    const o = map ? map[e] : e;
    if (first[e] >= 0 && o >= 0) {
      x.push(first[e]);
      y.push(second[o]);
    }
  }
  return circuitPearson(x, y);
}

/// Ranks by falling |score| of the edges that `has` accepts, equals share the mean of theirs; -1
/// for the others.
function circuitRanks(view, has) {
  const ranks = new Float64Array(view.scores.length).fill(-1);
  const list = view.order.filter(has);
  for (let first = 0, last; first < list.length; first = last) {
    const size = Math.abs(view.scores[list[first]]);
    for (
      last = first + 1;
      last < list.length && Math.abs(view.scores[list[last]]) === size;
      last++
    );
    for (let i = first; i < last; i++) ranks[list[i]] = (first + last - 1) / 2;
  }
  return ranks;
}

export function circuitPearson(x, y) {
  const n = x.length;
  let mx = 0,
    my = 0,
    xx = 0,
    yy = 0,
    xy = 0;
  for (let i = 0; i < n; i++) {
    mx += x[i] / n;
    my += y[i] / n;
  }
  // Sums of equal numbers are off by a rounding: they have no correlation all the same.
  if (x.every((v) => v === x[0]) || y.every((v) => v === y[0])) return null;
  for (let i = 0; i < n; i++) {
    const [a, b] = [x[i] - mx, y[i] - my];
    xx += a * a;
    yy += b * b;
    xy += a * b;
  }
  return xx > 0 && yy > 0 ? xy / Math.sqrt(xx * yy) : null;
}
/// Spearman's of plain numbers, equal ones sharing the mean of their ranks.
export function circuitSpearman(x, y) {
  const ranks = (list) => {
    const order = Int32Array.from(list, (_, i) => i).sort((a, b) => list[a] - list[b]);
    const result = new Float64Array(list.length);
    for (let first = 0, last; first < order.length; first = last) {
      for (
        last = first + 1;
        last < order.length && list[order[last]] === list[order[first]];
        last++
      );
      for (let i = first; i < last; i++) result[order[i]] = (first + last - 1) / 2;
    }
    return result;
  };
  return circuitPearson(ranks(x), ranks(y));
}
