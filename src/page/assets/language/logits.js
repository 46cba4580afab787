// What the model says: the logit difference at every position, and the largest logits where the
// pair asks.

/* global d3 */
import { el, hideTip, showTip } from "../dom.js";
import { axes, figure, svg } from "../figure.js";
import { number, number2 } from "../numbers.js";
import { table } from "../table.js";
import { LOOK_STRIP } from "./places.js";
import { lookShort, lookShown } from "./words.js";

export function lookDifference(root, scene, columns, top, height) {
  const { look } = scene;
  const both = [...look.logit_diff.clean, ...look.logit_diff.corrupted].filter(Number.isFinite);
  const [low, high] = [Math.min(0, ...both), Math.max(0, ...both)];
  const y = d3.scaleLinear([low, high], [top + height, top]).nice(4);
  const asked = columns[look.position];
  const box = { x: asked.x + 1, y: top - 4, width: asked.width - 2, height: height + 8 };
  const { left } = LOOK_STRIP,
    below = top + height + 14;
  const name = (run, x, text) => {
    return svg("text", { class: "difference-name " + run, x, y: below }, text);
  };
  root.append(
    svg(
      "g",
      {},
      ...differenceAxis(columns, y, top + height / 2),
      svg("rect", { class: "asked", ...box }),
      ...["corrupted", "clean"].flatMap((run) => differenceLine(look, run, columns, y)),
      ...columns.map((column, t) => differenceReach(look, column, t, top, height)),
      name("clean", left + 6, "\u25cf clean"),
      name("corrupted", left + 60, "\u25cb corrupted"),
    ),
  );
}

function differenceAxis(columns, y, middle) {
  const { left } = LOOK_STRIP,
    last = columns[columns.length - 1],
    end = last.x + last.width;
  const ticks = y.ticks(4).flatMap((tick) => {
    const at = { x1: left, x2: end, y1: y(tick), y2: y(tick) };
    const place = { x: left - 6, y: y(tick) + 4, "text-anchor": "end" };
    return [
      svg("line", { class: tick === 0 ? "frame" : "zero", ...at }),
      svg("text", { class: "axis", ...place }, number2(tick)),
    ];
  });
  const name = (text, x) => {
    const transform = `translate(${x},${middle}) rotate(-90)`;
    return svg("text", { class: "axis", "text-anchor": "middle", transform }, text);
  };
  return [...ticks, name("logit difference", 11), name("(logits)", 24)];
}

function differenceLine(look, run, columns, y) {
  const values = look.logit_diff[run];
  const line = d3
    .line()
    .defined(Number.isFinite)
    .x((_, t) => columns[t].middle)
    .y((x) => y(x));
  const dots = values.flatMap((value, t) => {
    if (!Number.isFinite(value)) return [];
    const place = { cx: columns[t].middle, cy: y(value), r: 3 };
    return [svg("circle", { class: "difference " + run, ...place })];
  });
  return [svg("path", { class: "difference " + run, d: line(values) }), ...dots];
}

function differenceReach({ position, logit_diff }, column, t, top, height) {
  const place = { x: column.x, y: top - 6, width: column.width, height: height + 12 };
  const reach = svg("rect", { class: "reach", ...place });
  const [clean, corrupted] = [logit_diff.clean[t], logit_diff.corrupted[t]].map(number);
  const asked = t === position ? " (asked)" : "";
  reach.addEventListener("mousemove", (event) => {
    showTip(event, `position ${t}${asked}\nclean ${clean}\ncorrupted ${corrupted}`);
  });
  reach.addEventListener("mouseleave", hideTip);
  return reach;
}

const TOP_STEP = 20;

/// A line for each token: its logit clean (filled) and corrupted (hollow).
export function lookTop(place, scene) {
  const { look } = scene;
  const box = { left: 150, top: 22, width: 330, height: look.top.length * TOP_STEP };
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
  const domain = all.length ? d3.extent(all) : [0, 1];
  const x = d3.scaleLinear(domain, [box.left, box.left + box.width]).nice();
  const y = d3.scaleLinear([0, look.top.length], [box.top, box.top + box.height]);
  const none = Object.assign((value) => y(value), { ticks: () => [], domain: y.domain });
  axes(root, { x, y: none, box, xLabel: "logit" });
  root.append(...look.top.map((one, i) => topRow(look, one, x, y(i + 0.5), box.left)));
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

function topRow({ answer, distractor }, { token, clean, corrupted }, x, y, left) {
  const role = answer.includes(token)
    ? " (answer)"
    : distractor.includes(token)
      ? " (distractor)"
      : "";
  const reach = { x: 0, y: y - TOP_STEP / 2, width: 500, height: TOP_STEP };
  const name = { x: left - 8, y: y + 4, "text-anchor": "end" };
  const row = svg(
    "g",
    { class: "top-token" + (role ? " named" : "") },
    svg("rect", { class: "reach", ...reach }),
    svg("text", name, lookShort(token) + role),
    svg("line", { class: "between", x1: x(clean), x2: x(corrupted), y1: y, y2: y }),
    svg("circle", { class: "difference corrupted", cx: x(corrupted), cy: y, r: 4.5 }),
    svg("circle", { class: "difference clean", cx: x(clean), cy: y, r: 4.5 }),
  );
  const said = `\nclean ${number(clean)}\ncorrupted ${number(corrupted)}`;
  row.addEventListener("mousemove", (event) => showTip(event, lookShown(token) + role + said));
  row.addEventListener("mouseleave", hideTip);
  return row;
}
