// Decision regions below the points: at once on a coarse grid, and on a fine one with level lines
// when the slider rests. All from the weights of the step.

/* global d3 */
import { svg } from "../figure.js";
import { classColor, explorerPalette } from "./palette.js";
import { PLANE, PLANE_BOX } from "./places.js";
import { restOf } from "./plane-fit.js";
import { fillRegions, foldOutput, planeSlice } from "./slice.js";

const COARSE = 40,
  FINE = 200,
  SHADES = 64,
  LEVELS = [0.5, 0.9, 0.99];
const LEVEL_CLASSES = 12;

/// `kind`: "mlp" for softmax(E (g + MLP(norm g))), "output" for softmax(E g).
export function regionPainter(panel, kind, group) {
  const lines = LEVELS.map((_, i) => group.appendChild(svg("path", { class: "level level" + i })));
  const picture = document.createElement("canvas");
  function coarse() {
    const best = new Uint16Array(COARSE * COARSE),
      share = new Float32Array(COARSE * COARSE);
    fillRegions(sliceOf(panel, kind), panel.area, COARSE, 0, COARSE, best, share, null);
    paint(panel, picture, COARSE, best, share);
    for (const line of lines) line.setAttribute("d", "");
  }
  // In pieces: whoever runs it goes on when there is time.
  function* fine() {
    const n = FINE,
      V = panel.view.weights.V,
      slice = sliceOf(panel, kind),
      area = panel.area;
    const best = new Uint16Array(n * n),
      share = new Float32Array(n * n);
    const all =
      V <= 4 * LEVEL_CLASSES ? Array.from({ length: V }, () => new Float32Array(n * n)) : null;
    const piece = Math.max(1, Math.floor(2e5 / (n * (slice.F + 8) * Math.max(1, V / 4))));
    for (let row = 0; row < n; row += piece) {
      fillRegions(slice, area, n, row, Math.min(n, row + piece), best, share, all);
      yield;
    }
    paint(panel, picture, n, best, share);
    yield;
    const seen = [...new Set(best)];
    if (!all || seen.length > LEVEL_CLASSES) return;
    for (const [i, level] of LEVELS.entries()) {
      let d = "";
      for (const v of seen) {
        d += levelPath(d3.contours().size([n, n]).contour(all[v], level), n);
        yield;
      }
      lines[i].setAttribute("d", d);
    }
  }
  return { coarse, fine };
}

function sliceOf({ view, plane }, kind) {
  const rows = kind === "mlp" ? view.xi : view.out;
  const folded = kind === "mlp" ? (view.folded ??= foldOutput(view.weights)) : null;
  return planeSlice(view.weights, plane, restOf(rows, plane), folded);
}

function paint({ view, canvas }, picture, n, best, share) {
  const colors = regionColors(view),
    V = view.weights.V;
  picture.width = picture.height = n;
  const ctx = picture.getContext("2d"),
    image = ctx.createImageData(n, n),
    words = new Uint32Array(image.data.buffer);
  for (let i = 0; i < n * n; i++) {
    const sure = (share[i] - 1 / V) / (1 - 1 / V);
    const shade = Math.min(SHADES - 1, Math.max(0, (sure * SHADES) | 0));
    words[i] = sure === sure ? colors[best[i] * SHADES + shade] : 0;
  }
  ctx.putImageData(image, 0, 0);
  const to = canvas.getContext("2d"),
    scale = canvas.width / PLANE.width;
  to.setTransform(scale, 0, 0, scale, 0, 0);
  to.clearRect(0, 0, PLANE.width, PLANE.height);
  to.drawImage(picture, PLANE_BOX.left, PLANE_BOX.top, PLANE_BOX.width, PLANE_BOX.height);
}

// Rings in grid cells (first row at the top) as strokes in the picture, without the picture's
// sides.
function levelPath(contour, n) {
  const { left, top, width, height } = PLANE_BOX;
  const edge = ([x, y]) => x < 0.51 || y < 0.51 || x > n - 0.51 || y > n - 0.51;
  let d = "";
  for (const ring of contour.coordinates.flat()) {
    let drawing = false;
    for (let i = 1; i < ring.length; i++) {
      const [from, to] = [ring[i - 1], ring[i]];
      if (edge(from) && edge(to)) {
        drawing = false;
        continue;
      }
      const at = ([x, y]) =>
        (left + (x / n) * width).toFixed(1) + " " + (top + (y / n) * height).toFixed(1);
      d += (drawing ? "L" : "M" + at(from) + "L") + at(to);
      drawing = true;
    }
  }
  return d;
}

// Words of red, green, blue and cover, for each token and how sure the model is of it.
const regionWords = new Map();
function regionColors({ weights: { V }, task: { p } }) {
  const name = V + ":" + p + explorerPalette().paper;
  if (!regionWords.has(name)) {
    const words = new Uint32Array(V * SHADES);
    for (let v = 0; v < V; v++) {
      const mix = d3.interpolateRgb(explorerPalette().paper, classColor(v, p));
      for (let s = 0; s < SHADES; s++) {
        const { r, g, b } = d3.rgb(mix(0.06 + (0.46 * s) / (SHADES - 1)));
        words[v * SHADES + s] =
          (0xff000000 | (Math.round(b) << 16) | (Math.round(g) << 8) | Math.round(r)) >>> 0;
      }
    }
    regionWords.set(name, words);
  }
  return regionWords.get(name);
}
