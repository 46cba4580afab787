// A picture of points in a plane that stands still through the run: coordinates or components.
const PLANE = { width: 280, height: 262, left: 46, right: 8, top: 6, bottom: 34 };
const PLANE_BOX = {
  left: PLANE.left, top: PLANE.top,
  width: PLANE.width - PLANE.left - PLANE.right, height: PLANE.height - PLANE.top - PLANE.bottom,
};

/// `spec`: see panels.js. One arm's picture of it.
function planePanel(parent, spec, arm) {
  const picture = explorerFigure(parent, spec, arm, PLANE);
  const { root } = picture;
  const plane = fitPlane(spec.rows(arm.lastView()), arm.lastView().weights.D);
  const fitted = steps(arm.frames[arm.lastView().frame]);
  const whole = planeArea(arm.someViews(12), spec, plane);
  const panel = { arm, plane, root, area: null, x: null, y: null, view: null, before: null, canvas: picture.canvas };

  let frame = null;
  const axisNames = plane.own ? ["coordinate 1", "coordinate 2"]
    : plane.explained.map((share, i) => "component " + (i + 1) + " (" + percent(share) + " of variance)");
  function setArea(area) {
    panel.area = area;
    panel.x = d3.scaleLinear([area.x0, area.x1], [PLANE_BOX.left, PLANE_BOX.left + PLANE_BOX.width]);
    panel.y = d3.scaleLinear([area.y0, area.y1], [PLANE_BOX.top + PLANE_BOX.height, PLANE_BOX.top]);
    const next = axes(root, {
      x: panel.x, y: panel.y, xLabel: axisNames[0], yLabel: axisNames[1], box: PLANE_BOX,
      ticks: 4, xFormat: planeTick, yFormat: planeTick,
    });
    if (frame) frame.replaceWith(next);
    else root.append(next);
    frame = next;
    origin.setAttribute("transform", "translate(" + panel.x(0) + "," + panel.y(0) + ")");
    const [x, y] = edgeOf(panel.x(0), panel.y(0));
    origin.setAttribute("display", x === panel.x(0) && y === panel.y(0) ? "inline" : "none");
  }
  const origin = svg("path", { class: "origin", d: "M-4 0H4M0 -4V4" });
  setArea(whole);
  const under = svg("g", { class: "under" });
  root.append(under, origin);
  const regions = spec.layer ? regionPainter(panel, spec.layer, under) : null;
  const decoration = spec.decorate ? spec.decorate(panel, under) : null;
  const arrows = spec.moves ? under.appendChild(svg("path", { class: "moves" })) : null;
  const layers = spec.layers.map((layer) => ({
    ...layer,
    points: pointLayer(root, {
      kind: layer.kind, count: layer.count(arm), ring: layer.ring,
      describe: (i, short) => layer.describe(panel, i, short),
    }),
  }));
  const labels = spec.labels ? pointLabels(root, layers[0].points, spec.labels(arm)) : null;
  pickPoints(root, layers.map((layer) => layer.points));
  const linked = spec.linked ? root.appendChild(svg("path", { class: "linked" })) : null;

  function dress() {
    for (const { points, marks } of layers) points.dress(marks(panel), true);
  }
  // How much of the variance the plane holds is worked out once for each view.
  const shares = new WeakMap();
  function share(view) {
    if (!shares.has(view)) shares.set(view, shareInPlane(spec.rows(view), plane));
    return shares.get(view);
  }
  function move(view, before, options) {
    const changed = panel.view?.task !== view.task;
    Object.assign(panel, { view, before, options });
    if (changed) dress();
    if (options.fit) setArea(planeArea([view], spec, plane));
    else if (panel.area !== whole) setArea(whole);
    let beyond = 0;
    for (const { points, rows } of layers) beyond += points.move(inPlane(rows(view), plane), panel.x, panel.y, edgeOf);
    for (const layer of layers) layer.after?.(panel, layer.points);
    regions?.coarse();
    decoration?.();
    arrows?.setAttribute("d", before ? movement(panel, spec.rows) : "");
    labels?.();
    picture.say([
      plane.own ? "" : "Components of step " + fitted + "; " + percent(share(view)) + " of the variance at this step.",
      spec.readout ? spec.readout(panel) : "",
      beyond ? "Beyond the axes, drawn at the edge: " + beyond + "." : "",
    ].filter(Boolean).join(" "));
    focus();
  }
  // What belongs to the sample in focus: the table's rows of its tokens, as large as their attention.
  function focus() {
    if (!panel.view) return;
    for (const { points } of layers) points.focus();
    decoration?.focus?.();
    linked?.setAttribute("d", attendedCells(panel.view, layers[0].points.at, arm.positions));
  }
  function recolor() {
    if (!panel.view) return;
    dress();
    move(panel.view, panel.before, panel.options);
  }
  return { node: picture.node, move, focus, recolor, fine: regions?.fine };
}

function pathPoint(x, y) { return x.toFixed(1) + " " + y.toFixed(1); }
function circlePath(x, y, r) {
  const [a, b, c] = [x - r, y, r].map((value) => value.toFixed(1));
  return "M" + a + " " + b + "a" + c + " " + c + " 0 1 0 " + 2 * c + " 0a" + c + " " + c + " 0 1 0 " + -2 * c + " 0";
}
function attendedCells(view, at, positions) {
  const { length, tokens, n } = view.task, i = inFocus("sample", n);
  let d = "";
  for (let t = 0; i != null && t < length; t++) {
    const cell = tokens[i * length + t] * positions + t, r = 3 + 14 * Math.sqrt(view.attention[i * length + t]);
    if (at[2 * cell] === at[2 * cell] && r === r) d += circlePath(at[2 * cell], at[2 * cell + 1], r);
  }
  return d;
}

// Arrows from where the points were under the previous frame's weights.
function movement({ before, view, plane, x, y }, rows) {
  const [from, to] = [inPlane(rows(before), plane), inPlane(rows(view), plane)];
  let d = "";
  for (let i = 0; i < to.length; i += 2) {
    d += arrowTo(...edgeOf(x(from[i]), y(from[i + 1])), ...edgeOf(x(to[i]), y(to[i + 1])), 4);
  }
  return d;
}

// A figure with a line of its own below, for what changes with the step.
function explorerFigure(parent, spec, arm, { width, height }) {
  const picture = figure(parent, {
    title: arm.name, width, height, layer: Boolean(spec.layer), name: spec.id + "-" + arm.name + "-" + arm.run.key,
  });
  picture.root.setAttribute("aria-label", spec.title + ", " + arm.name);
  // A group of marks that can be reached, not one picture.
  picture.root.setAttribute("role", "group");
  if (picture.canvas) {
    picture.canvas.width = 2 * width;
    picture.canvas.height = 2 * height;
  }
  const line = el("p", { class: "quiet readout" });
  picture.node.append(line);
  return { ...picture, say: (text) => { if (line.textContent !== text) line.textContent = text; } };
}

/// The square-unit window that holds all points of the views, with a margin.
function planeArea(views, spec, plane) {
  let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
  const take = (x, y) => {
    if (!(Math.abs(x) < 1e9 && Math.abs(y) < 1e9)) return;
    x0 = Math.min(x0, x); x1 = Math.max(x1, x); y0 = Math.min(y0, y); y1 = Math.max(y1, y);
  };
  for (const view of views) {
    for (const rows of [...spec.layers.map((layer) => layer.rows(view)), ...(spec.extent ? spec.extent(view) : [])]) {
      const xy = inPlane(rows, plane);
      for (let i = 0; i < xy.length; i += 2) take(xy[i], xy[i + 1]);
    }
  }
  if (spec.origin || !(x1 >= x0)) take(0, 0);
  const unit = Math.max((x1 - x0) / PLANE_BOX.width, (y1 - y0) / PLANE_BOX.height, 1e-6) * 1.12;
  const [x, y, w, h] = [(x0 + x1) / 2, (y0 + y1) / 2, (unit * PLANE_BOX.width) / 2, (unit * PLANE_BOX.height) / 2];
  return { x0: x - w, x1: x + w, y0: y - h, y1: y + h };
}

function planeTick(value) { return Math.abs(value) >= 1e4 ? d3.format("~s")(value) : number2(value); }
function edgeOf(x, y) {
  const { left, top, width, height } = PLANE_BOX;
  return [Math.min(Math.max(x, left), left + width), Math.min(Math.max(y, top), top + height)];
}

// Labels beside points, each at the first side where nothing is in its way; without one it is left out.
function pointLabels(root, points, texts) {
  const nodes = texts.map((text) =>
    root.appendChild(svg("text", { class: "halo", "text-anchor": "middle", "aria-hidden": "true" }, text)));
  const sides = [[9, -6], [-9, -6], [9, 9], [-9, 9], [0, -10], [0, 12], [13, 1], [-13, 1]];
  return () => {
    const taken = [];
    const { left, top, width, height } = PLANE_BOX;
    const free = (x, y, w) => x - w > left && x + w < left + width && y - 6 > top && y + 6 < top + height
      && taken.every((box) => Math.abs(x - box.x) > w + box.w || Math.abs(y - box.y) > 6 + box.h);
    for (let i = 0; i < nodes.length; i++) taken.push({ x: points.at[2 * i], y: points.at[2 * i + 1], w: 4, h: 3 });
    nodes.forEach((node, i) => {
      const w = 3.4 * texts[i].length, [x, y] = [points.at[2 * i], points.at[2 * i + 1]];
      const side = x === x ? sides.find(([dx, dy]) => free(x + dx + Math.sign(dx) * (w - 3.4), y + dy, w)) : null;
      node.setAttribute("display", side ? "inline" : "none");
      if (!side) return;
      const place = { x: x + side[0] + Math.sign(side[0]) * (w - 3.4), y: y + side[1], w, h: 5 };
      taken.push(place);
      node.setAttribute("x", place.x.toFixed(1));
      node.setAttribute("y", (place.y + 4).toFixed(1));
    });
  };
}
