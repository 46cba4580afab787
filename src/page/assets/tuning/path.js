// The way of each method along training: means over seeds by step, and every seed of the picked one.
const TUNING_PATH = { width: 560, height: 224, box: { left: 56, top: 10, width: 404, height: 172 } };

function tuningPath(place, t, view, which, pick) {
  const { root, node, caption } = figure(place, {
    title: "Along training",
    note: "means over seeds",
    ...TUNING_PATH,
    name: t.name + " path " + which,
  });
  const note = el("p", { class: "quiet" });
  node.append(note);
  const { box } = TUNING_PATH;
  const ways = t.rows.map((row) => ({ row, name: null, line: [] }));

  function draw() {
    const name = view[which],
      { unit, short, better } = TUNING_FIGURES[name];
    if (ways[0]?.name !== name) ways.forEach((way) => Object.assign(way, { name, line: tuningWay(way.row, name) }));
    const chosen = t.rows.find((row) => row.name === view.picked());
    const all = ways.flatMap((way) => way.line);
    root.replaceChildren();
    caption.firstChild.textContent = short(t) + " along training ";
    const long = d3.max(all, (p) => p.step) || 1;
    const [low, high] = all.length ? d3.extent(all, (p) => p.value) : [0, 1];
    const margin = 0.06 * (high - low || 1);
    const x = d3.scaleLinear([0, long], [box.left, box.left + box.width]);
    const y = d3.scaleLinear([low - margin, high + margin], [box.top + box.height, box.top]);
    axes(root, { x, y, xLabel: "step (updates)", yLabel: short(t), box, xFormat: steps });
    const line = d3
      .line()
      .x((p) => x(p.step))
      .y((p) => y(p.value));
    const drawn = [...ways].sort((a, b) => (a.row === chosen) - (b.row === chosen));
    for (const way of drawn) {
      if (!way.line.length) continue;
      const mine = way.row === chosen;
      if (mine) {
        for (const run of way.row.runs) {
          const one = (run.path || [])
            .filter((p) => Number.isFinite(p[name]))
            .map((p) => ({ step: p.step, value: p[name] }));
          root.append(svg("path", { class: "way one " + tuningFamily(way.row), d: line(one) }));
        }
      }
      const path = svg("path", { class: "way " + tuningFamily(way.row) + (mine ? " chosen" : ""), d: line(way.line) });
      const reach = svg("path", { class: "reach", d: line(way.line) });
      reach.addEventListener("mousemove", (event) =>
        showTip(
          event,
          way.row.name + "\n" + way.line.map((p) => "step " + steps(p.step) + ": " + number(p.value)).join("\n"),
        ),
      );
      reach.addEventListener("mouseleave", hideTip);
      reach.addEventListener("click", () => pick(way.row));
      root.append(path, reach);
    }
    for (const label of tuningEnds(drawn, y, box)) {
      root.append(
        svg(
          "text",
          { class: label.row === chosen ? "chosen" : "axis", x: box.left + box.width + 6, y: label.y + 4 },
          label.text,
        ),
      );
    }
    const looks = new Set(all.map((p) => p.step)).size;
    note.textContent =
      unit(t) +
      (better < 0 ? "; less is better" : "") +
      "." +
      (looks > 0 && looks <= 2
        ? " Measured before and after only; a smaller `look` in the grid's file shows what lies between."
        : "");
  }
  return { draw };
}

/// The mean over the seeds that were measured at a step.
function tuningWay(row, name) {
  const points = row.runs.flatMap((run) => (run.path || []).filter((p) => Number.isFinite(p[name])));
  const by = d3.rollup(
    points,
    (list) => d3.mean(list, (p) => p[name]),
    (p) => p.step,
  );
  return [...by].map(([step, value]) => ({ step, value })).sort((a, b) => a.step - b.step);
}

// Names at the ends of the lines, from the picked one on, as far as there is room.
function tuningEnds(drawn, y, box) {
  const ends = [];
  for (const way of [...drawn].reverse()) {
    if (!way.line.length) continue;
    const at = y(way.line[way.line.length - 1].value);
    if (ends.some((other) => Math.abs(other.y - at) < 12)) continue;
    const text = way.row.name.length > 15 ? way.row.name.slice(0, 14) + "\u2026" : way.row.name;
    ends.push({ row: way.row, y: Math.min(Math.max(at, box.top + 4), box.top + box.height - 2), text });
  }
  return ends;
}
