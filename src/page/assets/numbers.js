// Numbers as they are written, places in rising lists, and how sure a mean is.
export function number(x) {
  if (x == null) return "none";
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return x.toExponential(2);
  return size >= 100 ? String(Math.round(x)) : String(Number(x.toPrecision(3)));
}
export function percent(x) {
  return (100 * x).toFixed(x < 0.0995 ? 1 : 0) + " %";
}
export function steps(x) {
  return x.toLocaleString("en").replace(/,/g, "\u202f");
}

/// The last index with `list[i] <= x`, or 0.
export function atOrBefore(list, x) {
  let low = 0,
    high = list.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (list[middle] <= x) low = middle;
    else high = middle;
  }
  return low;
}
export function nearest(list, x) {
  const i = atOrBefore(list, x);
  return i + 1 < list.length && list[i + 1] - x < x - list[i] ? i + 1 : i;
}
/// For ticks: without the zeros that digits would add.
export function number2(x) {
  if (typeof x !== "number") return String(x);
  const size = Math.abs(x);
  return size !== 0 && (size < 1e-3 || size >= 1e5)
    ? x.toExponential(0)
    : String(Number(x.toPrecision(4)));
}

/// The 95 % interval of the mean of what `values` are a sample of, by Student's t; null of fewer
/// than three.
export function meanInterval(values) {
  const n = values.length;
  if (n < 3) return null;
  const mean = values.reduce((sum, x) => sum + x, 0) / n,
    squares = values.reduce((sum, x) => sum + (x - mean) ** 2, 0),
    half = tQuantile(n - 1) * Math.sqrt(squares / (n - 1) / n);
  return [mean - half, mean + half];
}

/// The 0.975 quantile of Student's t with so many degrees of freedom, at least 1, by bisection.
export function tQuantile(freedom) {
  let low = 0,
    high = 16;
  while (high - low > 1e-9) {
    const middle = (low + high) / 2;
    if (tWithin(middle, freedom) < 0.95) low = middle;
    else high = middle;
  }
  return high;
}

/// The chance that |t| is at most `t`: for whole degrees a finite sum.
function tWithin(t, freedom) {
  const angle = Math.atan(t / Math.sqrt(freedom)),
    [sin, cos] = [Math.sin(angle), Math.cos(angle)],
    odd = freedom % 2;
  let term = odd ? cos : 1,
    sum = 0;
  for (let i = 1 + odd; i < freedom; i += 2) {
    sum += term;
    term *= (cos * cos * i) / (i + 1);
  }
  return odd ? (2 / Math.PI) * (angle + sin * sum) : sin * sum;
}
