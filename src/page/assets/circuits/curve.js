// What circuits of growing size are worth: from the file, or from the model run in the page.

import { patchedCurve, patchedHindrance, patchedProbe } from "./patched.js";

const circuitRuns = new WeakMap();

/// The patched runs of a view, made when they are first asked for; null if the page cannot run its
/// model.
export function circuitRun(view) {
  if (!circuitRuns.has(view)) {
    let result = null;
    if (!patchedHindrance(view)) {
      const probe = patchedProbe(view);
      result = {
        probe,
        curve: probe.full === probe.empty ? null : patchedCurve(probe, view.order),
      };
    }
    circuitRuns.set(view, result);
  }
  return circuitRuns.get(view);
}

/// The faithfulness curve of a view as `{n: [], f: [], run: bool}`, or null.
export function circuitCurveOf(view) {
  if (view.curve) return { n: view.curve.edges, f: view.curve.faithfulness, run: false };
  const curve = circuitRun(view)?.curve;
  return curve ? { n: curve.map((_, i) => i), f: curve, run: true } : null;
}
/// The faithfulness of `n` edges, if it is known for just that number.
export function circuitFaithfulness(view, n) {
  const curve = circuitCurveOf(view);
  const i = curve ? curve.n.indexOf(n) : -1;
  return i < 0 ? null : curve.f[i];
}
