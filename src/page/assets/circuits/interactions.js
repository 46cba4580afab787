// Pairs of edges of the pooled model, removed for real.

import { patchedMetric, patchedSetting } from "./patched.js";

/// What removing edge `i` and any other edge together takes from M beyond what each takes alone: a
/// list of `{j, without_i, without_j, without_both, interaction, relation}`, the strongest first.
export function patchedInteractions(probe, i) {
  const { L, F } = probe.model,
    { roles, full } = probe;
  const without = (...edges) => {
    const keep = { k: new Uint8Array(L).fill(1), v: new Uint8Array(L).fill(1) },
      neurons = new Uint8Array(F).fill(1);
    const moved = [];
    let direct = 1;
    for (const e of edges) {
      const [role, at] = roles[e];
      if (role === "direct") direct = 0;
      else if (role === "k" || role === "v") {
        keep[role][at] = 0;
        moved.push(e);
      } else neurons[at] = 0;
    }
    const key = moved.sort((a, b) => a - b).join();
    probe.settings ??= new Map([["", probe.home]]);
    if (!probe.settings.has(key)) probe.settings.set(key, patchedSetting(probe, keep.k, keep.v));
    return full - patchedMetric(probe, probe.settings.get(key), direct, neurons);
  };
  const own = without(i);
  return roles
    .flatMap((_, j) => {
      if (j === i) return [];
      const [other, both] = [without(j), without(i, j)];
      const interaction = own + other - both;
      const largest = [own, other, both].reduce((a, b) => (Math.abs(b) >= Math.abs(a) ? b : a));
      const [part, one, two] = [interaction, own, other].map((x) =>
        largest === 0 ? 0 : x / largest,
      );
      const opposed = Math.min(one, two) < -0.1 && Math.max(one, two) > 0.1;
      const named = part > 0 ? "joint" : "redundant";
      const relation = Math.abs(part) <= 0.1 ? "additive" : opposed ? "opposed" : named;
      return [{ j, without_i: own, without_j: other, without_both: both, interaction, relation }];
    })
    .sort((a, b) => Math.abs(b.interaction) - Math.abs(a.interaction));
}
