// The pooled model with edges removed for real: the reader of a removed edge reads what it reads in
// the corrupted run.
//
//   input@t->a0.h0<k>@t    the attention score of position t
//   input@t->a0.h0<v>@t    the value of position t
//   a0.h0->logits          the sequence embedding xi that the unembedding sees
//   a0.h0->m0.nJ           the activation of neuron J, and so does
//   m0.nJ->logits          the same
//
// What a circuit is worth, M, is the mean over pairs of logit[answer] - logit[distractor]. Behind
// the sequence embedding M is a sum over neurons, so that one run for each choice of position edges
// (a "setting") serves all choices of the others: the whole curve of 2 L + 1 + 2 F circuits takes
// at most 2 L + 1 runs.

import { PORTS } from "../edge-name.js";
import {
  activationName,
  addScaled,
  dotProduct,
  pooledEmbed,
  pooledNeurons,
  pooledTables,
  pooledWeights,
} from "../model.js";
import { steps } from "../numbers.js";

/// The parts each edge plays: ["k", t], ["v", t], ["direct", 0], ["read", j] or ["write", j]; null
/// if another graph.
function patchedRoles(graph) {
  const roles = graph.names.map((_, e) => {
    const [from, to] = [graph.nodes[graph.from[e]], graph.nodes[graph.to[e]]];
    const port = PORTS[graph.port[e]];
    if (
      from.part === "input" &&
      from.position >= 0 &&
      to.kind === "head" &&
      (port === "k" || port === "v")
    ) {
      return [port, from.position];
    }
    if (from.kind === "head" && to.kind === "logits") return ["direct", 0];
    if (from.kind === "head" && to.kind === "neuron") return ["read", to.index];
    if (from.kind === "neuron" && to.kind === "logits") return ["write", from.index];
    return null;
  });
  return roles.includes(null) ? null : roles;
}

/// Why a view has no curve of its own runs; "" if it can have one.
export function patchedHindrance(view) {
  const { run } = view;
  if (!run) return "none came with these scores (`edgegrad evaluate --curve` makes one)";
  if (!run.weights) return "the page has no weights of this seed";
  if (!run.weights.steps.includes(view.step)) {
    return "the page has no weights of step " + steps(view.step);
  }
  if (!run.probe?.some((probe) => probe.stage === view.stage && probe.pairs.length)) {
    return "the page has no probe pairs of this stage";
  }
  if (!run.model || !activationName(run.model.activation)) return "the page cannot run this model";
  if (!patchedRoles(view.graph)) return "the page cannot run this graph";
  return "";
}

/// Everything that does not depend on the circuit, for the weights at the time of `view`.
export function patchedProbe(view) {
  const { run } = view,
    model = pooledWeights(run, run.weights.steps.indexOf(view.step));
  const { pairs } = run.probe.find((x) => x.stage === view.stage);
  const tokens = (side) => Int32Array.from(pairs.flatMap((pair) => pair[side]));
  const probe = {
    model,
    tables: pooledTables(model),
    roles: patchedRoles(view.graph),
    length: pairs[0].clean.length,
    clean: tokens("clean"),
    corrupted: tokens("corrupted"),
    pairs: pairs.map((pair) => patchedReadout(model, pair)),
  };
  const none = new Uint8Array(model.L),
    all = new Uint8Array(model.L).fill(1);
  probe.away = patchedSetting(probe, none, none);
  probe.home = patchedSetting(probe, all, all);
  probe.full = patchedMetric(probe, probe.home, 1, null);
  probe.empty = patchedMetric(probe, probe.away, 0, new Uint8Array(model.F));
  return probe;
}

/// What the pair's logit difference makes of the residual stream (`apart`, [D]), of each neuron
/// (`slopes`, [F]) and of the MLP's bias.
function patchedReadout({ D, F, E, W2, b2 }, { answer, distractor }) {
  const apart = Float64Array.from(
    { length: D },
    (_, d) => E[answer * D + d] - E[distractor * D + d],
  );
  const slopes = new Float64Array(F);
  for (let d = 0; d < D; d++) addScaled(slopes, 0, W2, d * F, apart[d], F);
  return { apart, slopes, bias: b2 ? dotProduct(apart, 0, b2, 0, D) : 0 };
}

/// Runs all pairs with the scores and values of the positions in `keepK`, `keepV` clean, the others
/// corrupted: `direct` is what xi adds to M by itself, `neurons[j]` what neuron J adds beyond its
/// corrupted activation.
export function patchedSetting(probe, keepK, keepV) {
  const { model, tables, pairs, length, clean, corrupted } = probe,
    { D, F } = model,
    n = pairs.length;
  const mixed = (keep) => clean.map((token, i) => (keep[i % length] ? token : corrupted[i]));
  const { xi } = pooledEmbed(model, tables, mixed(keepK), n, length, mixed(keepV));
  const { hidden } = pooledNeurons(model, xi, n);
  const before = probe.away?.hidden ?? hidden;
  const setting = { direct: 0, rest: 0, neurons: new Float64Array(F), hidden };
  pairs.forEach(({ apart, slopes, bias }, b) => {
    setting.direct += dotProduct(apart, 0, xi, b * D, D) / n;
    setting.rest += (bias + dotProduct(slopes, 0, before, b * F, F)) / n;
    for (let j = 0; j < F; j++) {
      setting.neurons[j] += (slopes[j] * (hidden[b * F + j] - before[b * F + j])) / n;
    }
  });
  return setting;
}

/// M of a setting with or without the direct edge, and with the neurons for which `neurons[j]` is 1
/// (null: all).
export function patchedMetric({ away }, setting, direct, neurons) {
  let metric = away.rest + (direct ? setting : away).direct;
  for (let j = 0; j < setting.neurons.length; j++) {
    if (!neurons || neurons[j]) metric += setting.neurons[j];
  }
  return metric;
}

/// The faithfulness of the first 0, 1, .. edges of `order`, all of them really run.
export function patchedCurve(probe, order) {
  const { L, F } = probe.model,
    range = probe.full - probe.empty;
  const keep = { k: new Uint8Array(L), v: new Uint8Array(L) },
    sides = new Uint8Array(F),
    neurons = new Uint8Array(F);
  const curve = new Float64Array(order.length + 1);
  let setting = probe.away,
    direct = 0,
    metric = probe.empty;
  order.forEach((e, i) => {
    const [role, at] = probe.roles[e];
    if (role === "k" || role === "v") {
      keep[role][at] = 1;
      setting = patchedSetting(probe, keep.k, keep.v);
      metric = patchedMetric(probe, setting, direct, neurons);
    } else if (role === "direct") {
      direct = 1;
      metric = patchedMetric(probe, setting, direct, neurons);
    } else if (++sides[at] === 2) {
      neurons[at] = 1;
      metric += setting.neurons[at];
    }
    curve[i + 1] = (metric - probe.empty) / range;
  });
  return curve;
}
