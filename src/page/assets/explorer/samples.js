// The sequences the explorer shows: a few prefixes of every class, several suffixes for each. They
// depend on the task alone, so that arms and steps are compared on the same ones.

// A small generator of its own (mulberry32): the same sequences in every browser.
function sampleRandom(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/// About 60 sequences of the task {p, k, length}, by class, then sum, then prefix. `tokens` is [n,
/// length]; the arrays have one entry per sequence, `rank` where its sum is among its class's (0 to
/// 1).
export function makeSamples({ p, k, length }) {
  const random = sampleRandom(1 + 1000003 * p + 1009 * k + length);
  const prefixes = [];
  const perClass = Math.max(1, Math.ceil(15 / p)),
    classes = Math.min(p, 60);
  for (let c = 0; c < classes; c++) {
    const y = classes === p ? c : Math.floor((c * p) / classes);
    prefixes.push(...somePrefixes(y, perClass, p, k, random));
  }
  const wanted = Math.max(1, Math.round(60 / prefixes.length));
  const rows = [];
  for (const [id, prefix] of prefixes
    .sort((a, b) => prefixOrder(a, p) - prefixOrder(b, p))
    .entries()) {
    for (const suffix of someSuffixes(Math.min(wanted, p ** (length - k)), p, length - k, random)) {
      rows.push({ prefix: id, tokens: [...prefix, ...suffix], sum: tokenSum(prefix) });
    }
  }
  const n = rows.length,
    most = Math.max(1, Math.floor((k * (p - 1)) / p));
  return {
    p,
    k,
    length,
    n,
    tokens: Int32Array.from(rows.flatMap((row) => row.tokens)),
    sum: rows.map((row) => row.sum),
    prefix: rows.map((row) => row.prefix),
    answer: rows.map((row) => row.sum % p),
    rank: rows.map((row) => Math.min(1, Math.floor(row.sum / p) / most)),
  };
}
function tokenSum(tokens) {
  return tokens.reduce((sum, x) => sum + x, 0);
}
function prefixOrder(prefix, p) {
  const sum = tokenSum(prefix);
  return (sum % p) * 1e6 + sum;
}

// Prefixes of class y, over its sums in turn: extreme sums are rare among random sequences and say
// most.
function somePrefixes(y, count, p, k, random) {
  const sums = [];
  for (let sum = y; sum <= k * (p - 1); sum += p) sums.push(sum);
  const found = new Map(),
    first = sums.length > count ? Math.floor(random() * sums.length) : 0;
  for (let attempt = 0; found.size < count && attempt < 12 * count; attempt++) {
    const prefix = withSum(sums[(first + attempt) % sums.length], p, k, random);
    found.set(prefix.join(), prefix);
  }
  return [...found.values()];
}

// Random tokens, moved one by one until they sum to what is asked.
function withSum(sum, p, k, random) {
  const prefix = Array.from({ length: k }, () => Math.floor(random() * p));
  for (let now = tokenSum(prefix); now !== sum;) {
    const i = Math.floor(random() * k),
      step = Math.sign(sum - now);
    if (prefix[i] + step < 0 || prefix[i] + step >= p) continue;
    prefix[i] += step;
    now += step;
  }
  return prefix;
}
function someSuffixes(count, p, length, random) {
  const found = new Map();
  for (let attempt = 0; found.size < count && attempt < 50 * count; attempt++) {
    const suffix = Array.from({ length }, () => Math.floor(random() * p));
    found.set(suffix.join(), suffix);
  }
  return [...found.values()];
}
