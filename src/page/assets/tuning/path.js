// The way of each method along training: means over seeds by step, and every seed of the picked
// one.

/* global d3 */
import { el, hideTip, showTip } from "../dom.js";
import { axes, figure, svg } from "../figure.js";
import { number, steps } from "../numbers.js";
import { TUNING_FIGURES, tuningFamily } from "./figures.js";

const TUNING_PATH = { width: 560, height: 224 };
const BOX = { left: 56, top: 10, width: 404, height: 172 };

export function tuningPath(place, t, view, which, pick) {
  const { root, node, caption } = figure(place, {
    title: "Along training",
    note: "means over seeds",
    ...TUNING_PATH,
    name: t.name + " path " + which,
  });
  const note = el("p", { class: "quiet" });
  node.append(note);
  const ways = t.rows.map((row) => ({ row, name: null, line: [] }));

  function draw() {
    const name = view[which],
      { short } = TUNING_FIGURES[name];
    if (ways[0]?.name !== name) {
      ways.forEach((way) => Object.assign(way, { name, line: tuningWay(way.row, name) }));
    }
    const chosen = t.rows.find((row) => row.name === view.picked());
    const all = ways.flatMap((way) => way.line);
    root.replaceChildren();
    caption.firstChild.textContent = short(t) + " along training ";
    const seeds = chosen ? seedWays(chosen, name) : [];
    const { x, y } = wayScales([...all, ...seeds.flat()]);
    axes(root, { x, y, xLabel: "step (updates)", yLabel: short(t), box: BOX, xFormat: steps });
    const line = d3
      .line()
      .x((p) => x(p.step))
      .y((p) => y(p.value));
    const drawn = [...ways].sort((a, b) => (a.row === chosen) - (b.row === chosen));
    for (const way of drawn) {
      const own = way.row === chosen ? seeds : null;
      if (way.line.length) root.append(...wayMarks(way, line, own, pick));
    }
    for (const { row, y: at, text } of tuningEnds(drawn, y, BOX)) {
      const place = { x: BOX.left + BOX.width + 6, y: at + 4 };
      root.append(svg("text", { class: row === chosen ? "chosen" : "axis", ...place }, text));
    }
    note.textContent = wayNote(t, name, all);
  }
  return { draw };
}

function wayScales(all) {
  const long = d3.max(all, (p) => p.step) || 1;
  const [low, high] = all.length ? d3.extent(all, (p) => p.value) : [0, 1];
  const margin = 0.06 * (high - low || 1);
  return {
    x: d3.scaleLinear([0, long], [BOX.left, BOX.left + BOX.width]),
    y: d3.scaleLinear([low - margin, high + margin], [BOX.top + BOX.height, BOX.top]),
  };
}

/// The line of a method, and those of its seeds, which only the picked one has.
function wayMarks({ row, line: points }, line, own, pick) {
  const family = tuningFamily(row);
  const one = (points) => svg("path", { class: "way one " + family, d: line(points) });
  const seeds = (own || []).map(one);
  const d = line(points);
  const reach = svg("path", { class: "reach", d });
  const said = points.map((p) => "step " + steps(p.step) + ": " + number(p.value));
  reach.addEventListener("mousemove", (event) => showTip(event, [row.name, ...said].join("\n")));
  reach.addEventListener("mouseleave", hideTip);
  reach.addEventListener("click", () => pick(row));
  const way = svg("path", { class: "way " + family + (own ? " chosen" : ""), d });
  return [...seeds, way, reach];
}

function wayNote(t, name, all) {
  const { unit, better } = TUNING_FIGURES[name];
  const looks = new Set(all.map((p) => p.step)).size;
  const few =
    " Measured before and after only; a smaller `look` in the grid's file shows what lies between.";
  const less = better < 0 ? "; less is better" : "";
  return unit(t) + less + "." + (looks > 0 && looks <= 2 ? few : "");
}

/// Where each seed was measured.
function seedWays(row, name) {
  const there = (run) => (run.path || []).filter((p) => Number.isFinite(p[name]));
  return row.runs.map((run) => there(run).map((p) => ({ step: p.step, value: p[name] })));
}

/// The mean over the seeds that were measured at a step.
function tuningWay(row, name) {
  const by = d3.rollup(
    seedWays(row, name).flat(),
    (list) => d3.mean(list, (p) => p.value),
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
    ends.push({
      row: way.row,
      y: Math.min(Math.max(at, box.top + 4), box.top + box.height - 2),
      text,
    });
  }
  return ends;
}
