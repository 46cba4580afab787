// All seeds of all arms as tiny charts of one scale: a column is a seed, a row an arm, so that what one seed
// did in each arm stands in one column. Too many for one line wrap into bands.
const SEED_CELL = { width: 92, height: 46, least: 76, most: 120, label: 132, gap: 6 };
const SEED_CURVES = {
  test_accuracy: "test accuracy",
  train_accuracy: "train accuracy",
  cluster_r2: "cluster R\u00b2",
  attention_relevant: "attention on the positions that count",
};

function seedGrid(place) {
  const has = (name) => runs.some((run) => run.evals.curves[name]);
  const curves = Object.keys(SEED_CURVES).filter(has);
  const select = el(
    "select",
    { "aria-label": "Curve of the small charts" },
    ...curves.map((name) => el("option", { value: name }, SEED_CURVES[name])),
  );
  select.value = curves.includes(state.seedCurve) ? state.seedCurve : curves[0];
  const longest = Math.max(1, ...runs.flatMap((run) => run.evals.step.slice(-1)));
  const grid = el("div", { class: "seed-grid", role: "group", "aria-label": "All seeds; arrow keys move" });
  byId(place).append(
    el("div", { class: "row" }, el("label", {}, "Curve ", select)),
    el(
      "p",
      { class: "quiet" },
      "Every chart: the curve from 0 to 1 (up; the thin line is " +
        number(data.threshold) +
        ") over steps 0 to " +
        steps(longest) +
        " (across; updates), dashed where a stage ends. \u2713 solid: it generalises, and the step at which test " +
        "accuracy first reached " +
        number(data.threshold) +
        "; \u2717 dashed frame: it does not, and its final test " +
        "accuracy. Click one, or press Enter, to choose its seed.",
    ),
    grid,
  );

  const order = [...keys].sort((a, b) => seedNumber(a) - seedNumber(b) || (a < b ? -1 : 1));
  const rows = arms.map((_, a) => order.map((key) => seedCell(a, key, longest)));
  const heads = order.map((key) => el("div", { class: "seed-head", "aria-hidden": "true" }, key.replace(/^seed /, "")));
  let columns = 0;

  // Bands of as many seeds as fit, each with its arms below one another.
  function arrange() {
    const fit = Math.max(1, Math.floor((grid.clientWidth - SEED_CELL.label) / (SEED_CELL.least + SEED_CELL.gap)));
    const next = Math.ceil(order.length / Math.ceil(order.length / fit));
    if (next === columns || grid.clientWidth === 0) return;
    columns = next;
    grid.style.gridTemplateColumns =
      SEED_CELL.label + "px repeat(" + columns + ", minmax(0, " + SEED_CELL.most + "px))";
    const focused = document.activeElement;
    const bands = Array.from({ length: Math.ceil(order.length / columns) }, (_, b) => {
      const slice = (list) => list.slice(b * columns, (b + 1) * columns);
      const pad = Array.from({ length: columns - slice(order).length }, () => el("div", {}));
      const lines = arms.map((_, a) => [
        seedLabel(a),
        ...slice(rows[a]).map((cell) => cell.node),
        ...pad.map((p) => p.cloneNode()),
      ]);
      return [el("div", { class: "seed-head first" }, "seed"), ...slice(heads), ...pad, ...lines.flat()];
    });
    grid.replaceChildren(...bands.flat());
    if (grid.contains(focused)) focused.focus();
  }
  function draw() {
    for (const cell of rows.flat()) cell.draw(select.value);
  }
  // One stop of the tab key for all; arrows go on from there.
  const at = { a: 0, i: 0 };
  function stopAt(a, i, focus) {
    const cell = rows[a]?.[i];
    if (!cell || !cell.run) return;
    rows[at.a][at.i].node.tabIndex = -1;
    Object.assign(at, { a, i });
    cell.node.tabIndex = 0;
    if (focus) cell.node.focus();
  }
  grid.addEventListener("keydown", (event) => {
    const { a, i } = at,
      last = order.length - 1;
    const to = {
      ArrowLeft: [a, i - 1],
      ArrowRight: [a, i + 1],
      Home: [a, 0],
      End: [a, last],
      ArrowUp: a > 0 ? [a - 1, i] : [arms.length - 1, i - columns],
      ArrowDown: a + 1 < arms.length ? [a + 1, i] : [0, i + columns],
    }[event.key];
    if (!to) return;
    event.preventDefault();
    stopAt(...to, true);
  });
  function mark() {
    const i = order.indexOf(state.key);
    rows.forEach((row) => row.forEach((cell, j) => cell.mark(j === i)));
    heads.forEach((head, j) => head.classList.toggle("chosen-seed", j === i));
    const a = rows.findIndex((row) => row[i]?.run);
    if (a >= 0 && !grid.contains(document.activeElement)) stopAt(a, i, false);
  }
  rows.forEach((row, a) => row.forEach((cell, i) => cell.node.addEventListener("focus", () => stopAt(a, i, false))));
  select.addEventListener("change", () => set("seedCurve", select.value));
  on("seedCurve", () => {
    if (curves.includes(state.seedCurve)) select.value = state.seedCurve;
    draw();
  });
  on("key", mark);
  draw();
  mark();
  arrange();
  new ResizeObserver(arrange).observe(grid);
}

function seedNumber(key) {
  const found = String(key).match(/\d+/);
  return found ? Number(found[0]) : Infinity;
}

/// What came of a run, in a word and a sentence.
function seedOutcome(run) {
  const final = run.test == null ? "" : run.test.toFixed(3).replace(/^0\./, ".");
  if (run.diverged) return { kind: "failed", word: "\u2717 diverged", said: "diverged" };
  if (run.success) {
    const at = run.solved ? steps(run.solved[1]) : final;
    return {
      kind: "solved",
      word: "\u2713 " + at,
      said: "generalises" + (run.solved ? " (first at step " + at + ")" : "") + ", final test accuracy " + final,
    };
  }
  if (run.test == null) return { kind: "failed", word: "\u2717 unfinished", said: "has no final test accuracy" };
  return { kind: "failed", word: "\u2717 " + final, said: "does not generalise, final test accuracy " + final };
}

function seedLabel(a) {
  const mine = arms[a].runs,
    good = mine.filter((run) => run.success).length;
  return el(
    "div",
    { class: "seed-label ink" + (a % 6) },
    el("div", {}, el("span", { class: "swatch arm" + (a % 6) }), arms[a].name),
    el("div", { class: "quiet" }, good + " of " + mine.length + " \u2713"),
    el("div", { class: "seed-scale", "aria-hidden": "true" }, el("span", {}, "1"), el("span", {}, "0")),
  );
}

function seedCell(a, key, longest) {
  const run = runs.find((run) => run.arm === a && run.key === key);
  if (!run) return { node: el("div", { class: "seed-none", title: "no such run" }), draw() {}, mark() {} };
  const { width, height } = SEED_CELL;
  const x = d3.scaleLinear([0, longest], [1, width - 1]),
    y = d3.scaleLinear([0, 1], [height - 2, 2]);
  const outcome = seedOutcome(run);
  const curve = svg("path", { class: "seed-curve ink" + (a % 6) });
  const limit = svg("line", { class: "zero", x1: 0, x2: width, y1: y(data.threshold), y2: y(data.threshold) });
  const ends = run.stages
    .slice(1)
    .map((stage) => svg("line", { class: "seed-switch", x1: x(stage.step), x2: x(stage.step), y1: 0, y2: height }));
  const picture = svg("svg", { viewBox: "0 0 " + width + " " + height, "aria-hidden": "true" }, limit, ...ends, curve);
  const said = arms[a].name + ", " + key + ": " + outcome.said;
  const node = el(
    "button",
    { type: "button", class: "seed-cell " + outcome.kind, "aria-label": said, tabindex: "-1" },
    picture,
    el("span", { class: "seed-word", "aria-hidden": "true" }, outcome.word),
  );
  node.addEventListener("click", () => set("key", key));
  node.addEventListener("mousemove", (event) =>
    showTip(
      event,
      said +
        run.stages
          .slice(1)
          .map((stage) => "\n" + stage.name + " from step " + steps(stage.step))
          .join(""),
    ),
  );
  node.addEventListener("mouseleave", hideTip);
  return {
    node,
    run,
    draw(name) {
      const values = run.evals.curves[name] || [],
        at = run.evals.step;
      const line = d3
        .line()
        .x((i) => x(at[i]).toFixed(1))
        .y((i) => y(values[i]).toFixed(1));
      curve.setAttribute("d", line(seedThinned(at, values, longest / width)) || "");
    },
    mark(chosen) {
      node.setAttribute("aria-pressed", String(chosen));
    },
  };
}

/// At most the first, the lowest and the highest of each pixel: a small chart has no room for more.
function seedThinned(at, values, pixel) {
  const there = [...at.keys()].filter((i) => values[i] != null),
    kept = [];
  for (let n = 0; n < there.length;) {
    const first = there[n];
    let low = first,
      high = first;
    for (; n < there.length && at[there[n]] < at[first] + pixel; n++) {
      if (values[there[n]] < values[low]) low = there[n];
      if (values[there[n]] > values[high]) high = there[n];
    }
    kept.push(...new Set([first, Math.min(low, high), Math.max(low, high)]));
  }
  return [...kept, ...there.slice(-1)];
}
