// The pooled model with edges removed for real: the reader of a removed edge reads what it reads in the corrupted run.
//
//   input@t->a0.h0<k>@t    the attention score of position t
//   input@t->a0.h0<v>@t    the value of position t
//   a0.h0->logits          the sequence embedding xi that the unembedding sees
//   a0.h0->m0.nJ           the activation of neuron J, and so does
//   m0.nJ->logits          the same
//
// What a circuit is worth, M, is the mean over pairs of logit[answer] - logit[distractor]. Behind the sequence
// embedding M is a sum over neurons, so that one run for each choice of position edges (a "setting") serves all choices
// of the others: the whole curve of 2 L + 1 + 2 F circuits takes at most 2 L + 1 runs.

const PATCHED_ACTIVATIONS = {
  gelu: (x) => 0.5 * x * (1 + patchedErf(x * Math.SQRT1_2)),
  gelu_tanh: (x) => 0.5 * x * (1 + Math.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))),
  relu: (x) => Math.max(0, x),
  silu: (x) => x / (1 + Math.exp(-x)),
  tanh: Math.tanh,
};
PATCHED_ACTIVATIONS["gelu-tanh"] = PATCHED_ACTIVATIONS.gelu_new = PATCHED_ACTIVATIONS.gelu_tanh;

/// Abramowitz and Stegun 7.1.26, within 1.5e-7.
function patchedErf(x) {
  const size = Math.abs(x),
    t = 1 / (1 + 0.3275911 * size);
  const series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - series * Math.exp(-size * size));
}

/// The parts each edge plays: ["k", t], ["v", t], ["direct", 0], ["read", j] or ["write", j]; null if another graph.
function patchedRoles(graph) {
  const roles = graph.names.map((_, e) => {
    const [from, to] = [graph.nodes[graph.from[e]], graph.nodes[graph.to[e]]];
    const port = CIRCUIT_PORTS[graph.port[e]];
    if (from.part === "input" && from.position >= 0 && to.kind === "head" && (port === "k" || port === "v"))
      return [port, from.position];
    if (from.kind === "head" && to.kind === "logits") return ["direct", 0];
    if (from.kind === "head" && to.kind === "neuron") return ["read", to.index];
    if (from.kind === "neuron" && to.kind === "logits") return ["write", from.index];
    return null;
  });
  return roles.includes(null) ? null : roles;
}

/// Why a view has no curve of its own runs; "" if it can have one.
function patchedHindrance(view) {
  const { run } = view;
  if (!run) return "none came with these scores (`edgegrad evaluate --curve` makes one)";
  if (!run.weights) return "the page has no weights of this seed";
  if (!run.weights.steps.includes(view.step)) return "the page has no weights of step " + steps(view.step);
  if (!run.probe?.some((probe) => probe.stage === view.stage && probe.pairs.length))
    return "the page has no probe pairs of this stage";
  if (!run.model || !PATCHED_ACTIVATIONS[run.model.activation]) return "the page cannot run this model";
  if (!patchedRoles(view.graph)) return "the page cannot run this graph";
  return "";
}

/// Everything that does not depend on the circuit, for the weights at the time of `view`.
function patchedProbe(view) {
  const { run } = view,
    { tensors } = run.weights;
  const [L, D] = tensors["pos_emb.weight"].shape,
    [F] = tensors["mlp.fc1.weight"].shape;
  const frame = run.weights.steps.indexOf(view.step);
  const tensor = (name) => {
    const found = tensors[name];
    if (!found) return null;
    const size = found.shape.reduce((a, b) => a * b, 1);
    return found.data.subarray(frame * size, (frame + 1) * size);
  };
  const model = {
    L,
    D,
    F,
    act: PATCHED_ACTIVATIONS[run.model.activation],
    E: tensor("token_emb.weight"),
    P: tensor("pos_emb.weight"),
    q: tensor("softmax.query.weight"),
    Wv: tensor("softmax.value.weight"),
    W1: tensor("mlp.fc1.weight"),
    b1: tensor("mlp.fc1.bias"),
    W2: tensor("mlp.fc2.weight"),
    b2: tensor("mlp.fc2.bias"),
  };
  const probe = { model, roles: patchedRoles(view.graph) };
  const { pairs } = run.probe.find((x) => x.stage === view.stage);
  const places = new Map();
  const place = (token, t) => {
    const key = token * L + t;
    if (!places.has(key)) places.set(key, patchedPlace(model, token, t));
    return places.get(key);
  };
  probe.pairs = pairs.map((pair) => {
    const pick = (tokens) => Array.from(tokens, place);
    const apart = new Float64Array(D),
      slopes = new Float64Array(F);
    let bias = 0;
    for (let d = 0; d < D; d++) {
      apart[d] = model.E[pair.answer * D + d] - model.E[pair.distractor * D + d];
      if (model.b2) bias += apart[d] * model.b2[d];
      for (let j = 0; j < F; j++) slopes[j] += apart[d] * model.W2[d * F + j];
    }
    return { clean: pick(pair.clean), corrupted: pick(pair.corrupted), apart, slopes, bias };
  });
  const none = new Uint8Array(L),
    all = new Uint8Array(L).fill(1);
  probe.away = patchedSetting(probe, none, none);
  probe.home = patchedSetting(probe, all, all);
  probe.full = patchedMetric(probe, probe.home, 1, null);
  probe.empty = patchedMetric(probe, probe.away, 0, new Uint8Array(F));
  return probe;
}

/// The attention score of a token at a position, its value, and what the MLP's first matrix makes of that.
function patchedPlace({ D, F, E, P, q, Wv, W1 }, token, t) {
  const z = new Float64Array(D),
    value = new Float64Array(D),
    hidden = new Float64Array(F);
  let squares = 0,
    score = 0;
  for (let d = 0; d < D; d++) {
    z[d] = E[token * D + d] + P[t * D + d];
    squares += z[d] * z[d];
  }
  const norm = Math.sqrt(squares / D) + 1e-5;
  for (let d = 0; d < D; d++) score += q[d] * (z[d] /= norm);
  for (let i = 0; i < D; i++) {
    let sum = 0;
    for (let d = 0; d < D; d++) sum += Wv[i * D + d] * z[d];
    value[i] = sum;
  }
  for (let j = 0; j < F; j++) for (let d = 0; d < D; d++) hidden[j] += W1[j * D + d] * value[d];
  return { score: score / Math.sqrt(D), value, hidden };
}

/// Runs all pairs with the scores and values of the positions in `keepK`, `keepV` clean, the others corrupted:
/// `direct` is what xi adds to M by itself, `neurons[j]` what neuron J adds beyond its corrupted activation.
function patchedSetting(probe, keepK, keepV) {
  const { L, D, F, b1, act } = probe.model,
    { pairs, away } = probe;
  const setting = { direct: 0, rest: 0, neurons: new Float64Array(F), z: away ? null : [] };
  const weights = new Float64Array(L),
    xi = new Float64Array(D),
    h = new Float64Array(F);
  pairs.forEach((pair, b) => {
    let sum = 0,
      most = -Infinity,
      squares = 0,
      direct = 0;
    for (let t = 0; t < L; t++) most = Math.max(most, (weights[t] = (keepK[t] ? pair.clean : pair.corrupted)[t].score));
    for (let t = 0; t < L; t++) sum += weights[t] = Math.exp(weights[t] - most);
    xi.fill(0);
    h.fill(0);
    for (let t = 0; t < L; t++) {
      const { value, hidden } = (keepV[t] ? pair.clean : pair.corrupted)[t],
        a = weights[t] / sum;
      for (let d = 0; d < D; d++) xi[d] += a * value[d];
      for (let j = 0; j < F; j++) h[j] += a * hidden[j];
    }
    for (let d = 0; d < D; d++) {
      squares += xi[d] * xi[d];
      direct += xi[d] * pair.apart[d];
    }
    setting.direct += direct / pairs.length;
    const scale = 1 / (Math.sqrt(squares / D) + 1e-5),
      own = away ? null : new Float64Array(F);
    for (let j = 0; j < F; j++) {
      const z = act(h[j] * scale + (b1 ? b1[j] : 0));
      if (own) own[j] = z;
      else setting.neurons[j] += (pair.slopes[j] * (z - away.z[b][j])) / pairs.length;
    }
    if (!own) return;
    setting.z.push(own);
    let rest = pair.bias;
    for (let j = 0; j < F; j++) rest += pair.slopes[j] * own[j];
    setting.rest += rest / pairs.length;
  });
  return setting;
}

/// M of a setting with or without the direct edge, and with the neurons for which `neurons[j]` is 1 (null: all).
function patchedMetric({ away }, setting, direct, neurons) {
  let metric = away.rest + (direct ? setting : away).direct;
  for (let j = 0; j < setting.neurons.length; j++) if (!neurons || neurons[j]) metric += setting.neurons[j];
  return metric;
}

/// The faithfulness of the first 0, 1, .. edges of `order`, all of them really run.
function patchedCurve(probe, order) {
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
