// How many edges are shown, beside what they are worth: the slider and the faithfulness curve.

const circuitRuns = new WeakMap();

/// The patched runs of a view, made when they are first asked for; null if the page cannot run its model.
function circuitRun(view) {
  if (!circuitRuns.has(view)) {
    let result = null;
    if (!patchedHindrance(view)) {
      const probe = patchedProbe(view);
      result = { probe, curve: probe.full === probe.empty ? null : patchedCurve(probe, view.order) };
    }
    circuitRuns.set(view, result);
  }
  return circuitRuns.get(view);
}

/// The faithfulness curve of a view as `{n: [], f: [], run: bool}`, or null.
function circuitCurveOf(view) {
  if (view.curve) return { n: view.curve.edges, f: view.curve.faithfulness, run: false };
  const curve = circuitRun(view)?.curve;
  return curve ? { n: curve.map((_, i) => i), f: curve, run: true } : null;
}
/// The faithfulness of `n` edges, if it is known for just that number.
function circuitFaithfulness(view, n) {
  const curve = circuitCurveOf(view);
  const i = curve ? curve.n.indexOf(n) : -1;
  return i < 0 ? null : curve.f[i];
}

function circuitThreshold(parent) {
  const slider = el("input", {
    type: "range",
    min: 0,
    max: 1,
    step: 1,
    value: 0,
    id: "circuit-shown",
    "aria-label": "Edges shown",
  });
  const exact = el("input", { type: "number", min: 1, step: 1, "aria-label": "Number of edges shown" });
  const own = el("button", { type: "button" }, "95 % circuit");
  const of = el("span", { class: "quiet" });
  parent.append(
    el("div", { class: "circuit-slider" }, el("label", { for: "circuit-shown" }, "Edges"), slider, exact, of, own),
  );
  const place = el("div", {}),
    why = el("p", { class: "quiet", hidden: true });
  parent.append(place, why);
  let sizes = [1],
    view = null,
    n = 1,
    drawn = null,
    chart = null;
  const show = (value) => set("shown", Math.max(1, Math.min(view.order.length, Math.round(value))));
  slider.addEventListener("input", () => show(sizes[Number(slider.value)]));
  exact.addEventListener("change", () => {
    if (Number(exact.value) >= 1) show(Number(exact.value));
    else update(view, n);
  });
  own.addEventListener("click", () => set("shown", null));

  // Every number up to ten, then steps of about a twelfth.
  function stops(count) {
    const list = [];
    for (let x = 1; x < count; x = Math.max(x + 1, Math.round(x * 1.08))) list.push(x);
    return [...list, count];
  }

  function update(nextView, nextN) {
    [view, n] = [nextView, nextN];
    const count = Math.max(1, view.order.length);
    if (sizes[sizes.length - 1] !== count) sizes = stops(count);
    slider.max = sizes.length - 1;
    slider.value = nearest(sizes, n);
    slider.setAttribute("aria-valuetext", n + " of " + count + " edges");
    exact.max = count;
    exact.value = n;
    of.textContent = "of " + steps(count);
    own.textContent = view.kept ? "Its circuit" : view.run && view.own != null ? "95 % circuit" : "Default";
    own.disabled = circuitAsked() == null;
    if (drawn === view) chart?.move(n, circuitFaithfulness(view, n));
  }

  // Made a moment after the picture: it may have to run the model.
  function settle(others) {
    const curve = circuitCurveOf(view);
    drawn = view;
    const lines = others.flatMap(({ other, name, text }) => {
      const its = circuitCurveOf(other);
      return its ? [{ x: its.n, y: its.f, name, text }] : [];
    });
    if (curve)
      lines.push({ x: curve.n, y: curve.f, name: "main", text: view.label + (view.when ? ", " + view.when : "") });
    place.replaceChildren();
    chart = null;
    if (!lines.length && !curve) {
      why.textContent =
        "No faithfulness curve: " +
        (circuitRun(view) ? "the model and its corrupted run are worth the same" : patchedHindrance(view)) +
        ".";
      why.hidden = false;
      return;
    }
    chart = circuitChart(place, {
      title: "Faithfulness",
      name: "faithfulness",
      height: 200,
      lines,
      logX: true,
      dots: true,
      note: !curve
        ? "of other scores"
        : curve.run
          ? "each size run in this page, other edges corrupted"
          : "as `edgegrad evaluate` measured it",
      domain: [1, Math.max(2, view.order.length, ...lines.map((line) => line.x[line.x.length - 1]))],
      xLabel: "edges kept, by falling |score| (log)",
      yLabel: "faithfulness",
      levels: [0.95, 0, 1],
      now: n,
      nowY: circuitFaithfulness(view, n),
      pick: (x) => show(curve && !curve.run ? curve.n[nearest(curve.n, x)] : x),
      tell: (x) => {
        const i = curve ? nearest(Array.from(curve.n), x) : -1;
        return curve ? steps(curve.n[i]) + " edges\nfaithfulness " + number(curve.f[i]) : Math.round(x) + " edges";
      },
    });
    if (lines.length > 1 || !curve) place.append(circuitKey(lines));
    // Large values of either sign make the curve hard to read; say what they mean.
    const strange = curve && Array.from(curve.f).some((f) => f < -0.5 || f > 1.5);
    why.textContent = strange
      ? "Below 0 a circuit is worth less than the corrupted run, above 1 more than the model."
      : "";
    if (!curve) why.textContent = "No curve of these scores: " + patchedHindrance(view) + ".";
    why.hidden = !why.textContent;
  }
  return { update, settle };
}
