// A layer of points in a picture: nodes are made once and only moved. One of them can be reached by
// Tab, the others from it by arrow keys; the point nearest to the pointer is the one in focus.

// What is in focus is told apart by kind; a sample's name is shared with the rest of the page.
function focusName(kind) { return kind === "sample" ? "sample" : "explore-" + kind; }
/// The one of `count` that is in focus; what an address says may be anything.
function inFocus(kind, count) {
  const i = state[focusName(kind)];
  return Number.isInteger(i) && i >= 0 && i < count ? i : null;
}
/// Where an arrow key leads from the i-th of n, round and round.
function keyTarget(key, i, n) {
  const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[key];
  if (key === "Home" || key === "End") return key === "Home" ? 0 : n - 1;
  return way && (i + way + n) % n;
}
let explorerPinned = false;

/// `count` points of a `kind`; `describe(i, short)` says what a point is.
function pointLayer(root, { kind, count, describe, ring = 7 }) {
  // What all points share, the group says for them: a node without a class is restyled in half the time.
  const group = svg("g", { class: "points " + kind });
  const nodes = Array.from({ length: count }, (_, i) =>
    svg("path", { "data-point": i, role: "button", tabindex: -1 }));
  const circle = svg("circle", { class: "ring", r: ring, display: "none" });
  group.append(...nodes, circle);
  root.append(group);
  const at = new Float32Array(2 * count).fill(NaN), written = nodes.map(() => ({}));
  let shown = count, stop = 0;

  function write(i, node, name, value) {
    if (written[i][name] === value) return;
    written[i][name] = value;
    node.setAttribute(name, value);
  }

  function reach(i) {
    nodes[stop]?.setAttribute("tabindex", -1);
    stop = Math.max(0, Math.min(i ?? 0, shown - 1));
    nodes[stop]?.setAttribute("tabindex", 0);
  }
  group.addEventListener("keydown", (event) => {
    const i = Number(event.target.dataset.point);
    const next = keyTarget(event.key, i, shown);
    if (event.key === "Enter" || event.key === " ") pin(i);
    else if (event.key === "Escape") explorerPinned = false;
    else if (next === undefined) return;
    else {
      reach(next);
      nodes[next].focus({ preventScroll: true });
    }
    event.preventDefault();
    event.stopPropagation();
  });
  group.addEventListener("focusin", (event) => set(focusName(kind), Number(event.target.dataset.point)));
  function pin(i) {
    explorerPinned = kind === "sample";
    set(focusName(kind), i);
  }
  reach(0);

  return {
    kind, at, group, pin, describe,
    /// `marks[i]` is {d, fill, stroke, hidden?}; points beyond them are not shown. Only what changes is
    /// written, since a mark that is touched is drawn anew; `renamed` if descriptions changed too.
    dress(marks, renamed) {
      shown = marks.length;
      nodes.forEach((node, i) => {
        const mark = marks[i], display = mark && !mark.hidden ? "inline" : "none";
        write(i, node, "display", display);
        if (!mark) return;
        for (const name of ["d", "fill", "stroke"]) if (mark[name] != null) write(i, node, name, mark[name]);
        if (renamed) node.setAttribute("aria-label", describe(i, true));
      });
      reach(stop);
    },
    /// Places the points; `inside` moves what lies beyond the picture to its edge. How many did.
    move(xy, toX, toY, inside) {
      let beyond = 0;
      for (let i = 0; i < shown; i++) {
        const x = toX(xy[2 * i]), y = toY(xy[2 * i + 1]);
        const [cx, cy] = inside ? inside(x, y) : [x, y];
        if (cx !== x || cy !== y) beyond += 1;
        at[2 * i] = cx;
        at[2 * i + 1] = cy;
        if (cx === cx && cy === cy) write(i, nodes[i], "transform", "translate(" + pathPoint(cx, cy) + ")");
      }
      at.fill(NaN, 2 * shown);
      return beyond;
    },
    flag(test) {
      for (let i = 0; i < shown; i++) write(i, nodes[i], "class", test(i) ? "wrong" : "");
    },
    focus() {
      const i = inFocus(kind, shown), seen = i != null && at[2 * i] === at[2 * i];
      circle.setAttribute("display", seen ? "inline" : "none");
      if (!seen) return;
      circle.setAttribute("cx", at[2 * i]);
      circle.setAttribute("cy", at[2 * i + 1]);
      if (i !== stop) reach(i);
    },
    nearest(x, y) {
      let best = { distance: 14, layer: this, i: -1 };
      for (let i = 0; i < shown; i++) {
        const distance = Math.hypot(at[2 * i] - x, at[2 * i + 1] - y);
        if (distance < best.distance) best = { distance, layer: this, i };
      }
      return best;
    },
  };
}

/// The pointer over a picture: what is nearest comes into focus, a click holds a sample.
function pickPoints(root, layers) {
  const { width, height } = root.viewBox.baseVal;
  const under = (event) => {
    const mark = event.target.closest?.("[data-point]");
    const own = mark && layers.find((layer) => layer.group.contains(mark));
    if (own) return { layer: own, i: Number(mark.dataset.point) };
    const box = root.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * width, y = ((event.clientY - box.top) / box.height) * height;
    return layers.map((layer) => layer.nearest(x, y)).reduce((a, b) => (b.distance < a.distance ? b : a));
  };
  root.addEventListener("pointermove", (event) => {
    const { layer, i } = under(event);
    if (i < 0) return hideTip();
    showTip(event, layer.describe(i));
    if (layer.kind !== "sample" || !explorerPinned) set(focusName(layer.kind), i);
  });
  root.addEventListener("pointerleave", hideTip);
  root.addEventListener("click", (event) => {
    const { layer, i } = under(event);
    if (i >= 0) layer.pin(i);
    else explorerPinned = false;
  });
}
