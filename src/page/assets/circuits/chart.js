// Small charts of the circuit explorer: lines over steps or over numbers of edges.

/* global d3 */
import { el, hideTip, showTip } from "../dom.js";
import { axes, figure, svg } from "../figure.js";
import { steps } from "../numbers.js";
import { circuitRound } from "./picture.js";

/// A place for a drawing, and its width in pixels, so that letters keep their size.
export function circuitCell(parent, usual) {
  const cell = el("div", {});
  parent.append(cell);
  return {
    cell,
    width: cell.clientWidth ? Math.round(Math.max(260, Math.min(640, cell.clientWidth))) : usual,
  };
}

/// A chart of `lines`: `{x, y, name, text}` (`name` a class; missing numbers break a line), of size
/// `height`, with vertical `marks`, horizontal `levels` and `dots` at few points, over the x axis
/// `domain` (`logX`: logarithmic). `pick(x)` is called with a place on the x axis that was clicked,
/// `tell(x)` gives the text for one that is pointed at; `move` shows a place `now` and a value.
export function circuitChart(parent, options) {
  const { title, note, name, height = 190 } = options;
  const { cell, width } = circuitCell(parent, 400),
    drawing = figure(cell, { title, note, width, height, name });
  const box = { left: 54, top: 8, width: width - 76, height: height - 46 };
  const scales = chartScales(options, box);
  const { x, y } = scales;
  const { xLabel, yLabel, logX } = options;
  const xFormat = logX ? powerOfTen : (v) => steps(v);
  axes(drawing.root, { x, y, xLabel, yLabel, box, ticks: 4, xFormat });
  const place = svg("g", {});
  drawing.root.append(
    svg("g", {}, ...chartRules(options, scales, box), ...chartLines(options, scales)),
    place,
  );
  function move(at, value) {
    place.replaceChildren();
    if (at == null || at < x.domain()[0] || at > x.domain()[1]) return;
    place.append(upright("circuit-now", x(at), box));
    if (value == null || Number.isNaN(value)) return;
    place.append(svg("circle", { class: "circuit-here", cx: x(at), cy: y(value), r: 4.5 }));
  }
  move(options.now, options.nowY);
  chartPointer(drawing.root, options, x, { ...box, whole: width });
  return { ...drawing, move };
}

function powerOfTen(v) {
  const power = Math.log10(v);
  return Math.abs(power - Math.round(power)) < 1e-9 ? steps(v) : "";
}

function chartScales({ lines, logX, domain, levels = [] }, box) {
  const xs = lines.flatMap((line) => Array.from(line.x)).filter((x) => !logX || x >= 1);
  const ys = lines
    .flatMap((line) => Array.from(line.y))
    .filter((y) => y != null && !Number.isNaN(y));
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
  return { x, y, low };
}

function level(name, y, { left, width }) {
  return svg("line", { class: name, x1: left, x2: left + width, y1: y, y2: y });
}
function upright(name, x, { top, height }) {
  return svg("line", { class: name, x1: x, x2: x, y1: top, y2: top + height });
}

function chartRules({ levels = [], marks = [] }, { x, y, low }, box) {
  return [
    ...levels.map((value) => level("circuit-level", y(value), box)),
    ...(low < 0 ? [level("circuit-zero", y(0), box)] : []),
    ...marks.map((at) => upright("circuit-mark", x(at), box)),
  ];
}

function chartLines({ lines, logX, dots }, { x, y }) {
  return lines.flatMap((line) => {
    const marks = [];
    let d = "",
      pen = "M";
    for (let i = 0; i < line.x.length; i++) {
      const v = line.y[i];
      if (v == null || Number.isNaN(v) || (logX && line.x[i] < 1)) {
        pen = "M";
        continue;
      }
      const [cx, cy] = [x(line.x[i]), y(v)];
      d += pen + circuitRound(cx) + "," + circuitRound(cy);
      pen = "L";
      if (dots && line.x.length <= 60) {
        marks.push(svg("circle", { class: "circuit-dot " + line.name, cx, cy, r: 2.5 }));
      }
    }
    return [...marks, svg("path", { class: "circuit-line " + line.name, d })];
  });
}

function chartPointer(root, { tell, pick }, x, { left, width, whole }) {
  const value = (event) => {
    const rect = root.getBoundingClientRect();
    const at = ((event.clientX - rect.left) * whole) / rect.width;
    return x.invert(Math.max(left, Math.min(left + width, at)));
  };
  if (tell) {
    root.addEventListener("pointermove", (event) => showTip(event, tell(value(event))));
    root.addEventListener("pointerleave", hideTip);
  }
  if (pick) {
    root.classList.add("circuit-click");
    root.addEventListener("click", (event) => pick(value(event)));
  }
}

/// Names of the lines, in their colours.
export function circuitKey(lines) {
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
