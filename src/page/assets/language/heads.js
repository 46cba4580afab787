// Patterns of all heads, a small one for each by layer and head; one of them is chosen.

/* global d3 */
import { el, hideTip, showTip } from "../dom.js";
import { number } from "../numbers.js";
import { color } from "../theme.js";
import { lookQuoted } from "./words.js";

export function lookHeads(place, scene) {
  const { look } = scene;
  const label = "Heads by layer (down) and number (across); arrow keys move";
  const grid = el("div", { class: "head-grid", role: "radiogroup", "aria-label": label });
  const note = el("span", { class: "quiet" }, "queries down, keys across; click one");
  place.append(
    el(
      "div",
      { class: "look-heads" },
      el("h4", {}, "Heads ", note),
      el("div", { class: "scroll" }, grid),
    ),
  );
  grid.style.gridTemplateColumns = "auto repeat(" + look.heads + ", minmax(26px, 120px))";
  const name = (text) => el("span", { class: "head-name" }, text);
  grid.append(el("span", {}), ...d3.range(look.heads).map((head) => name("h" + head)));
  const cells = d3.range(look.layers).map((layer) => {
    const line = d3.range(look.heads).map((head) => headCell(scene, layer, head));
    grid.append(name("a" + layer), ...line.map((cell) => cell.button));
    return line;
  });
  headKeys(grid, scene, cells);
  const paint = () => paintHeads(scene, cells.flat());
  const mark = () => markHeads(scene, cells.flat());
  scene.on("mode", paint);
  scene.on("theme", paint);
  scene.on("head", mark);
  paint();
  mark();
}

function headCell(scene, layer, head) {
  const { length } = scene;
  const canvas = el("canvas", { width: length, height: length, "aria-hidden": "true" });
  const label = "layer " + layer + ", head " + head;
  const role = { type: "button", role: "radio", class: "head-pattern", "aria-label": label };
  const button = el("button", role, canvas);
  button.addEventListener("click", () => scene.choose("head", "a" + layer + ".h" + head));
  button.addEventListener("mousemove", (event) => {
    showTip(event, lookHeadSaid(scene, layer, head));
  });
  button.addEventListener("mouseleave", hideTip);
  return { layer, head, canvas, button };
}

function headKeys(grid, scene, cells) {
  const ways = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  grid.addEventListener("keydown", (event) => {
    const [down, across] = ways[event.key] ?? [];
    if (down == null) return;
    event.preventDefault();
    const { layer, head } = scene.head;
    const to = cells[layer + down]?.[head + across];
    if (!to) return;
    scene.choose("head", "a" + to.layer + ".h" + to.head);
    to.button.focus();
  });
}

function paintHeads(scene, cells) {
  const { length } = scene;
  const shade = lookShade(scene.mode === "difference");
  for (const { layer, head, canvas } of cells) {
    const ctx = canvas.getContext("2d"),
      image = ctx.createImageData(length, length);
    for (let q = 0; q < length; q++) {
      for (let k = 0; k < length; k++) {
        image.data.set(shade(scene.weight(layer, head, q, k)), 4 * (q * length + k));
      }
    }
    ctx.putImageData(image, 0, 0);
  }
}

function markHeads(scene, cells) {
  const { layer, head } = scene.head;
  for (const cell of cells) {
    const mine = cell.layer === layer && cell.head === head;
    cell.button.setAttribute("aria-checked", String(mine));
    cell.button.tabIndex = mine ? 0 : -1;
  }
}

function lookHeadSaid(scene, layer, head) {
  const { look, length } = scene,
    t = look.position;
  const order = d3
    .range(length)
    .sort(
      (a, b) => scene.weight(layer, head, t, b, "clean") - scene.weight(layer, head, t, a, "clean"),
    )
    .slice(0, 3);
  const line = (k) =>
    `  ${lookQuoted(look.tokens.clean[k])} at ${k}: ${number(scene.weight(layer, head, t, k, "clean"))}`;
  return `a${layer}.h${head}, clean, from position ${t}:\n${order.map(line).join("\n")}`;
}

/// A function from weights to `[r, g, b, 255]`: from the page's panel to a colour, or to two for
/// differences.
export function lookShade(signed) {
  const [empty, positive, negative] = ["panel", signed ? "positive" : "group0", "negative"].map(
    (name) => d3.rgb(color(name)),
  );
  const count = 64;
  const ramp = (end) =>
    d3.range(count + 1).map((i) => {
      const c = d3.rgb(d3.interpolateRgb(empty, end)(i / count));
      return [c.r, c.g, c.b, 255];
    });
  const [up, down] = [ramp(positive), ramp(negative)];
  return (weight) =>
    (weight < 0 && signed ? down : up)[Math.round(Math.min(1, Math.abs(weight)) * count)] ?? up[0];
}
