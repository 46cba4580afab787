// Numbers as they are written, and places in rising lists.
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
