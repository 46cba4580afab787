// The drawing of a circuit. Edges are found by the place of the pointer, which need not hit a thin line, and by Tab and
// the arrow keys, in the order of their scores.
const CIRCUIT_WORDS = {
  time: { gained: "reinforced (came in)", lost: "pruned (dropped out)", kept: "stayed" },
  other: { gained: "gained", lost: "lost", kept: "kept" },
};

function circuitPicture(parent, pick) {
  const drawing = figure(parent, { title: "Circuit", width: 760, height: 480, name: "circuit" });
  const { root, node: box, caption } = drawing;
  box.classList.add("circuit-picture");
  root.setAttribute("role", "group");
  const layers = Object.fromEntries(
    ["axis", "lines", "halos", "edges", "over", "nodes", "labels", "legend"].map((name) => {
      const group = svg("g", { class: "circuit-" + name });
      root.append(group);
      return [name, group];
    }),
  );
  let scene = null,
    layout = null,
    items = [],
    wide = 0;

  function draw(next) {
    scene = next;
    const { view, drawn, unfold, colour, compare } = scene;
    const pooledTop = unfold.neurons && view.graph.layers === 1;
    // Asking for the width makes the browser lay the page out: only once, the observer tells later ones.
    wide ||= Math.round(Math.max(480, box.clientWidth || 760));
    const height = unfold.neurons ? 600 : 520,
      top = pooledTop ? 92 : 44;
    const legend = circuitLegend(scene, wide);
    const below = 22 + 18 * (1 + legend[legend.length - 1].row);
    root.setAttribute("viewBox", "0 0 " + wide + " " + (height + below));
    const left = view.k != null && unfold.positions ? 86 : 56;
    layout = circuitLayout(view.graph, drawn, unfold, {
      left,
      top,
      width: wide - left - 52,
      height: height - top - 10,
    });
    const most = Math.max(1e-30, ...drawn.map((edge) => Math.abs(edge.score)));
    const active = document.activeElement?.closest?.(".circuit-edges") ? document.activeElement.dataset.edge : null;

    items = drawn
      .map((edge) => ({ edge, curve: circuitCurve(layout, edge), width: circuitWidth(edge, most) }))
      .filter((item) => item.curve);
    const halos = [],
      paths = [];
    for (const item of items) {
      const { edge, curve } = item;
      item.d = "M" + curve.slice(0, 2).map(circuitRound) + "C" + curve.slice(2).map(circuitRound);
      // A halo says "came in": it is there whatever the colours show.
      if (edge.status === "gained" && colour === "sign") {
        halos.push(svg("path", { class: "circuit-halo", d: item.d, "stroke-width": item.width + 6 }));
      }
      item.path = svg("path", {
        class: circuitClass(edge, colour, compare),
        d: item.d,
        "stroke-width": item.width,
        tabindex: "-1",
        role: "button",
        "data-edge": edge.name,
        "aria-label": circuitTell(scene, edge).replace(/\n/g, ", "),
      });
      paths.push(item.path);
    }
    layers.halos.replaceChildren(...halos);
    layers.edges.replaceChildren(...paths.reverse());
    for (const [name, marks] of Object.entries(circuitNodeMarks(scene, layout, items, wide)))
      layers[name].replaceChildren(...marks);
    layers.legend.replaceChildren(...legend.map((item) => circuitLegendItem(item, height + 14)));
    root.setAttribute(
      "aria-label",
      "Circuit of " +
        items.length +
        " drawn edges; Tab goes to the strongest, arrow keys to weaker and stronger ones, Enter chooses",
    );
    mark();
    if (active) items.find((item) => item.edge.name === active)?.path.focus({ preventScroll: true });
  }

  // What is chosen gets an outline, and is where Tab goes.
  function mark() {
    const focus = items.find((item) => item.edge.name === scene.focus);
    layers.over.replaceChildren(
      ...(focus
        ? [
            svg("path", { class: "circuit-chosen", d: focus.d, "stroke-width": focus.width + 5 }),
            focus.path.cloneNode(),
          ]
        : []),
    );
    for (const item of items) item.path.setAttribute("tabindex", item === (focus ?? items[0]) ? "0" : "-1");
    if (layers.over.lastChild && focus)
      for (const name of ["tabindex", "role", "data-edge", "aria-label"]) layers.over.lastChild.removeAttribute(name);
  }

  function at(event) {
    const rect = root.getBoundingClientRect(),
      { width } = root.viewBox.baseVal;
    return [((event.clientX - rect.left) * width) / rect.width, ((event.clientY - rect.top) * width) / rect.width];
  }
  function nodeAt([x, y]) {
    let best = null,
      distance = 7;
    for (const node of layout.nodes.values()) {
      const d = Math.hypot(node.x - x, node.y - y);
      if (d < distance) [best, distance] = [node, d];
    }
    return best;
  }
  function edgeAt([x, y]) {
    let best = null,
      distance = 9;
    for (const item of items) {
      const c = item.curve;
      if (x < c[0] - 9 || x > c[6] + 9) continue;
      let [px, py] = c;
      for (let i = 1; i <= 24; i++) {
        const [qx, qy] = circuitCurvePoint(c, i / 24);
        const length = (qx - px) ** 2 + (qy - py) ** 2;
        const t = Math.max(0, Math.min(1, ((x - px) * (qx - px) + (y - py) * (qy - py)) / (length || 1)));
        const d = Math.hypot(px + t * (qx - px) - x, py + t * (qy - py) - y) - item.width / 2;
        if (d < distance) [best, distance] = [item, d];
        [px, py] = [qx, qy];
      }
    }
    return best;
  }
  function light(test) {
    for (const item of items) item.path.classList.toggle("dim", Boolean(test) && !test(item));
  }
  root.addEventListener("pointermove", (event) => {
    if (!layout) return;
    const point = at(event),
      node = nodeAt(point),
      item = node ? null : edgeAt(point);
    root.classList.toggle("hit", Boolean(item));
    if (node) {
      light((item) => item.edge.from === node.name || item.edge.to === node.name);
      showTip(event, circuitTellNode(scene, node));
    } else if (item) {
      light((other) => other === item);
      showTip(event, circuitTell(scene, item.edge));
    } else {
      light(null);
      hideTip();
    }
  });
  root.addEventListener("pointerleave", () => {
    light(null);
    hideTip();
  });
  root.addEventListener("click", (event) => {
    if (!layout) return;
    const item = nodeAt(at(event)) ? null : edgeAt(at(event));
    if (item) pick(item.edge.name);
  });
  root.addEventListener("keydown", (event) => {
    const i = items.findIndex((item) => item.path === event.target);
    if (i < 0) return;
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -items.length, End: items.length }[
      event.key
    ];
    if (event.key === "Enter" || event.key === " ") pick(items[i].edge.name);
    else if (move) items[Math.max(0, Math.min(items.length - 1, i + move))].path.focus();
    else return;
    event.preventDefault();
  });
  layers.edges.addEventListener("focusin", (event) => light((item) => item.path === event.target));
  layers.edges.addEventListener("focusout", () => light(null));
  new ResizeObserver(() => {
    const now = Math.round(Math.max(480, box.clientWidth));
    if (!box.clientWidth || !scene || Math.abs(now - wide) <= 4) return;
    wide = now;
    draw(scene);
  }).observe(box);
  return {
    draw,
    caption,
    root,
    choose(focus) {
      if (scene) {
        scene.focus = focus;
        mark();
      }
    },
  };
}

function circuitRound(x) {
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
