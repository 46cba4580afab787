// Methods of attribution against exact patches: a panel for each, a point for each edge.

function circuitScatter(parent) {
  const box = el("div", {});
  parent.append(box);
  let shownGroup = null,
    panels = [];
  function draw(scene) {
    const files = scene.view.source.files;
    const exact = files?.sets.find((set) => set.method === "exact" && set.scores);
    const methods = exact ? files.sets.filter((set) => set !== exact && set.scores) : [];
    if (shownGroup !== files || !files) {
      shownGroup = files;
      panels = [];
      box.replaceChildren();
      if (methods.length) {
        const grid = el("div", { class: "circuit-charts" });
        box.append(
          el("h4", {}, "Methods against exact patches"),
          el(
            "p",
            { class: "quiet" },
            "A point for each edge that both score; the line is equality. Click a point to choose its edge.",
          ),
          grid,
        );
        panels = methods.map((method) => circuitScatterPanel(grid, files.names, exact, method));
      }
    }
    panels.forEach((panel) => panel.choose(scene.view.graph.index.get(scene.focus)));
  }
  return draw;
}

function circuitScatterPanel(grid, names, exact, method) {
  const edges = Int32Array.from(names, (_, e) => e).filter(
    (e) => !Number.isNaN(exact.scores[e]) && !Number.isNaN(method.scores[e]),
  );
  const xs = Array.from(edges, (e) => exact.scores[e]),
    ys = Array.from(edges, (e) => method.scores[e]);
  const { cell, width: size } = circuitCell(grid, 380),
    tall = Math.round(0.85 * size),
    side = { left: 54, top: 8, width: size - 70, height: tall - 46 };
  const drawing = figure(cell, {
    title: method.label,
    width: size,
    height: tall,
    name: "scatter-" + method.label,
    note: edges.length
      ? "Pearson " +
        circuitOr(circuitPearson(xs, ys)) +
        ", Spearman " +
        circuitOr(circuitSpearman(xs, ys)) +
        ", " +
        steps(edges.length) +
        " edges"
      : "no edge in common",
  });
  const { root } = drawing,
    span = (list) => {
      const [low, high] = [list.reduce((a, b) => Math.min(a, b), 0), list.reduce((a, b) => Math.max(a, b), 0)];
      const pad = (high - low || 1) * 0.05;
      return [low - pad, high + pad];
    };
  const x = d3.scaleLinear(span(xs), [side.left, side.left + side.width]),
    y = d3.scaleLinear(span(ys), [side.top + side.height, side.top]);
  axes(root, {
    x,
    y,
    xLabel: "exact score (metric)",
    yLabel: method.label.length > 24 ? "score" : method.label + " score",
    box: side,
    ticks: 4,
  });
  const [low, high] = [Math.max(x.domain()[0], y.domain()[0]), Math.min(x.domain()[1], y.domain()[1])];
  const px = Float32Array.from(xs, x),
    py = Float32Array.from(ys, y);
  let d = "";
  for (let i = 0; i < edges.length; i++) d += "M" + circuitRound(px[i]) + "," + circuitRound(py[i]) + "h0";
  const mark = svg("circle", { class: "circuit-here", r: 6, visibility: "hidden" });
  root.append(
    svg("line", { class: "circuit-level", x1: x(low), y1: y(low), x2: x(high), y2: y(high) }),
    svg("line", { class: "circuit-zero", x1: x(0), x2: x(0), y1: side.top, y2: side.top + side.height }),
    svg("line", { class: "circuit-zero", x1: side.left, x2: side.left + side.width, y1: y(0), y2: y(0) }),
    svg("path", { class: "circuit-points" + (edges.length > 3000 ? " many" : ""), d }),
    mark,
  );
  const at = (event) => {
    const rect = root.getBoundingClientRect(),
      mx = ((event.clientX - rect.left) * size) / rect.width,
      my = ((event.clientY - rect.top) * tall) / rect.height;
    let best = -1,
      distance = 100;
    for (let i = 0; i < edges.length; i++) {
      const near = (px[i] - mx) ** 2 + (py[i] - my) ** 2;
      if (near < distance) [best, distance] = [i, near];
    }
    return best;
  };
  root.classList.add("circuit-click");
  root.addEventListener("pointermove", (event) => {
    const i = at(event);
    if (i < 0) hideTip();
    else showTip(event, names[edges[i]] + "\nexact " + number(xs[i]) + "\n" + method.label + " " + number(ys[i]));
  });
  root.addEventListener("pointerleave", hideTip);
  root.addEventListener("click", (event) => {
    const i = at(event);
    if (i >= 0) set("edge", names[edges[i]]);
  });
  return {
    choose(e) {
      const i = e === undefined ? -1 : edges.indexOf(e);
      mark.setAttribute("visibility", i < 0 ? "hidden" : "visible");
      if (i >= 0) {
        mark.setAttribute("cx", px[i]);
        mark.setAttribute("cy", py[i]);
      }
    },
  };
}
function circuitOr(x) {
  return x == null ? "none" : number(x);
}
