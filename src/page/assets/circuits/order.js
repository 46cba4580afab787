// What follows from scores alone: the order of edges, circuits of a size, shares.

const CIRCUIT_DEFAULT = 60;

export function circuitOrder(scores) {
  const count = scores.length,
    sizes = new Float64Array(count),
    list = new Int32Array(count);
  let scored = 0,
    total = 0,
    largest = 0;
  for (let e = 0; e < count; e++) {
    if (Number.isNaN(scores[e])) continue;
    sizes[e] = Math.abs(scores[e]);
    total += sizes[e];
    largest = Math.max(largest, sizes[e]);
    list[scored++] = e;
  }
  const order = list.subarray(0, scored).sort((a, b) => sizes[b] - sizes[a] || a - b);
  const rank = new Int32Array(count).fill(-1);
  order.forEach((e, i) => {
    rank[e] = i;
  });
  return { order, rank, total, largest };
}

/// How many edges are shown if nobody has chosen.
export function circuitSize(view) {
  return view.own ?? Math.min(CIRCUIT_DEFAULT, view.order.length);
}

/// The edges of the circuit with `n` edges, or of the one that comes with the scores (n = null), in
/// their order.
export function circuitEdges(view, n) {
  if (n == null && view.kept) return view.order.filter((e) => view.kept[e]);
  return view.order.subarray(0, n == null ? circuitSize(view) : Math.min(n, view.order.length));
}

/// "useful" for edges at a position below k, "spurious" for those at one from k on, "" where nobody
/// knows.
export function circuitKind(view, e) {
  if (view.k == null) return "";
  const position = view.graph.position[e];
  return position < 0 ? "" : position < view.k ? "useful" : "spurious";
}
export function circuitShare(view, e) {
  return view.total > 0 && view.rank[e] >= 0 ? Math.abs(view.scores[e]) / view.total : 0;
}
