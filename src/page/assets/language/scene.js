// A pair and what of it is chosen.

/* global d3 */
import { parseEdge } from "../edge-name.js";
import { on, set, state } from "../state.js";

export const LOOK_MODES = {
  clean: "clean",
  corrupted: "corrupted",
  difference: "clean \u2212 corrupted",
};

/// What a pair is and what of it is chosen. `change` names are `head`, `mode`, `query`, `edge`,
/// `edges`.
export function lookScene(look, prefix) {
  const length = look.tokens.clean.length,
    { layers, heads } = look;
  const listeners = {};
  const scene = {
    look,
    prefix,
    length,
    hovered: null,
    edges: [...look.edges]
      .sort((a, b) => Math.abs(b.score) - Math.abs(a.score))
      .map(({ name, score }) => ({ ...parseEdge(name), score })),
    on(what, listener) {
      (listeners[what] ??= []).push(listener);
    },
    tell(what) {
      for (const listener of listeners[what] ?? []) listener();
    },
    choose(what, value) {
      set(prefix + what, value);
    },
    differs: (t) => look.tokens.clean[t] !== look.tokens.corrupted[t],
    get mode() {
      const chosen = state[prefix + "mode"];
      return Object.hasOwn(LOOK_MODES, chosen ?? "") ? chosen : "clean";
    },
    get head() {
      const found = /^a(\d+)\.h(\d+)$/.exec(state[prefix + "head"] ?? "");
      const [layer, head] = found ? [Number(found[1]), Number(found[2])] : scene.busiest;
      return layer < layers && head < heads ? { layer, head } : { layer: 0, head: 0 };
    },
    /// The position that asks: the one pointed at, else the one chosen, else where the pair asks.
    get query() {
      const chosen = state[prefix + "query"];
      return scene.hovered ?? (chosen >= 0 && chosen < length ? Math.floor(chosen) : look.position);
    },
    get edge() {
      return scene.edges.find((edge) => edge.name === state[prefix + "edge"]) ?? null;
    },
    get shown() {
      const chosen = state[prefix + "edges"];
      return Math.min(chosen >= 0 ? Math.floor(chosen) : 40, scene.edges.length);
    },
    hover(t) {
      if (scene.hovered === t) return;
      scene.hovered = t;
      scene.tell("query");
    },
    weight: (layer, head, query, key, mode = scene.mode) =>
      weightOf(look.attention, ((layer * heads + head) * length + query) * length + key, mode),
  };
  scene.busiest = lookBusiest(scene);
  for (const what of ["head", "mode", "query", "edge", "edges"]) {
    on(prefix + what, () => scene.tell(what));
  }
  on("theme", () => scene.tell("theme"));
  return scene;
}

/// The weight of a key for a query, 0 in a file without patterns; clean minus corrupted is what the
/// corruption changed.
function weightOf(patterns, at, mode) {
  if (!patterns) return 0;
  const { clean, corrupted } = patterns;
  if (mode === "difference") return clean[at] - corrupted[at];
  return (mode === "clean" ? clean : corrupted)[at];
}

// The head whose edges have the largest scores together is a good first one to look at.
function lookBusiest(scene) {
  const sums = d3.rollup(
    scene.edges.flatMap((edge) =>
      [edge.from, edge.to]
        .filter((node) => node.kind === "head")
        .map((node) => ({ node, score: Math.abs(edge.score) })),
    ),
    (list) => d3.sum(list, (x) => x.score),
    (x) => x.node.layer + "," + x.node.index,
  );
  const most = d3.greatest([...sums], ([, sum]) => sum);
  return most ? most[0].split(",").map(Number) : [0, 0];
}
