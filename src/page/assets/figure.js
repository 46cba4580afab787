// A figure: a caption, a drawing, perhaps a canvas below it, and a button that saves both.

import { el } from "./dom.js";
import { number2 } from "./numbers.js";
import { color } from "./theme.js";

const SVG = "http://www.w3.org/2000/svg";
export function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value != null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

/// `title` and `note` are the caption, `name` the file that the button saves. With `layer` there is
/// a canvas of the same size below the drawing.
export function figure(parent, { title, note, width, height, name, layer }) {
  const root = svg("svg", {
    viewBox: "0 0 " + width + " " + height,
    role: "img",
    "aria-label": title,
  });
  const stack = el("div", { class: "stack" });
  keepReadable(stack, width);
  let canvas = null;
  if (layer) {
    canvas = el("canvas", { width, height, "aria-hidden": "true" });
    stack.append(canvas);
  }
  stack.append(root);
  const save = el(
    "button",
    { type: "button", class: "save", "aria-label": "Save as SVG: " + title, title: "Save as SVG" },
    "SVG",
  );
  save.addEventListener("click", () => saveDrawing(root, canvas, name || title));
  const caption = el("figcaption", {}, title + " ", note && el("span", { class: "quiet" }, note));
  const node = el(
    "figure",
    { class: "drawing" },
    el("div", { class: "bar" }, caption, save),
    el("div", { class: "room" }, stack),
  );
  node.style.maxWidth = 2 * width + "px";
  parent.append(node);
  return { node, root, canvas, caption };
}

/// On narrow screens a drawing of this width is scrolled sideways rather than made so small that
/// its text cannot be read, and the text of those that are made smaller is larger in them.
export function keepReadable(stack, width) {
  stack.style.setProperty("--width", width + "px");
  stack.classList.toggle("wide", width > 400);
}

// What the style sheet says is written into the copy, so that it looks the same anywhere.
const STYLED = [
  "fill",
  "stroke",
  "stroke-width",
  "stroke-dasharray",
  "stroke-opacity",
  "fill-opacity",
  "opacity",
  "font-size",
  "font-weight",
  "font-family",
  "text-anchor",
  "paint-order",
  "visibility",
  "display",
];
function saveDrawing(root, canvas, name) {
  const copy = root.cloneNode(true);
  const [from, to] = [root, copy].map((node) => [...node.querySelectorAll("*")]);
  from.forEach((node, i) => {
    const style = getComputedStyle(node);
    for (const property of STYLED) to[i].setAttribute(property, style.getPropertyValue(property));
    for (const attribute of ["class", "tabindex", "role"]) to[i].removeAttribute(attribute);
  });
  const { width, height } = root.viewBox.baseVal;
  copy.setAttribute("xmlns", SVG);
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  const paper = svg("rect", { width, height, fill: color("paper") });
  copy.prepend(paper);
  if (canvas) {
    paper.after(
      svg("image", { width, height, href: canvas.toDataURL(), "image-rendering": "pixelated" }),
    );
  }
  saveText(
    name.replace(/[^\w=.-]+/g, "-") + ".svg",
    "image/svg+xml",
    new XMLSerializer().serializeToString(copy),
  );
}
function saveText(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/// Ticks, labels and a frame for the d3 scales `x` and `y`, whose ranges are the box's sides.
export function axes(root, { x, y, xLabel, yLabel, box, ticks = 5, xFormat, yFormat }) {
  const group = svg("g", { class: "axes", "aria-hidden": "true" });
  const { left, top, width, height } = box;
  const named = (scale, format) =>
    (scale.ticks ? scale.ticks(ticks) : scale.domain()).map((value) => [
      scale(value) + (scale.bandwidth ? scale.bandwidth() / 2 : 0),
      format ? format(value) : number2(value),
    ]);
  for (const [at, text] of named(x, xFormat)) {
    group.append(svg("line", { class: "zero", x1: at, x2: at, y1: top, y2: top + height }));
    group.append(
      svg("text", { class: "axis", x: at, y: top + height + 13, "text-anchor": "middle" }, text),
    );
  }
  for (const [at, text] of named(y, yFormat)) {
    group.append(svg("line", { class: "zero", x1: left, x2: left + width, y1: at, y2: at }));
    group.append(
      svg("text", { class: "axis", x: left - 5, y: at + 4, "text-anchor": "end" }, text),
    );
  }
  group.append(svg("rect", { class: "frame", x: left, y: top, width, height }));
  const middle = { x: left + width / 2, y: top + height / 2 };
  if (xLabel) {
    group.append(
      svg(
        "text",
        { class: "axis", x: middle.x, y: top + height + 29, "text-anchor": "middle" },
        xLabel,
      ),
    );
  }
  if (yLabel) {
    group.append(
      svg(
        "text",
        {
          class: "axis",
          "text-anchor": "middle",
          transform: "translate(11," + middle.y + ") rotate(-90)",
        },
        yLabel,
      ),
    );
  }
  root.append(group);
  return group;
}
