// One edge: its score through training and tuning, by every method, its exact value, its partners.

/// `members` are the edges of `view` that the chosen name stands for (several while it is folded).
function circuitDetail(parent) {
  const box = el("div", {
    class: "circuit-detail",
    role: "region",
    "aria-label": "The chosen edge",
    "aria-live": "off",
  });
  parent.append(box);
  return function update(scene) {
    const { view, focus } = scene;
    box.replaceChildren();
    if (!focus) {
      box.append(
        el(
          "p",
          { class: "quiet" },
          "Choose an edge in the picture or the table to see its score through time and by method, and its partners.",
        ),
      );
      return;
    }
    const members = circuitMembers(view, focus, scene.unfold);
    const close = el("button", { type: "button" }, "Close");
    close.addEventListener("click", () => set("edge", null));
    box.append(el("div", { class: "bar" }, el("h4", {}, focus), close));
    if (!members.length) {
      box.append(el("p", { class: "quiet" }, "This graph has no edge of this name."));
      return;
    }
    box.append(el("p", { class: "circuit-facts" }, circuitFacts(view, members)));
    const charts = el("div", {}),
      grid = el("div", { class: "circuit-sides" }, charts);
    box.append(grid);
    circuitScoreThroughTime(charts, view, members, focus);
    circuitByMethod(charts, view, members, focus);
    circuitPartners(grid, view, members);
  };
}

function circuitMembers(view, name, unfold) {
  const e = view.graph.index.get(name);
  if (e !== undefined) return [e];
  return view.names.flatMap((_, i) => (circuitFoldedName(view.graph, i, unfold) === name ? [i] : []));
}
function circuitSum(scores, members, offset = 0) {
  let sum = 0,
    some = false;
  for (const e of members) {
    const v = scores[offset + e];
    if (!Number.isNaN(v)) {
      sum += v;
      some = true;
    }
  }
  return some ? sum : null;
}

function circuitFacts(view, members) {
  const parts = [],
    [e] = members,
    sum = circuitSum(view.scores, members);
  if (members.length > 1) parts.push("folded: " + members.length + " edges, whose scores add up to " + number(sum));
  else if (view.unscored) parts.push(view.kept?.[e] ? "in the circuit" : "not in the circuit");
  else if (view.rank[e] < 0) parts.push("no score");
  else
    parts.push(
      "score " +
        number(sum) +
        ", rank " +
        (view.rank[e] + 1) +
        " of " +
        view.order.length +
        ", " +
        percent(circuitShare(view, e)) +
        " of all |score|",
    );
  const kind = members.length === 1 ? circuitKind(view, e) : "";
  if (kind) parts.push(kind + ": its position " + (kind === "useful" ? "counts" : "does not count"));
  if (view.run) parts.push("exact: the edge was removed for real");
  const exact = view.source.files?.sets.find((set) => set.method === "exact" && set.scores);
  if (exact && exact !== view.source.set) {
    const value = circuitSum(exact.scores, members);
    parts.push("exact value " + (value == null ? "none" : number(value)) + " (" + exact.label + ")");
  }
  return parts.join("; ") + ".";
}

function circuitScoreThroughTime(parent, view, members, focus) {
  const names = members.map((e) => view.names[e]),
    lines = [],
    trends = [];
  const add = (steps, list, scores, name, text) => {
    const { index } = circuitGraph(list),
      own = names.map((x) => index.get(x)).filter((x) => x !== undefined);
    if (!own.length) return;
    lines.push({ x: steps, y: steps.map((_, t) => circuitSum(scores, own, t * list.length)), name, text });
  };
  if (view.run) {
    arms.forEach((_, a) => {
      const run = selected(a);
      if (run?.circuits?.steps.length)
        add(run.circuits.steps, run.circuits.names, run.circuits.scores, "ink" + (a % 6), run.armName);
    });
  } else {
    (view.source.files.series ?? []).forEach((series, s) => {
      add(series.steps, view.names, series.scores, "group" + (s % 8), series.label);
      const [e] = members,
        { trend } = series;
      if (members.length === 1 && trend?.slope[e] != null) {
        trends.push(
          series.label +
            ": trend " +
            number(trend.slope[e]) +
            " a step, p = " +
            number(trend.p[e]) +
            (trend.q?.[e] == null ? "" : ", q = " + number(trend.q[e])) +
            ".",
        );
      }
    });
  }
  if (!lines.length) return;
  const time = view.run ? "step" : "circuit_step",
    all = [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
  const switched = view.run
    ? [
        ...new Set(
          arms.flatMap(
            (_, a) =>
              selected(a)
                ?.stages.slice(1)
                .map((stage) => stage.step) ?? [],
          ),
        ),
      ]
    : [];
  circuitChart(parent, {
    title: "Score through " + (view.run ? "training" : "tuning"),
    name: "score-" + focus,
    lines,
    height: 180,
    marks: switched,
    xLabel: "step (updates)",
    yLabel: "score (metric)",
    now: view.source.kind === "set" ? null : view.step,
    pick: (x) => set(time, all[nearest(all, x)]),
    tell: (x) =>
      lines
        .map((line) => {
          const i = nearest(line.x, x);
          return line.text + ", step " + steps(line.x[i]) + ": " + number(line.y[i]);
        })
        .join("\n"),
  });
  parent.append(circuitKey(lines), ...trends.map((text) => el("p", { class: "quiet" }, text)));
}

function circuitByMethod(parent, view, members, focus) {
  const values = [];
  if (view.source.files) {
    for (const source of circuitSources) {
      if (source.files !== view.source.files || source.kind !== "set" || !source.set.scores) continue;
      const its = circuitView(source, 0);
      values.push({
        text: source.set.label + (source.set.method === "exact" && source.set.label !== "exact" ? " (exact)" : ""),
        value: circuitSum(its.scores, members),
        rank: members.length === 1 ? its.rank[members[0]] : -1,
        now: source === view.source,
      });
    }
  } else {
    for (const source of circuitSources) {
      if (source.kind !== "run") continue;
      const its = circuitView(source, circuitTime(source));
      if (!its) continue;
      const own = members.map((e) => its.graph.index.get(view.names[e])).filter((e) => e !== undefined);
      if (own.length)
        values.push({
          text: arms[source.arm].name + ", " + its.when,
          value: circuitSum(its.scores, own),
          rank: own.length === 1 ? its.rank[own[0]] : -1,
          now: source === view.source,
        });
    }
  }
  if (values.length < 2) return;
  const { cell, width } = circuitCell(parent, 400),
    height = 24 + 20 * values.length,
    left = 172,
    wide = width - left - 130;
  const { root } = figure(cell, {
    title: view.run ? "In each arm" : "By method",
    width,
    height,
    name: "methods-" + focus,
  });
  const sizes = values.map((v) => v.value ?? 0),
    x = d3.scaleLinear(
      [Math.min(0, ...sizes), Math.max(0, ...sizes, Math.min(0, ...sizes) + 1e-12)],
      [left, left + wide],
    );
  values.forEach(({ text, value, rank, now }, i) => {
    const y = 20 * i + 4,
      cut = text.length > 22 ? text.slice(0, 21) + "\u2026" : text;
    root.append(
      svg(
        "text",
        { class: now ? "circuit-label bold" : "circuit-label", x: left - 6, y: y + 12, "text-anchor": "end" },
        cut,
        svg("title", {}, text),
      ),
    );
    if (value != null)
      root.append(
        svg("rect", {
          class: "circuit-bar " + (value < 0 ? "negative" : "positive"),
          x: Math.min(x(0), x(value)),
          y: y + 2,
          width: Math.max(0.5, Math.abs(x(value) - x(0))),
          height: 13,
        }),
      );
    root.append(
      svg(
        "text",
        { class: "circuit-label", x: left + wide + 8, y: y + 12 },
        value == null ? "no score" : number(value) + (rank >= 0 ? "  (rank " + (rank + 1) + ")" : ""),
      ),
    );
  });
  root.append(
    svg("line", { class: "circuit-zero", x1: x(0), x2: x(0), y1: 2, y2: height - 20 }),
    svg("text", { class: "axis", x: left + wide / 2, y: height - 6, "text-anchor": "middle" }, "score (metric)"),
  );
}
