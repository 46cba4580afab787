// The pooled model's forward pass, as the trainer computes it: functions of arrays, no page.
export const POOLED_EPS = 1e-5;

// The error function: a table of 256 places per unit, and Taylor's terms to the fourth from the
// nearest of them, which is right to 1e-14.
const ERF_FINE = 256,
  ERF_REACH = 6;
const [erfValue, erfSlope] = [0, 0].map(() => new Float64Array(ERF_FINE * ERF_REACH + 1));
for (let i = 0; i < erfValue.length; i++) {
  const x = i / ERF_FINE;
  // All terms of this series are positive, so that nothing cancels.
  let term = x,
    sum = x;
  for (let n = 1; term > 1e-18 * sum; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  erfSlope[i] = (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x);
  erfValue[i] = erfSlope[i] * sum;
}
/// The error function of `z`.
export function erf(z) {
  const size = Math.abs(z);
  if (!(size < ERF_REACH)) return size ? Math.sign(z) : z;
  const i = Math.round(size * ERF_FINE),
    x = i / ERF_FINE,
    h = size - x;
  const terms = 1 + h * (-x + h * ((2 * x * x - 1) / 3 + (h * x * (3 - 2 * x * x)) / 6));
  const value = erfValue[i] + erfSlope[i] * h * terms;
  return z < 0 ? -value : value;
}

export const ACTIVATIONS = {
  gelu: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  gelu_tanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))),
  relu: (x) => Math.max(0, x),
  silu: (x) => x / (1 + Math.exp(-x)),
  tanh: Math.tanh,
};
/// The name of ACTIVATIONS that a model's own name of its activation means; null if there is none.
export function activationName(name) {
  const plain = String(name ?? "gelu").replace(/-/g, "_");
  const known =
    { gelu_new: "gelu_tanh", gelu_pytorch_tanh: "gelu_tanh", swish: "silu" }[plain] ?? plain;
  return Object.hasOwn(ACTIVATIONS, known) ? known : null;
}

/// The weights of one frame, as doubles throughout: loops that see one kind of array run faster.
export function pooledWeights(run, frame) {
  const { tensors } = run.weights;
  const at = (name) => {
    const tensor = tensors[name];
    if (!tensor) return null;
    const size = tensor.shape.reduce((a, b) => a * b, 1);
    return new Float64Array(tensor.data.subarray(frame * size, (frame + 1) * size));
  };
  const [V, D] = tensors["token_emb.weight"].shape;
  const activation = activationName(run.model?.activation);
  if (!activation) throw new Error("unknown activation " + run.model.activation);
  return {
    V,
    D,
    L: tensors["pos_emb.weight"].shape[0],
    F: tensors["mlp.fc1.weight"].shape[0],
    E: at("token_emb.weight"),
    P: at("pos_emb.weight"),
    q: at("softmax.query.weight"),
    Wv: at("softmax.value.weight"),
    W1: at("mlp.fc1.weight"),
    b1: at("mlp.fc1.bias"),
    W2: at("mlp.fc2.weight"),
    b2: at("mlp.fc2.bias"),
    activation,
  };
}

// Small loops by themselves: engines compile these well, and not one long function of many loops.
export function dotProduct(a, atA, b, atB, n) {
  let total = 0;
  for (let i = 0; i < n; i++) total += a[atA + i] * b[atB + i];
  return total;
}
export function addScaled(to, at, from, start, much, n) {
  for (let i = 0; i < n; i++) to[at + i] += much * from[start + i];
}

/// `to[i..i+n] = norm(from[i..i+n])`, and what it was divided by.
function rmsNorm(from, to, at, n) {
  const root = Math.sqrt(dotProduct(from, at, from, at, n) / n) + POOLED_EPS;
  for (let i = at; i < at + n; i++) to[i] = from[i] / root;
  return root;
}

/// What attention sees depends on the token v and the position t alone: row v L + t of each table.
export function pooledTables({ V, L, D, E, P, q, Wv }) {
  const sum = new Float64Array(V * L * D),
    normed = new Float64Array(V * L * D);
  const value = new Float64Array(V * L * D),
    score = new Float64Array(V * L);
  for (let row = 0; row < V * L; row++) {
    const v = Math.floor(row / L),
      t = row % L,
      at = row * D;
    for (let i = 0; i < D; i++) sum[at + i] = E[v * D + i] + P[t * D + i];
    rmsNorm(sum, normed, at, D);
    score[row] = dotProduct(q, 0, normed, at, D) / Math.sqrt(D);
    for (let i = 0; i < D; i++) value[at + i] = dotProduct(Wv, i * D, normed, at, D);
  }
  return { sum, normed, value, score };
}

/// Attention for `n` sequences of `length` tokens, one after the other in `tokens`: `attention` is
/// [n, length], `xi` [n, D] the sequence embeddings, `norm` [n] their lengths. `values` are the
/// tokens whose values are added up where they are not those that are scored.
export function pooledEmbed({ L, D }, tables, tokens, n, length, values = tokens) {
  const attention = new Float64Array(n * length),
    xi = new Float64Array(n * D),
    norm = new Float64Array(n);
  for (let s = 0; s < n; s++) {
    const a = attention.subarray(s * length, (s + 1) * length),
      d = s * D;
    for (let t = 0; t < length; t++) a[t] = tables.score[tokens[s * length + t] * L + t];
    softmaxInto(a, a, 0, length);
    for (let t = 0; t < length; t++) {
      addScaled(xi, d, tables.value, (values[s * length + t] * L + t) * D, a[t], D);
    }
    norm[s] = Math.sqrt(dotProduct(xi, d, xi, d, D));
  }
  return { attention, xi, norm };
}

/// The neurons of the MLP for `n` sequence embeddings: `normed` [n, D] is what they read, `hidden`
/// [n, F] what they are activated to.
export function pooledNeurons({ D, F, W1, b1, activation }, xi, n) {
  const act = ACTIVATIONS[activation];
  const normed = new Float64Array(n * D),
    hidden = new Float64Array(n * F);
  for (let s = 0; s < n; s++) {
    rmsNorm(xi, normed, s * D, D);
    for (let j = 0; j < F; j++) {
      hidden[s * F + j] = act((b1 ? b1[j] : 0) + dotProduct(W1, j * D, normed, s * D, D));
    }
  }
  return { normed, hidden };
}

/// What the model says of `n` sequences: `mlp` and `out` are [n, D], `logits` and `chance` [n, V],
/// `best` [n].
function pooledLogits({ V, D, F, E, W2, b2 }, xi, hidden, n) {
  const [mlp, out] = [0, 0].map(() => new Float64Array(n * D));
  const [logits, chance] = [0, 0].map(() => new Float64Array(n * V));
  const best = new Uint16Array(n);
  for (let s = 0; s < n; s++) {
    const d = s * D;
    for (let i = 0; i < D; i++) {
      mlp[d + i] = (b2 ? b2[i] : 0) + dotProduct(W2, i * F, hidden, s * F, F);
      out[d + i] = xi[d + i] + mlp[d + i];
    }
    for (let v = 0; v < V; v++) {
      logits[s * V + v] = dotProduct(E, v * D, out, d, D);
      if (logits[s * V + v] > logits[s * V + best[s]]) best[s] = v;
    }
    softmaxInto(logits, chance, s * V, V);
  }
  return { mlp, out, logits, chance, best };
}

/// The whole pass for `n` sequences of `length` tokens.
export function pooledForward(weights, tables, tokens, n, length) {
  const embedded = pooledEmbed(weights, tables, tokens, n, length);
  const neurons = pooledNeurons(weights, embedded.xi, n);
  return { ...embedded, ...neurons, ...pooledLogits(weights, embedded.xi, neurons.hidden, n) };
}

function softmaxInto(from, to, at, n) {
  let most = -Infinity,
    sum = 0;
  for (let i = at; i < at + n; i++) most = Math.max(most, from[i]);
  for (let i = at; i < at + n; i++) sum += to[i] = Math.exp(from[i] - most);
  for (let i = at; i < at + n; i++) to[i] /= sum;
}
