// The chosen head's pattern, large: a row for each query, a column for each key.

import { el, hideTip, showTip } from "../dom.js";
import { figure, svg } from "../figure.js";
import { number, number2 } from "../numbers.js";
import { labelWidth } from "../tuning/labels.js";
import { lookShade } from "./heads.js";
import { LOOK_MODES } from "./scene.js";
import { lookShort, lookShown } from "./words.js";

export function lookPattern(place, scene) {
  const { look, length } = scene;
  const cell = Math.max(3, Math.min(38, Math.floor(430 / length)));
  const names = look.tokens.clean.map((token) => lookShort(token));
  const room = 34 + Math.min(100, Math.max(...names.map((name) => labelWidth(name))));
  const box = { left: room, top: 8, width: cell * length, height: cell * length };
  const holder = el("div", { class: "look-pattern" });
  place.append(holder);
  const width = box.left + box.width + 74;
  const drawing = figure(holder, {
    title: "Pattern",
    note: "row: who asks (query), column: who answers (key)",
    width,
    height: box.height + room + 14,
    name: look.name + " pattern",
    layer: true,
  });
  const { root, node } = drawing;
  root.setAttribute("role", "group");
  node.style.maxWidth = 1.2 * width + "px";
  root.append(...tokenNames(names, box, cell));
  const row = svg("rect", { class: "asks-row", x: box.left, width: box.width, height: cell });
  const area = { x: box.left, y: box.top, width: box.width, height: box.height };
  const reach = queryReach(area, length);
  const scale = svg("g", {});
  root.append(svg("rect", { class: "frame", ...area }), row, reach, scale);
  const pattern = { ...drawing, scene, box, cell, row, reach, scale };
  onPointer(pattern);
  onKeys(pattern);
  for (const what of ["head", "mode", "theme"]) scene.on(what, () => paint(pattern));
  scene.on("query", () => mark(pattern));
  paint(pattern);
  mark(pattern);
}

/// The tokens beside the rows and below the columns, as many as have room.
function tokenNames(names, box, cell) {
  const every = Math.ceil(12 / cell),
    anchor = { class: "axis", "text-anchor": "end" };
  return names.flatMap((name, t) => {
    if (t % every) return [];
    const middle = (t + 0.5) * cell + 4;
    const below = `translate(${box.left + middle},${box.top + box.height + 6}) rotate(-90)`;
    return [{ x: box.left - 5, y: box.top + middle }, { transform: below }].map((at) =>
      svg("text", { ...anchor, ...at }, name + " " + t),
    );
  });
}

/// What the pointer and the keys act on: a slider over the query positions.
function queryReach(area, length) {
  return svg("rect", {
    class: "reach",
    ...area,
    tabindex: "0",
    role: "slider",
    "aria-orientation": "vertical",
    "aria-label": "Query position",
    "aria-valuemin": 0,
    "aria-valuemax": length - 1,
  });
}

function onPointer({ root, reach, scene, box, cell }) {
  const { look, length } = scene;
  const at = (event) => {
    const matrix = root.getScreenCTM().inverse();
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix);
    const inside = (x) => Math.max(0, Math.min(length - 1, Math.floor(x / cell)));
    return { query: inside(point.y - box.top), key: inside(point.x - box.left) };
  };
  reach.addEventListener("mousemove", (event) => {
    const { query, key } = at(event),
      { layer, head } = scene.head;
    scene.hover(query);
    const weights = ["clean", "corrupted"].map(
      (mode) => mode + " " + number(scene.weight(layer, head, query, key, mode)),
    );
    const token = (t) => "\u201c" + lookShown(look.tokens.clean[t]) + "\u201d (" + t + ")";
    showTip(event, "from " + token(query) + "\nto " + token(key) + "\n" + weights.join("\n"));
  });
  reach.addEventListener("mouseleave", () => {
    hideTip();
    scene.hover(null);
  });
  reach.addEventListener("click", (event) => scene.choose("query", at(event).query));
}

function onKeys({ reach, scene }) {
  const { length } = scene;
  const ways = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 };
  reach.addEventListener("keydown", (event) => {
    const move = { ...ways, Home: -length, End: length }[event.key];
    if (move == null) return;
    event.preventDefault();
    scene.choose("query", Math.max(0, Math.min(length - 1, scene.query + move)));
  });
}

function paint({ canvas, caption, scale, scene, box, cell }) {
  const { layer, head } = scene.head,
    { length } = scene,
    signed = scene.mode === "difference";
  const shade = lookShade(signed),
    ctx = canvas.getContext("2d");
  const fill = (weight, ...place) => {
    const [r, g, b] = shade(weight);
    ctx.fillStyle = "rgb(" + r + "," + g + "," + b + ")";
    ctx.fillRect(...place);
  };
  ctx.clearRect(0, 0, canvas.width, canvas.height);
  for (let q = 0; q < length; q++) {
    for (let k = 0; k < length; k++) {
      const weight = scene.weight(layer, head, q, k);
      fill(weight, box.left + k * cell, box.top + q * cell, cell, cell);
    }
  }
  caption.firstChild.textContent =
    "Head a" + layer + ".h" + head + ", " + LOOK_MODES[scene.mode] + " ";
  // The scale: weights from 0 to 1, or differences from -1 to 1.
  const x = box.left + box.width + 18,
    height = Math.min(140, box.height),
    low = signed ? -1 : 0;
  for (let i = 0; i < height; i++) {
    fill(low + (1 - low) * (1 - i / height), x, box.top + i, 12, 1);
  }
  const values = (signed ? [1, 0, -1] : [1, 0.5, 0]).map((value, i) => {
    const place = { x: x + 16, y: box.top + 4 + (i * height) / 2 };
    return svg("text", { class: "axis", ...place }, number2(value));
  });
  scale.replaceChildren(
    svg("rect", { class: "frame", x, y: box.top, width: 12, height }),
    ...values,
    svg("text", { class: "axis", x: x - 4, y: box.top + height + 16 }, "weight"),
  );
}

function mark({ row, reach, scene, box, cell }) {
  const token = lookShown(scene.look.tokens.clean[scene.query]);
  row.setAttribute("y", box.top + scene.query * cell);
  reach.setAttribute("aria-valuenow", scene.query);
  reach.setAttribute("aria-valuetext", "position " + scene.query + ", " + token);
}
