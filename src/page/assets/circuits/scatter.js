// Methods of attribution against exact patches: a panel for each, a point for each edge.

/* global d3 */
import { el, hideTip, showTip } from "../dom.js";
import { axes, figure, svg } from "../figure.js";
import { number, steps } from "../numbers.js";
import { set } from "../state.js";
import { circuitCell } from "./chart.js";
import { circuitPearson, circuitSpearman } from "./compare.js";
import { circuitRound } from "./picture.js";

export function circuitScatter(parent) {
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
  const both = (e) => !Number.isNaN(exact.scores[e]) && !Number.isNaN(method.scores[e]);
  const edges = Int32Array.from(names, (_, e) => e).filter(both);
  const xs = Array.from(edges, (e) => exact.scores[e]),
    ys = Array.from(edges, (e) => method.scores[e]);
  const { cell, width } = circuitCell(grid, 380),
    height = Math.round(0.85 * width),
    box = { left: 54, top: 8, width: width - 70, height: height - 46 };
  const [pearson, spearman] = [circuitPearson, circuitSpearman].map((f) => circuitOr(f(xs, ys)));
  const alike = `Pearson ${pearson}, Spearman ${spearman}, ${steps(edges.length)} edges`;
  const { root } = figure(cell, {
    title: method.label,
    width,
    height,
    name: "scatter-" + method.label,
    note: edges.length ? alike : "no edge in common",
  });
  const x = d3.scaleLinear(span(xs), [box.left, box.left + box.width]),
    y = d3.scaleLinear(span(ys), [box.top + box.height, box.top]);
  const yLabel = method.label.length > 24 ? "score" : method.label + " score";
  axes(root, { x, y, xLabel: "exact score (metric)", yLabel, box, ticks: 4 });
  const points = { px: Float32Array.from(xs, x), py: Float32Array.from(ys, y) };
  const mark = svg("circle", { class: "circuit-here", r: 6, visibility: "hidden" });
  root.append(...scatterMarks(x, y, box, points), mark);
  const said = (i) =>
    `${names[edges[i]]}\nexact ${number(xs[i])}\n${method.label} ${number(ys[i])}`;
  onPointer(root, { ...points, width, height }, said, (i) => set("edge", names[edges[i]]));
  return {
    choose(e) {
      const i = e === undefined ? -1 : edges.indexOf(e);
      mark.setAttribute("visibility", i < 0 ? "hidden" : "visible");
      if (i < 0) return;
      mark.setAttribute("cx", points.px[i]);
      mark.setAttribute("cy", points.py[i]);
    },
  };
}

function span(list) {
  const low = list.reduce((a, b) => Math.min(a, b), 0),
    high = list.reduce((a, b) => Math.max(a, b), 0);
  const pad = (high - low || 1) * 0.05;
  return [low - pad, high + pad];
}

/// The line of equality, the zeros, the points.
function scatterMarks(x, y, { left, top, width, height }, { px, py }) {
  const low = Math.max(x.domain()[0], y.domain()[0]),
    high = Math.min(x.domain()[1], y.domain()[1]);
  let d = "";
  for (let i = 0; i < px.length; i++) {
    d += "M" + circuitRound(px[i]) + "," + circuitRound(py[i]) + "h0";
  }
  const [upright, level] = [
    { x1: x(0), x2: x(0), y1: top, y2: top + height },
    { x1: left, x2: left + width, y1: y(0), y2: y(0) },
  ];
  return [
    svg("line", { class: "circuit-level", x1: x(low), y1: y(low), x2: x(high), y2: y(high) }),
    svg("line", { class: "circuit-zero", ...upright }),
    svg("line", { class: "circuit-zero", ...level }),
    svg("path", { class: "circuit-points" + (px.length > 3000 ? " many" : ""), d }),
  ];
}

function onPointer(root, { px, py, width, height }, said, pick) {
  const at = (event) => {
    const rect = root.getBoundingClientRect(),
      mx = ((event.clientX - rect.left) * width) / rect.width,
      my = ((event.clientY - rect.top) * height) / rect.height;
    let best = -1,
      distance = 100;
    for (let i = 0; i < px.length; i++) {
      const near = (px[i] - mx) ** 2 + (py[i] - my) ** 2;
      if (near < distance) [best, distance] = [i, near];
    }
    return best;
  };
  root.classList.add("circuit-click");
  root.addEventListener("pointermove", (event) => {
    const i = at(event);
    if (i < 0) hideTip();
    else showTip(event, said(i));
  });
  root.addEventListener("pointerleave", hideTip);
  root.addEventListener("click", (event) => {
    const i = at(event);
    if (i >= 0) pick(i);
  });
}

export function circuitOr(x) {
  return x == null ? "none" : number(x);
}
