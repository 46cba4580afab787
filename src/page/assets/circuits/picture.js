// The drawing of a circuit. Edges are found by the place of the pointer, which need not hit a thin
// line, and by Tab and the arrow keys, in the order of their scores.

import { hideTip, showTip } from "../dom.js";
import { figure, keepReadable, svg } from "../figure.js";
import { circuitUnder } from "./hits.js";
import { circuitCurve, circuitLayout } from "./layout.js";
import { circuitLegend, circuitLegendItem, circuitTell, circuitTellNode } from "./legend.js";
import { circuitNodeMarks } from "./nodes.js";

export const CIRCUIT_WORDS = {
  time: { gained: "reinforced (came in)", lost: "pruned (dropped out)", kept: "stayed" },
  other: { gained: "gained", lost: "lost", kept: "kept" },
};

const LAYERS = ["axis", "lines", "halos", "edges", "over", "nodes", "labels", "legend"];

/// The picture: `draw(scene)`, and `choose(name)` for what is chosen in it; `pick(name)` is called
/// for an edge that a reader chooses.
export function circuitPicture(parent, pick) {
  const drawing = figure(parent, { title: "Circuit", width: 760, height: 480, name: "circuit" });
  const { root, node: box, caption } = drawing;
  box.classList.add("circuit-picture");
  root.setAttribute("role", "group");
  const layers = {};
  for (const name of LAYERS) layers[name] = svg("g", { class: "circuit-" + name });
  root.append(...Object.values(layers));
  const picture = { root, box, layers, scene: null, layout: null, items: [], wide: 0 };
  onPointer(picture, pick);
  onKeys(picture, pick);
  new ResizeObserver(() => {
    const now = Math.round(Math.max(480, box.clientWidth));
    if (!box.clientWidth || !picture.scene || Math.abs(now - picture.wide) <= 4) return;
    picture.wide = now;
    draw(picture, picture.scene);
  }).observe(box);
  return {
    draw: (scene) => draw(picture, scene),
    caption,
    choose(focus) {
      if (!picture.scene) return;
      picture.scene.focus = focus;
      mark(picture);
    },
  };
}

function draw(picture, scene) {
  const { root, box, layers } = picture;
  const { view, unfold } = scene;
  picture.scene = scene;
  // Asking for the width makes the browser lay the page out: only once, the observer tells later
  // ones.
  picture.wide ||= Math.round(Math.max(480, box.clientWidth || 760));
  const { wide } = picture;
  const height = unfold.neurons ? 600 : 520,
    top = unfold.neurons && view.graph.layers === 1 ? 92 : 44,
    left = view.k != null && unfold.positions ? 86 : 56;
  const legend = circuitLegend(scene, wide);
  const below = 22 + 18 * (1 + legend[legend.length - 1].row);
  root.setAttribute("viewBox", "0 0 " + wide + " " + (height + below));
  keepReadable(root.parentElement, wide);
  const room = { left, top, width: wide - left - 52, height: height - top - 10 };
  picture.layout = circuitLayout(view.graph, scene.drawn, unfold, room);
  const active = document.activeElement?.closest?.(".circuit-edges")
    ? document.activeElement.dataset.edge
    : null;
  picture.items = circuitItems(scene, picture.layout);
  layers.halos.replaceChildren(...picture.items.flatMap((item) => item.halo ?? []));
  layers.edges.replaceChildren(...picture.items.map((item) => item.path).reverse());
  const marks = circuitNodeMarks(scene, picture.layout, picture.items, wide);
  for (const [name, list] of Object.entries(marks)) layers[name].replaceChildren(...list);
  layers.legend.replaceChildren(...legend.map((item) => circuitLegendItem(item, height + 14)));
  const said = " drawn edges; Tab goes to the strongest, arrow keys to weaker and stronger ones, ";
  root.setAttribute("aria-label", `Circuit of ${picture.items.length}${said}Enter chooses`);
  mark(picture);
  if (!active) return;
  const item = picture.items.find((item) => item.edge.name === active);
  item?.path.focus({ preventScroll: true });
}

/// The edges that have a place, each with its line.
function circuitItems(scene, layout) {
  const { drawn, colour, compare } = scene;
  const most = Math.max(1e-30, ...drawn.map((edge) => Math.abs(edge.score)));
  return drawn.flatMap((edge) => {
    const curve = circuitCurve(layout, edge);
    if (!curve) return [];
    const width = circuitWidth(edge, most);
    const d = "M" + curve.slice(0, 2).map(circuitRound) + "C" + curve.slice(2).map(circuitRound);
    const path = svg("path", {
      class: circuitClass(edge, colour, compare),
      d,
      "stroke-width": width,
      tabindex: "-1",
      role: "button",
      "data-edge": edge.name,
      "aria-label": circuitTell(scene, edge).replace(/\n/g, ", "),
    });
    // A halo says "came in": it is there whatever the colours show.
    const came = edge.status === "gained" && colour === "sign";
    const halo = came ? svg("path", { class: "circuit-halo", d, "stroke-width": width + 6 }) : null;
    return [{ edge, curve, width, d, path, halo }];
  });
}

// What is chosen gets an outline, and is where Tab goes.
function mark({ layers, items, scene }) {
  const focus = items.find((item) => item.edge.name === scene.focus);
  layers.over.replaceChildren();
  if (focus) {
    const outline = { class: "circuit-chosen", d: focus.d, "stroke-width": focus.width + 5 };
    const copy = focus.path.cloneNode();
    for (const name of ["tabindex", "role", "data-edge", "aria-label"]) copy.removeAttribute(name);
    layers.over.append(svg("path", outline), copy);
  }
  for (const item of items) {
    item.path.setAttribute("tabindex", item === (focus ?? items[0]) ? "0" : "-1");
  }
}

function light({ items }, test) {
  for (const item of items) item.path.classList.toggle("dim", Boolean(test) && !test(item));
}

function onPointer(picture, pick) {
  const { root } = picture;
  root.addEventListener("pointermove", (event) => {
    if (!picture.layout) return;
    const { node, item } = circuitUnder(picture, event);
    root.classList.toggle("hit", Boolean(item));
    if (node) {
      light(picture, ({ edge }) => edge.from === node.name || edge.to === node.name);
      showTip(event, circuitTellNode(picture.scene, node));
    } else if (item) {
      light(picture, (other) => other === item);
      showTip(event, circuitTell(picture.scene, item.edge));
    } else {
      light(picture, null);
      hideTip();
    }
  });
  root.addEventListener("pointerleave", () => {
    light(picture, null);
    hideTip();
  });
  root.addEventListener("click", (event) => {
    const { item } = picture.layout ? circuitUnder(picture, event) : {};
    if (item) pick(item.edge.name);
  });
}

function onKeys(picture, pick) {
  const { root, layers } = picture;
  root.addEventListener("keydown", (event) => {
    const { items } = picture;
    const i = items.findIndex((item) => item.path === event.target);
    if (i < 0) return;
    const ends = { Home: -items.length, End: items.length };
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, ...ends }[event.key];
    if (event.key === "Enter" || event.key === " ") pick(items[i].edge.name);
    else if (move) items[Math.max(0, Math.min(items.length - 1, i + move))].path.focus();
    else return;
    event.preventDefault();
  });
  layers.edges.addEventListener("focusin", (event) => {
    light(picture, (item) => item.path === event.target);
  });
  layers.edges.addEventListener("focusout", () => light(picture, null));
}

export function circuitRound(x) {
  return Math.round(10 * x) / 10;
}
function circuitWidth(edge, most) {
  return edge.ghost ? 1.6 : Math.round(10 * (0.8 + (9 * Math.abs(edge.score)) / most)) / 10;
}

function circuitClass(edge, colour, compare) {
  const classes = ["circuit-edge", edge.kind];
  if (edge.ghost) classes.push("ghost", "lost");
  else if (colour === "change" && compare) classes.push(edge.status);
  else classes.push(edge.score < 0 ? "negative" : edge.score > 0 ? "positive" : "");
  return classes.filter(Boolean).join(" ");
}
