// Places and paths in the pictures of points: numbers alone, no page.

/* global d3 */
import { number2 } from "../numbers.js";

export const PLANE = { width: 280, height: 262, left: 46, right: 8, top: 6, bottom: 34 };
export const PLANE_BOX = {
  left: PLANE.left,
  top: PLANE.top,
  width: PLANE.width - PLANE.left - PLANE.right,
  height: PLANE.height - PLANE.top - PLANE.bottom,
};

export function pathPoint(x, y) {
  return x.toFixed(1) + " " + y.toFixed(1);
}
export function circlePath(x, y, r) {
  const [a, b, c] = [x - r, y, r].map((value) => value.toFixed(1));
  return (
    "M" +
    a +
    " " +
    b +
    "a" +
    c +
    " " +
    c +
    " 0 1 0 " +
    2 * c +
    " 0a" +
    c +
    " " +
    c +
    " 0 1 0 " +
    -2 * c +
    " 0"
  );
}
export function planeTick(value) {
  return Math.abs(value) >= 1e4 ? d3.format("~s")(value) : number2(value);
}
export function edgeOf(x, y) {
  const { left, top, width, height } = PLANE_BOX;
  return [Math.min(Math.max(x, left), left + width), Math.min(Math.max(y, top), top + height)];
}

// Strokes from the origin to rows in the plane.
export function raysTo(panel, xy) {
  const [x0, y0] = [panel.x(0), panel.y(0)];
  let d = "";
  for (let i = 0; i < xy.length; i += 2) {
    const [x, y] = [panel.x(xy[i]), panel.y(xy[i + 1])];
    if (x === x && y === y) d += "M" + pathPoint(x0, y0) + "L" + pathPoint(x, y);
  }
  return d;
}
export function arrowTo(x0, y0, x, y, head) {
  const size = Math.hypot(x - x0, y - y0);
  if (!(size > 0.5)) return "";
  const [dx, dy] = [((x - x0) / size) * head, ((y - y0) / size) * head];
  const end = "L" + pathPoint(x, y),
    [left, right] = [1, -1].map((side) =>
      pathPoint(x - dx - (side * dy) / 2, y - dy + (side * dx) / 2),
    );
  return "M" + pathPoint(x0, y0) + end + "M" + left + end + "L" + right;
}
