// Small charts of the circuit explorer: lines over steps or over numbers of edges.

/// A place for a drawing, and its width in pixels, so that letters keep their size.
function circuitCell(parent, usual) {
  const cell = el("div", {});
  parent.append(cell);
  return { cell, width: cell.clientWidth ? Math.round(Math.max(260, Math.min(640, cell.clientWidth))) : usual };
}

/// `lines`: `{x, y, name, text}` (`name` a class; missing numbers break a line). `pick(x)` is called with a place on
/// the x axis that was clicked, `tell(x)` gives the text for one that is pointed at.
function circuitChart(
  parent,
  {
    title,
    note,
    name,
    height = 190,
    lines,
    xLabel,
    yLabel,
    logX,
    domain,
    now,
    nowY,
    marks = [],
    levels = [],
    pick,
    tell,
    dots,
  },
) {
  const { cell, width } = circuitCell(parent, 400),
    drawing = figure(cell, { title, note, width, height, name });
  const { root } = drawing,
    box = { left: 54, top: 8, width: width - 76, height: height - 46 };
  const xs = lines.flatMap((line) => Array.from(line.x)).filter((x) => !logX || x >= 1);
  const ys = lines.flatMap((line) => Array.from(line.y)).filter((y) => y != null && !Number.isNaN(y));
  const [x0, x1] = domain ?? (xs.length ? [Math.min(...xs), Math.max(...xs)] : [0, 1]);
  const low = Math.min(...levels, ...ys, 0),
    high = Math.max(...levels, ...ys, low + 1e-9);
  const x = (logX ? d3.scaleLog() : d3.scaleLinear())
    .domain(x1 > x0 ? [x0, x1] : [x0, x0 + 1])
    .range([box.left, box.left + box.width]);
  const y = d3
    .scaleLinear()
    .domain([low, high + 0.04 * (high - low)])
    .range([box.top + box.height, box.top]);
  const powers = logX && ((v) => (Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-9 ? steps(v) : ""));
  axes(root, { x, y, xLabel, yLabel, box, ticks: 4, xFormat: logX ? powers : (v) => steps(v) });
  const cut = svg("g", {});
  root.append(cut);
  for (const level of levels)
    cut.append(
      svg("line", { class: "circuit-level", x1: box.left, x2: box.left + box.width, y1: y(level), y2: y(level) }),
    );
  if (low < 0)
    cut.append(svg("line", { class: "circuit-zero", x1: box.left, x2: box.left + box.width, y1: y(0), y2: y(0) }));
  for (const at of marks)
    cut.append(svg("line", { class: "circuit-mark", x1: x(at), x2: x(at), y1: box.top, y2: box.top + box.height }));
  for (const line of lines) {
    let d = "",
      pen = "M";
    for (let i = 0; i < line.x.length; i++) {
      const v = line.y[i];
      if (v == null || Number.isNaN(v) || (logX && line.x[i] < 1)) {
        pen = "M";
        continue;
      }
      d += pen + circuitRound(x(line.x[i])) + "," + circuitRound(y(v));
      pen = "L";
      if (dots && line.x.length <= 60)
        cut.append(svg("circle", { class: "circuit-dot " + line.name, cx: x(line.x[i]), cy: y(v), r: 2.5 }));
    }
    cut.append(svg("path", { class: "circuit-line " + line.name, d }));
  }
  const place = svg("g", {});
  root.append(place);
  function move(at, value) {
    const inside = at != null && at >= x.domain()[0] && at <= x.domain()[1];
    place.replaceChildren(
      ...(inside
        ? [svg("line", { class: "circuit-now", x1: x(at), x2: x(at), y1: box.top, y2: box.top + box.height })]
        : []),
      ...(inside && value != null && !Number.isNaN(value)
        ? [svg("circle", { class: "circuit-here", cx: x(at), cy: y(value), r: 4.5 })]
        : []),
    );
  }
  move(now, nowY);
  const value = (event) => {
    const rect = root.getBoundingClientRect();
    return x.invert(
      Math.max(box.left, Math.min(box.left + box.width, ((event.clientX - rect.left) * width) / rect.width)),
    );
  };
  if (tell) {
    root.addEventListener("pointermove", (event) => showTip(event, tell(value(event))));
    root.addEventListener("pointerleave", hideTip);
  }
  if (pick) {
    root.classList.add("circuit-click");
    root.addEventListener("click", (event) => pick(value(event)));
  }
  return { ...drawing, move };
}

/// Names of the lines, in their colours.
function circuitKey(lines) {
  return el(
    "p",
    { class: "quiet circuit-key" },
    ...lines.flatMap((line) => {
      const sample = svg(
        "svg",
        { width: 22, height: 10, "aria-hidden": "true" },
        svg("line", { class: "circuit-line " + line.name, x1: 1, x2: 21, y1: 5, y2: 5 }),
      );
      return [sample, " " + line.text + "\u2003"];
    }),
  );
}
