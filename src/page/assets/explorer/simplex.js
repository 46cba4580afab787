// Class probabilities of the samples: a segment, a triangle or a regular polygon with a class at
// each corner, a point at the mean of the corners weighted by the probabilities.
const SIMPLEX_BOX = { left: 46, top: 8, width: 222, height: 214 };

function simplexPanel(parent, spec, arm) {
  const picture = explorerFigure(parent, spec, arm, PLANE);
  const { root } = picture;
  const panel = { arm, view: null };
  let backdrop = svg("g", {});
  root.append(backdrop);
  const [layer] = spec.layers;
  const describe = (i, short) => layer.describe(panel, i, short);
  const points = pointLayer(root, { kind: "sample", count: layer.count(arm), describe });
  pickPoints(root, [points]);
  let toX = null, toY = null;

  function dress() {
    const { task } = panel.view, next = svg("g", { class: "axes" });
    if (task.p === 2) {
      const most = task.k, { left, top, width, height } = SIMPLEX_BOX;
      toX = d3.scaleLinear([-0.04, 1.04], [left, left + width]);
      toY = d3.scaleLinear([-0.5, most + 0.5], [top + height, top]);
      axes(next, { x: toX, y: toY, xLabel: "p(class 1) / (p(class 0) + p(class 1))", yLabel: "sum", box: SIMPLEX_BOX });
    } else {
      const { x, y, r } = { x: PLANE.width / 2, y: 118, r: task.p === 3 ? 100 : 88 };
      toX = (value) => x + r * value;
      toY = (value) => (task.p === 3 ? y + 18 : y) - r * value;
      const corners = simplexCorners(task.p);
      const sides = corners.map(([a, b]) => pathPoint(toX(a), toY(b)));
      next.append(svg("path", { class: "frame", d: "M" + sides.join("L") + "Z" }));
      const every = Math.ceil(task.p / 24);
      corners.forEach(([a, b], c) => {
        if (c % every) return;
        const transform = "translate(" + pathPoint(toX(a) + 13 * a, toY(b) - 13 * b) + ")";
        next.append(svg("path", { d: markShape(c, 50), fill: classColor(c, task.p), transform }));
        next.append(svg("text", { x: toX(a) + 26 * a, y: toY(b) - 25 * b + 4, "text-anchor": "middle" }, String(c)));
      });
    }
    backdrop.replaceWith(next);
    backdrop = next;
    points.dress(layer.marks(panel), true);
  }
  function move(view, before, options) {
    const changed = panel.view?.task !== view.task;
    Object.assign(panel, { view, before, options });
    if (changed) dress();
    const { xy, spare } = simplexPlaces(view);
    points.move(xy, toX, toY);
    layer.after(panel, points);
    const { p } = view.task, right = view.best.slice(0, view.task.n).filter((v, i) => v === view.task.answer[i]).length;
    const shape = p === 2 ? "Segment; height is the sum." : p === 3 ? "Triangle, corners are classes."
      : "Regular polygon of " + p + " classes: corners and sides are exact, inside several mixtures share a place.";
    const little = spare < 5e-4 ? "less than 0.1 %" : "at most " + percent(spare);
    picture.say(right + " of " + view.task.n + " samples right. " + shape
      + (arm.V > p ? " Spare tokens hold " + little + " and are left out." : ""));
    focus();
  }
  function focus() { if (panel.view) points.focus(); }
  function recolor() {
    if (!panel.view) return;
    dress();
    move(panel.view, panel.before, panel.options);
  }
  return { node: picture.node, move, focus, recolor };
}

function simplexCorners(p) {
  return Array.from({ length: p }, (_, c) => {
    const angle = Math.PI / 2 - (2 * Math.PI * c) / p;
    return [Math.cos(angle), Math.sin(angle)];
  });
}
function simplexPlaces({ task, chance, weights: { V } }) {
  const { n, p, sum } = task, xy = new Float64Array(2 * n), corners = simplexCorners(p);
  let spare = 0;
  for (let i = 0; i < n; i++) {
    let used = 0;
    for (let c = 0; c < p; c++) used += chance[i * V + c];
    spare = Math.max(spare, 1 - used);
    if (p === 2) {
      xy[2 * i] = chance[i * V + 1] / used;
      // Equal sums side by side, so that points of one sum can be told apart.
      xy[2 * i + 1] = sum[i] + 0.5 * ((((i * 7) % 16) + 0.5) / 16 - 0.5);
      continue;
    }
    for (let c = 0; c < p; c++) {
      xy[2 * i] += (chance[i * V + c] / used) * corners[c][0];
      xy[2 * i + 1] += (chance[i * V + c] / used) * corners[c][1];
    }
  }
  return { xy, spare };
}
