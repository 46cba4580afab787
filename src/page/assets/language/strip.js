// One drawing over the tokens, a column for each position: the edges, the tokens of both sequences,
// and the logit difference. What is at one position stands in one column.

/* global d3 */
import { el } from "../dom.js";
import { figure, svg } from "../figure.js";
import { number } from "../numbers.js";
import { labelWidth } from "../tuning/labels.js";
import { lookFlow, lookRows } from "./flow.js";
import { lookDifference } from "./logits.js";
import { LOOK_STRIP } from "./places.js";
import { LOOK_MODES } from "./scene.js";
import { lookEdgeSaid, lookQuoted, lookShort, lookShown } from "./words.js";

export function lookStrip(place, scene) {
  const { look, length } = scene,
    { left, right, top, box, chart } = LOOK_STRIP;
  const columns = tokenColumns(scene);
  const rows = lookRows(scene);
  const step = Math.max(15, Math.min(34, 430 / rows.length));
  const floor = top + 12 + (rows.length - 1) * step;
  const tokens = floor + 26,
    numbers = tokens + 2 * box + 17,
    plot = numbers + 24;
  const end = columns[length - 1].x + columns[length - 1].width;
  const size = { width: Math.max(640, end + right), height: plot + chart + 20 };
  const { root, node } = stripFigure(place, look, size);
  // One unit is one pixel: texts stay readable, and long sequences scroll.
  node.style.minWidth = node.style.maxWidth = size.width + "px";
  const name = (text, x, y, anchor) =>
    root.append(svg("text", { class: "axis", x, y, "text-anchor": anchor }, text));
  rows.forEach((row, r) => {
    const y = floor - r * step;
    root.append(svg("line", { class: "zero", x1: left, x2: size.width - right, y1: y, y2: y }));
    name(row, left - 8, y + 4, "end");
  });
  lookFlow(root, scene, { columns, rows, floor, step });
  lookTokens(root, scene, columns, tokens);
  columns.forEach((column, t) => name(t, column.middle, numbers, "middle"));
  name("position", left - 8, numbers, "end");
  lookDifference(root, scene, columns, plot, chart);
  const said = el("p", { class: "quiet look-said", role: "status" });
  place.append(said);
  const say = () => {
    said.textContent = stripSaid(scene);
  };
  for (const what of ["edge", "head", "mode", "query"]) scene.on(what, say);
  say();
}

/// A column for each position, as wide as its tokens and heads need. Short sequences spread over
/// the page, so that edges at one position stand apart.
function tokenColumns({ look, length }) {
  const { left, right, room, widest } = LOOK_STRIP;
  const wide = (run, t) => labelWidth(lookShort(look.tokens[run][t]), 12);
  const least = d3.range(length).map((t) => {
    const token = 14 + Math.max(wide("clean", t), wide("corrupted", t));
    return Math.max(34, look.heads * 6 + 12, token);
  });
  const spare = Math.max(0, room - left - right - d3.sum(least)) / length;
  const widths = least.map((width) => Math.max(width, Math.min(width + spare, widest)));
  const starts = [...d3.cumsum([left, ...widths])];
  return widths.map((width, t) => ({ x: starts[t], width, middle: starts[t] + width / 2 }));
}

function stripFigure(place, look, size) {
  const label = "Tokens and edges; scroll sideways";
  const area = { class: "scroll", tabindex: "0", role: "region", "aria-label": label };
  const scroll = el("div", area);
  place.append(scroll);
  const note =
    `${look.method} scores of ${look.metric} by position. Width: size; solid, to the right: removing ` +
    "the edge lowers it; dashed, to the left: raises it; grey: what a shown head moves between " +
    "positions";
  const name = look.name + " edges";
  const drawing = figure(scroll, { title: "Edges over the tokens", ...size, name, note });
  drawing.root.setAttribute("role", "group");
  return drawing;
}

function stripSaid(scene) {
  const { edge, look, length } = scene,
    { layer, head } = scene.head,
    t = scene.query;
  const said = edge ? `Edge ${lookEdgeSaid(scene, edge)}. ` : "";
  if (!look.attention) return said;
  const most = d3.greatest(d3.range(length), (k) => Math.abs(scene.weight(layer, head, t, k)));
  const weight = number(scene.weight(layer, head, t, most));
  return (
    said +
    `Head a${layer}.h${head} (${LOOK_MODES[scene.mode]}): from position ${t} most to position ${most}, ` +
    `${lookQuoted(look.tokens.clean[most])}, weight ${weight}. ` +
    "Shades of the tokens: where it attends from the framed one."
  );
}

/// The two lines of tokens. Their shades are the attention of the chosen head from the position
/// that asks.
function lookTokens(root, scene, columns, top) {
  const { look } = scene,
    { left, box } = LOOK_STRIP;
  const cells = ["clean", "corrupted"].flatMap((run, line) => {
    const y = top + line * (box + 2);
    root.append(svg("text", { class: "axis", x: left - 8, y: y + 15, "text-anchor": "end" }, run));
    const mine = columns.map((column, t) => tokenCell(scene, run, t, column, y));
    root.append(...mine.map((cell) => cell.g));
    return mine;
  });
  const asked = columns[look.position];
  const triangle = { class: "asked-mark", d: `M${asked.middle},${top - 4}l-5,-8h10z` };
  root.append(svg("path", triangle, svg("title", {}, "where the pair asks")));
  tokenKeys(
    root,
    scene,
    cells.filter((cell) => cell.run === "clean"),
  );
  const shade = () => cells.forEach((cell) => shadeToken(scene, cell));
  for (const what of ["head", "mode", "query", "edge"]) scene.on(what, shade);
  shade();
}

function tokenCell(scene, run, t, column, y) {
  const { look } = scene;
  const place = { x: column.x + 1, y, width: column.width - 2, height: LOOK_STRIP.box, rx: 3 };
  const shade = svg("rect", { class: "shade", ...place });
  const frame = svg("rect", { class: "token", ...place });
  const at = { x: column.middle, y: y + 15, "text-anchor": "middle" };
  const text = svg("text", at, lookShort(look.tokens[run][t]));
  const changed = scene.differs(t);
  const stop = { tabindex: t === scene.query ? "0" : "-1", role: "button" };
  const label =
    `${run} token ${lookShown(look.tokens[run][t])} at position ${t}` +
    (changed ? ", differs" : "") +
    (t === look.position ? ", where the pair asks" : "");
  const attributes = {
    class: "token-box " + run + (changed ? " changed" : ""),
    ...(run === "clean" ? stop : {}),
    "aria-label": label,
  };
  const g = svg("g", attributes, shade, frame, text);
  g.addEventListener("pointerenter", () => scene.hover(t));
  g.addEventListener("pointerleave", () => scene.hover(null));
  g.addEventListener("click", () => scene.choose("query", t));
  return { t, run, g, shade };
}

function tokenKeys(root, scene, first) {
  root.addEventListener("keydown", (event) => {
    const at = first.findIndex((cell) => cell.g === document.activeElement);
    const ends = { Home: -at, End: first.length - 1 - at };
    const move = { ArrowLeft: -1, ArrowRight: 1, ...ends }[event.key];
    if (at < 0 || (move == null && event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    const to = Math.max(0, Math.min(first.length - 1, at + (move ?? 0)));
    scene.choose("query", to);
    first[to].g.focus();
  });
}

function shadeToken(scene, { t, run, g, shade }) {
  const { layer, head } = scene.head,
    { query, mode, edge, look } = scene,
    differing = mode === "difference";
  const weight = scene.weight(layer, head, query, t, differing ? mode : run);
  const sign = weight < 0 ? "negative" : "positive";
  shade.setAttribute("class", "shade " + (differing ? sign : "weight"));
  // Half at most: the token stays readable on it.
  shade.setAttribute("fill-opacity", (Math.min(1, Math.abs(weight)) / 2).toFixed(3));
  g.classList.toggle("asks", t === query);
  g.classList.toggle("of-edge", edge != null && edge.position === t);
  if (run !== "clean") return;
  const stop = t === query || (scene.hovered != null && t === look.position);
  g.setAttribute("tabindex", stop ? "0" : "-1");
}
