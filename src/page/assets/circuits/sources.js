// Everything in the page that has a score for each edge, and one such list at one time as a "view".
//
// Three kinds: circuits through training (of the selected seed, in one arm), files of scores or circuits, and scores
// through tuning. All are listed with an id, which is what the address of the page holds.
const CIRCUIT_DRAWN = 600,
  CIRCUIT_DEFAULT = 60;

const circuitSources = [];
{
  const taken = new Set(["none", "previous", "stage", "at"]);
  const add = (source) => {
    // The address turns what looks like a number into one.
    let id = isFinite(source.id) ? "set" + source.id : source.id;
    for (let i = 2; taken.has(id); i++) id = source.id + "~" + i;
    taken.add(id);
    circuitSources.push({ ...source, id });
  };
  arms.forEach((arm, a) => {
    if (arm.runs.some((run) => run.circuits))
      add({
        id: "run" + a,
        kind: "run",
        arm: a,
        label: arm.name + ", through training",
        group: "Runs: circuits of the selected seed",
      });
  });
  (data.circuits ?? []).forEach((group, g) => {
    const many = data.circuits.length > 1 || !group.sets.length ? group.name + ": " : "";
    group.sets.forEach((set, s) =>
      add({
        id: String(set.id ?? g + "." + s),
        kind: "set",
        set,
        files: group,
        label: many + set.label,
        group: "Files: " + group.name,
      }),
    );
    (group.series ?? []).forEach((series, s) =>
      add({
        id: "series" + g + "." + s,
        kind: "series",
        series,
        files: group,
        label: many + series.label,
        group: "Through tuning: " + group.name,
      }),
    );
  });
}

function circuitSource(id) {
  return circuitSources.find((source) => source.id === String(id) || source.id === "set" + id) ?? null;
}

/// Names, time points and what else stands behind a source now; null if the selected seed has none.
function circuitBehind(source) {
  if (source.kind === "run") {
    const run = selected(source.arm);
    if (!run?.circuits?.steps.length) return null;
    return { run, names: run.circuits.names, steps: run.circuits.steps, label: run.armName + ", " + run.key };
  }
  if (source.kind === "series") {
    return { names: source.files.names, steps: source.series.steps, label: source.label };
  }
  return { names: source.files.names, steps: null, label: source.label };
}

/// The number of the time point that is shown: runs follow the page's time, tuning has its own.
function circuitTime(source, behind = circuitBehind(source)) {
  if (!behind?.steps) return 0;
  const step = source.kind === "run" ? state.step : state.circuit_step;
  return step == null ? behind.steps.length - 1 : atOrBefore(behind.steps, step);
}

const circuitViews = new Map();

/// The scores of a source at its time point `t`, with their order.
///
/// `order` has the scored edges by falling |score|, `rank[e]` counts from 0 (-1: none), `own` is the size of the
/// circuit that comes with it (null: none), `kept` its edges if they are not the first ones of the order.
function circuitView(source, t) {
  const behind = source && circuitBehind(source);
  if (!behind || t < 0) return null;
  const key = source.id + "|" + (behind.run?.key ?? "") + "|" + t;
  let view = circuitViews.get(key);
  if (!view) {
    view = circuitLook(source, behind, t);
    if (circuitViews.size >= 60) circuitViews.delete(circuitViews.keys().next().value);
  } else circuitViews.delete(key);
  circuitViews.set(key, view);
  return view;
}

function circuitLook(source, { run, names, steps: times, label }, t) {
  const count = names.length;
  const view = {
    source,
    run: run ?? null,
    names,
    graph: circuitGraph(names),
    t,
    step: times ? times[t] : (source.set?.step ?? null),
    label,
    own: null,
    kept: null,
    curve: null,
    unscored: false,
  };
  if (source.kind === "set") {
    const { set } = source;
    Object.assign(view, { kept: set.kept ?? null, curve: set.curve ?? null, unscored: !set.scores });
    // A circuit without scores: all its edges are worth the same.
    view.scores = set.scores ?? Float32Array.from({ length: count }, (_, e) => (set.kept?.[e] ? 1 : NaN));
    if (set.kept) view.own = set.kept.reduce((sum, x) => sum + x, 0);
  } else {
    view.scores = (source.series ?? run.circuits).scores.subarray(t * count, (t + 1) * count);
    if (run) {
      view.own = run.circuits.edges[t];
      view.stage = run.circuits.stage[t];
      view.k = run.stages[view.stage]?.k ?? run.k;
    }
  }
  Object.assign(view, circuitOrder(view.scores));
  view.when = view.step == null ? "" : "step " + steps(view.step);
  return view;
}

function circuitOrder(scores) {
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
function circuitSize(view) {
  return view.own ?? Math.min(CIRCUIT_DEFAULT, view.order.length);
}

/// The edges of the circuit with `n` edges, or of the one that comes with the scores (n = null), in their order.
function circuitEdges(view, n) {
  if (n == null && view.kept) return view.order.filter((e) => view.kept[e]);
  return view.order.subarray(0, n == null ? circuitSize(view) : Math.min(n, view.order.length));
}

/// "useful" for edges at a position below k, "spurious" for those at one from k on, "" where nobody knows.
function circuitKind(view, e) {
  if (view.k == null) return "";
  const position = view.graph.position[e];
  return position < 0 ? "" : position < view.k ? "useful" : "spurious";
}
function circuitShare(view, e) {
  return view.total > 0 && view.rank[e] >= 0 ? Math.abs(view.scores[e]) / view.total : 0;
}
