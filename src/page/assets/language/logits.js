// What the model says: the logit difference at every position, and the largest logits where the pair asks.
function lookDifference(root, scene, columns, top, height) {
  const { look } = scene,
    { left, right } = LOOK_STRIP;
  const both = [...look.logit_diff.clean, ...look.logit_diff.corrupted].filter(Number.isFinite);
  const [low, high] = [Math.min(0, ...both), Math.max(0, ...both)];
  const y = d3.scaleLinear([low, high], [top + height, top]).nice(4);
  const end = columns[columns.length - 1].x + columns[columns.length - 1].width;
  const group = svg("g", {});
  for (const tick of y.ticks(4)) {
    group.append(
      svg("line", { class: tick === 0 ? "frame" : "zero", x1: left, x2: end, y1: y(tick), y2: y(tick) }),
      svg("text", { class: "axis", x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, number2(tick)),
    );
  }
  group.append(
    svg(
      "text",
      { class: "axis", "text-anchor": "middle", transform: "translate(11," + (top + height / 2) + ") rotate(-90)" },
      "logit difference",
    ),
    svg(
      "text",
      { class: "axis", "text-anchor": "middle", transform: "translate(24," + (top + height / 2) + ") rotate(-90)" },
      "(logits)",
    ),
  );
  const asked = columns[look.position];
  group.append(svg("rect", { class: "asked", x: asked.x + 1, y: top - 4, width: asked.width - 2, height: height + 8 }));
  for (const run of ["corrupted", "clean"]) {
    const line = d3
      .line()
      .defined(Number.isFinite)
      .x((_, t) => columns[t].middle)
      .y((x) => y(x));
    group.append(svg("path", { class: "difference " + run, d: line(look.logit_diff[run]) }));
    look.logit_diff[run].forEach((value, t) => {
      if (Number.isFinite(value))
        group.append(svg("circle", { class: "difference " + run, cx: columns[t].middle, cy: y(value), r: 3 }));
    });
  }
  columns.forEach((column, t) => {
    const reach = svg("rect", { class: "reach", x: column.x, y: top - 6, width: column.width, height: height + 12 });
    reach.addEventListener("mousemove", (event) =>
      showTip(
        event,
        `position ${t}${t === look.position ? " (asked)" : ""}\nclean ${number(look.logit_diff.clean[t])}` +
          `\ncorrupted ${number(look.logit_diff.corrupted[t])}`,
      ),
    );
    reach.addEventListener("mouseleave", hideTip);
    group.append(reach);
  });
  group.append(
    svg("text", { class: "difference-name clean", x: left + 6, y: top + height + 14 }, "\u25cf clean"),
    svg("text", { class: "difference-name corrupted", x: left + 60, y: top + height + 14 }, "\u25cb corrupted"),
  );
  root.append(group);
}

/// A line for each token: its logit clean (filled) and corrupted (hollow).
function lookTop(place, scene) {
  const { look } = scene,
    step = 20;
  const box = { left: 150, top: 22, width: 330, height: look.top.length * step };
  const holder = el("div", {});
  place.append(holder);
  const { root } = figure(holder, {
    title: "Largest logits at position " + look.position,
    note: "filled: clean, hollow: corrupted",
    width: 500,
    height: box.top + box.height + 40,
    name: look.name + " logits",
  });
  const all = look.top.flatMap((one) => [one.clean, one.corrupted]).filter(Number.isFinite);
  const x = d3.scaleLinear(all.length ? d3.extent(all) : [0, 1], [box.left, box.left + box.width]).nice();
  const y = d3.scaleLinear([0, look.top.length], [box.top, box.top + box.height]);
  const none = Object.assign((value) => y(value), { ticks: () => [], domain: y.domain });
  axes(root, { x, y: none, box, xLabel: "logit" });
  look.top.forEach((one, i) => {
    const at = y(i + 0.5);
    const role = look.answer.includes(one.token)
      ? " (answer)"
      : look.distractor.includes(one.token)
        ? " (distractor)"
        : "";
    const row = svg(
      "g",
      { class: "top-token" + (role ? " named" : "") },
      svg("rect", { class: "reach", x: 0, y: at - step / 2, width: 500, height: step }),
      svg("text", { x: box.left - 8, y: at + 4, "text-anchor": "end" }, lookShort(one.token) + role),
      svg("line", { class: "between", x1: x(one.clean), x2: x(one.corrupted), y1: at, y2: at }),
      svg("circle", { class: "difference corrupted", cx: x(one.corrupted), cy: at, r: 4.5 }),
      svg("circle", { class: "difference clean", cx: x(one.clean), cy: at, r: 4.5 }),
    );
    row.addEventListener("mousemove", (event) =>
      showTip(
        event,
        lookShown(one.token) + role + "\nclean " + number(one.clean) + "\ncorrupted " + number(one.corrupted),
      ),
    );
    row.addEventListener("mouseleave", hideTip);
    root.append(row);
  });
  table(holder, {
    columns: [
      { title: "token", value: (one) => lookShown(one.token) },
      { title: "clean (logit)", number: true, value: (one) => one.clean },
      { title: "corrupted (logit)", number: true, value: (one) => one.corrupted },
      { title: "clean \u2212 corrupted", number: true, value: (one) => one.clean - one.corrupted },
    ],
    rows: look.top,
    name: look.name + ", largest logits",
  });
}
