// What is reached against what is kept: a point for each method, with the 95 % intervals of its means over seeds.
const TUNING_PLANE = { width: 640, height: 470, box: { left: 56, top: 14, width: 570, height: 400 } };

/// `view`: `{x, y, base, zoom}`, names of figures, whether the model before tuning has to be in the picture, and the
/// domains zoomed to or null. `pick(row)` is called for a point that is chosen.
function tuningPlane(place, t, view, pick) {
  const { root, node, caption } = figure(place, {
    title: "Methods on a plane",
    note: "whiskers: 95 % intervals of the means over seeds",
    ...TUNING_PLANE,
    name: t.name + " plane",
  });
  root.setAttribute("role", "group");
  const hint = el("p", { class: "quiet", role: "status" });
  node.append(hint);
  const { box } = TUNING_PLANE,
    clip = "tuning-clip-" + data.tunings.indexOf(t);
  let scales = null;

  function domain(name) {
    const figures = t.rows.map((row) => row[name]).filter((f) => tuningMean(f) != null);
    const values = figures.flatMap((f) => [f.mean, ...(f.interval ?? [])]);
    if (view.base && tuningBase(t, name) != null) values.push(tuningBase(t, name));
    const [low, high] = values.length ? d3.extent(values) : [0, 1];
    const margin = 0.07 * (high - low || Math.abs(high) || 1);
    return [low - margin, high + margin];
  }
  function scale(name, range, zoomed) {
    const better = TUNING_FIGURES[name].better;
    // Better is always right or up, so that one reading serves all pairs of axes.
    return d3.scaleLinear(zoomed ?? domain(name), better > 0 ? range : [...range].reverse());
  }
  function draw() {
    const focused = root.contains(document.activeElement) ? document.activeElement.dataset.row : null;
    root.replaceChildren();
    const x = scale(view.x, [box.left, box.left + box.width], view.zoom?.x);
    const y = scale(view.y, [box.top + box.height, box.top], view.zoom?.y);
    scales = { x, y };
    const named = (name) => TUNING_FIGURES[name].unit(t) + (TUNING_FIGURES[name].better < 0 ? ", less is better" : "");
    axes(root, { x, y, xLabel: named(view.x) + " \u2192", yLabel: named(view.y) + " \u2192", box });
    root.append(
      svg("clipPath", { id: clip }, svg("rect", { x: box.left, y: box.top, width: box.width, height: box.height })),
    );
    const inside = svg("g", { "clip-path": "url(#" + clip + ")" });
    root.append(inside);
    const there = t.rows.filter((row) => tuningMean(row[view.x]) != null && tuningMean(row[view.y]) != null);
    const points = there
      .map((row) => ({ row, text: row.name, x: x(row[view.x].mean), y: y(row[view.y].mean), r: tuningRadius(row) }))
      .filter(inView);
    // Small ones last, so that they are not hidden.
    points.sort((a, b) => b.r - a.r);
    inside.append(
      tuningFront(
        there.map((row) => [x(row[view.x].mean), y(row[view.y].mean)]),
        box,
      ),
    );
    const bars = points.flatMap((p) => tuningWhiskers(p, x, y, view));
    inside.append(...bars.map((bar) => svg("line", { class: "whisker", ...bar })));
    const base = [tuningBase(t, view.x), tuningBase(t, view.y)];
    if (view.base && base.every((value) => value != null)) {
      points.push(...[tuningBasePoint(x(base[0]), y(base[1]))].filter(inView));
    }
    const chosen = t.rows.find((row) => row.name === view.picked());
    const labels = placeLabels(points, bars, {
      left: box.left + 2,
      top: box.top + 2,
      width: box.width - 4,
      height: box.height - 4,
    });
    points.forEach((p, i) => {
      if (labels[i]?.far)
        root.append(svg("line", { class: "leader", x1: p.x, y1: p.y, x2: labels[i].near.x, y2: labels[i].near.y }));
    });
    points.forEach((p) => root.append(p.row ? mark(p, p.row === chosen) : p.node));
    if (chosen) root.append(svg("g", { "clip-path": "url(#" + clip + ")" }, ...tuningSeeds(chosen, x, y, view)));
    points.forEach((p, i) => {
      const place = labels[i] && { x: labels[i].x, y: labels[i].y };
      if (place)
        root.append(
          svg(
            "text",
            { class: "halo" + (p.row && p.row === chosen ? " chosen" : ""), "aria-hidden": "true", ...place },
            p.text,
          ),
        );
    });
    const hidden = labels.filter((label) => !label).length,
      beyond = there.length - points.filter((p) => p.row).length;
    hint.textContent =
      "Right and up is better. Line: what no other method beats on both axes. " +
      "Area: share of the blocks' numbers ever trained. " +
      (hidden ? hidden + " names found no room: point at the marks. " : "") +
      (beyond ? beyond + " methods lie outside of this view. " : "") +
      "Drag a box to look closer.";
    caption.firstChild.textContent =
      TUNING_FIGURES[view.y].short(t) + " against " + TUNING_FIGURES[view.x].short(t) + " ";
    if (focused != null) root.querySelector('[data-row="' + focused + '"]')?.focus();
  }
  function inView({ x, y }) {
    return x >= box.left && x <= box.left + box.width && y >= box.top && y <= box.top + box.height;
  }
  function mark(p, chosen) {
    const g = svg(
      "g",
      {
        class: "method " + tuningFamily(p.row) + (chosen ? " chosen" : ""),
        transform: "translate(" + p.x + "," + p.y + ")",
        tabindex: "0",
        role: "button",
        "aria-pressed": String(chosen),
        "aria-label": tuningSaid(t, p.row).replace(/\n/g, "; "),
        "data-row": t.rows.indexOf(p.row),
      },
      svg("path", { d: tuningSymbol(p.row, Math.PI * p.r * p.r) }),
    );
    g.addEventListener("click", () => pick(p.row));
    g.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        pick(p.row);
      }
    });
    g.addEventListener("mousemove", (event) => showTip(event, tuningSaid(t, p.row)));
    g.addEventListener("mouseleave", hideTip);
    return g;
  }
  tuningZoom(
    root,
    box,
    () => scales,
    (zoom) => {
      view.zoom = zoom;
      draw();
    },
  );
  return { draw, zoomBy };

  // Around the picked method, or the middle: for those who do not drag.
  function zoomBy(factor) {
    const chosen = t.rows.find((row) => row.name === view.picked());
    const around = (name, scale) => {
      const [a, b] = scale.domain(),
        middle = tuningMean(chosen?.[name]) ?? (a + b) / 2;
      return [middle - ((b - a) / 2) * factor, middle + ((b - a) / 2) * factor];
    };
    view.zoom = { x: around(view.x, scales.x), y: around(view.y, scales.y) };
    draw();
  }
}

function tuningRadius(row) {
  return 3.5 + 9 * Math.sqrt(Math.min(tuningMean(row.ever) ?? 0, 1.3));
}
function tuningWhiskers(p, x, y, view) {
  const [h, v] = [p.row[view.x].interval, p.row[view.y].interval];
  return [
    ...(h ? [{ x1: x(h[0]), x2: x(h[1]), y1: p.y, y2: p.y }] : []),
    ...(v ? [{ x1: p.x, x2: p.x, y1: y(v[0]), y2: y(v[1]) }] : []),
  ];
}
function tuningSeeds(row, x, y, view) {
  return row.runs
    .filter((run) => Number.isFinite(run[view.x]) && Number.isFinite(run[view.y]))
    .map((run) => svg("circle", { class: "one-seed", cx: x(run[view.x]), cy: y(run[view.y]), r: 2.5 }));
}
function tuningBasePoint(x, y) {
  const node = svg(
    "g",
    { class: "method base", transform: "translate(" + x + "," + y + ")" },
    svg("path", { d: "M-6,0H6M0,-6V6" }),
    svg("title", {}, "the model before tuning"),
  );
  return { x, y, r: 6, text: "before tuning", node };
}
/// The stairs below and left of which every method is beaten on both axes; in pixels, right and up is better.
function tuningFront(points, box) {
  const front = [];
  for (const [x, y] of [...points].sort((a, b) => b[0] - a[0] || a[1] - b[1])) {
    if (!front.length || y < front[front.length - 1][1]) front.push([x, y]);
  }
  front.reverse();
  let d = front.length ? "M" + box.left + "," + front[0][1] : "";
  front.forEach(([x, y], i) => {
    d += "H" + x + "V" + (i + 1 < front.length ? front[i + 1][1] : box.top + box.height);
  });
  return svg("path", { class: "front", d });
}

function tuningZoom(root, box, scales, zoom) {
  let from = null,
    frame = null;
  const at = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(root.getScreenCTM().inverse());
    return [
      Math.min(Math.max(point.x, box.left), box.left + box.width),
      Math.min(Math.max(point.y, box.top), box.top + box.height),
    ];
  };
  root.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest(".method")) return;
    event.preventDefault();
    from = at(event);
    frame = svg("rect", { class: "zooming" });
    root.append(frame);
    root.setPointerCapture(event.pointerId);
  });
  root.addEventListener("pointermove", (event) => {
    if (!from) return;
    const to = at(event);
    const [x, y] = [Math.min(from[0], to[0]), Math.min(from[1], to[1])];
    const size = { x, y, width: Math.abs(from[0] - to[0]), height: Math.abs(from[1] - to[1]) };
    for (const [name, value] of Object.entries(size)) frame.setAttribute(name, value);
  });
  root.addEventListener("pointerup", (event) => {
    if (!from) return;
    const to = at(event),
      start = from;
    from = null;
    frame.remove();
    if (Math.abs(to[0] - start[0]) < 8 || Math.abs(to[1] - start[1]) < 8) return;
    const range = (scale, i) => [scale.invert(start[i]), scale.invert(to[i])].sort((a, b) => a - b);
    zoom({ x: range(scales().x, 0), y: range(scales().y, 1) });
  });
  root.addEventListener("pointercancel", () => {
    from = null;
    frame?.remove();
  });
  root.addEventListener("dblclick", () => zoom(null));
}
