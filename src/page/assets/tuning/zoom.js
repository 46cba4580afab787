// Dragging a box in a drawing to look closer; a double click shows all again.

import { svg } from "../figure.js";

/// `scales()` are the axes of now; `zoom` is called with the domains of the box, or null for all.
export function tuningZoom(root, box, scales, zoom) {
  let from = null,
    frame = null;
  const at = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(
      root.getScreenCTM().inverse(),
    );
    return [
      Math.min(Math.max(point.x, box.left), box.left + box.width),
      Math.min(Math.max(point.y, box.top), box.top + box.height),
    ];
  };
  root.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest(".method")) return;
    event.preventDefault();
    from = at(event);
    frame = svg("rect", { class: "zooming" });
    root.append(frame);
    root.setPointerCapture(event.pointerId);
  });
  root.addEventListener("pointermove", (event) => {
    if (!from) return;
    const to = at(event);
    const [x, y] = [Math.min(from[0], to[0]), Math.min(from[1], to[1])];
    const size = { x, y, width: Math.abs(from[0] - to[0]), height: Math.abs(from[1] - to[1]) };
    for (const [name, value] of Object.entries(size)) frame.setAttribute(name, value);
  });
  root.addEventListener("pointerup", (event) => {
    if (!from) return;
    const to = at(event),
      start = from;
    from = null;
    frame.remove();
    if (Math.abs(to[0] - start[0]) < 8 || Math.abs(to[1] - start[1]) < 8) return;
    const range = (scale, i) => [scale.invert(start[i]), scale.invert(to[i])].sort((a, b) => a - b);
    zoom({ x: range(scales().x, 0), y: range(scales().y, 1) });
  });
  root.addEventListener("pointercancel", () => {
    from = null;
    frame?.remove();
  });
  root.addEventListener("dblclick", () => zoom(null));
}
