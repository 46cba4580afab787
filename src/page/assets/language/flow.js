// Edges at their positions: from the writer's line up to the reader's, in the column of the position. Between
// columns only heads move anything: for those with shown edges, grey arcs from the keys to the query.
const LOOK_ARC = 0.05;

/// The lines from the input up, as far as any edge goes.
function lookRows(scene) {
  const names = ["input"];
  const mlps = scene.edges.some((edge) => /^m/.test(edge.from.name + " ") || /^m/.test(edge.to.name));
  for (let layer = 0; layer < scene.look.layers; layer++) names.push("a" + layer, ...(mlps ? ["m" + layer] : []));
  return [...names, "logits"];
}

function lookFlow(root, scene, { columns, rows, floor, step }) {
  const { look, edges } = scene;
  const strongest = Math.max(1e-12, ...edges.slice(0, 1).map((edge) => Math.abs(edge.score)));
  const arcs = svg("g", { class: "arcs", "aria-hidden": "true" });
  const group = svg("g", { class: "flow" });
  root.append(arcs, group);

  function point(node, t, way) {
    const column = columns[t];
    const line =
      node.layer == null
        ? node.kind === "logits"
          ? rows.length - 1
          : 0
        : rows.indexOf((node.name[0] === "a" ? "a" : "m") + node.layer);
    if (!column || line < 0) return null;
    const spread = Math.min(18, (column.width - 26) / Math.max(1, look.heads - 1));
    const heads = node.kind === "shared" ? lookGroup(scene, node.layer) : 1;
    const head = node.head ?? (node.kind === "shared" ? node.number * heads + (heads - 1) / 2 : null);
    const port = way === "in" ? ({ q: -2.5, k: 0, v: 2.5 }[node.port] ?? 0) : 0;
    return {
      x: column.middle + (head == null ? 0 : (head - (look.heads - 1) / 2) * spread) + port,
      y: floor - line * step,
    };
  }
  // Each edge leaves to its side, so that those over one another stay apart.
  function curve(edge) {
    const [a, b] = [point(edge.from, edge.position ?? 0), point(edge.to, edge.position ?? 0, "in")];
    if (!a || !b) return null;
    const lines = Math.abs(a.y - b.y) / step;
    const side =
      Math.sign(edge.score || 1) * Math.min(columns[edge.position ?? 0].width * 0.5, 3 + 5 * Math.sqrt(lines));
    const [out, into] = [`${a.x + side},${a.y - step * 0.4}`, `${b.x + side},${b.y + step * 0.4}`];
    return { a, b, d: `M${a.x},${a.y - 3}C${out} ${into} ${b.x},${b.y + 4}` };
  }
  function draw() {
    const shown = edges.slice(0, scene.shown),
      chosen = scene.edge;
    const list = chosen && !shown.includes(chosen) ? [...shown, chosen] : shown;
    const focused = group.contains(document.activeElement);
    group.replaceChildren();
    const dots = new Map();
    for (const edge of list) {
      const at = curve(edge);
      if (!at) continue;
      const mine = edge === chosen;
      const width = 0.8 + 5.2 * (Math.abs(edge.score) / strongest);
      const g = svg(
        "g",
        {
          class: "flow-edge " + (edge.score < 0 ? "negative" : "positive") + (mine ? " chosen" : ""),
          role: "button",
          tabindex: mine || (!chosen && edge === list[0]) ? "0" : "-1",
          "aria-pressed": String(mine),
          "aria-label": lookEdgeSaid(scene, edge),
        },
        svg("path", { class: "edge", d: at.d, "stroke-width": width.toFixed(2) }),
        svg("path", { class: "reach", d: at.d }),
      );
      g.addEventListener("click", () => lookPick(scene, mine ? null : edge));
      g.addEventListener("mousemove", (event) => showTip(event, lookEdgeSaid(scene, edge)));
      g.addEventListener("mouseleave", hideTip);
      group.append(g);
      for (const [node, p] of [
        [edge.from, at.a],
        [edge.to, at.b],
      ])
        dots.set(node.name + "@" + edge.position + (node.port ?? ""), { node, p, t: edge.position });
    }
    for (const { node, p } of dots.values()) {
      group.append(svg("circle", { class: "flow-node", cx: p.x, cy: p.y, r: 3 }, svg("title", {}, node.name)));
    }
    const ends = chosen && curve(chosen);
    if (ends)
      for (const [node, p] of [
        [chosen.from, ends.a],
        [chosen.to, ends.b],
      ]) {
        const name = node.name + (node.port ? "<" + node.port + ">" : "");
        group.append(svg("text", { class: "halo chosen", x: p.x - 7, y: p.y + 4, "text-anchor": "end" }, name));
      }
    arcs.replaceChildren(...lookArcs(scene, list, point));
    if (focused) group.querySelector("[tabindex='0']")?.focus();
  }
  // Arrow keys go through the edges by the size of their scores.
  group.addEventListener("keydown", (event) => {
    const move = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (move == null && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    const at = edges.indexOf(scene.edge),
      last = Math.max(0, scene.shown - 1);
    lookPick(scene, edges[Math.max(0, Math.min(last, at + (at < 0 ? 1 : (move ?? 0))))]);
  });
  for (const what of ["edge", "edges"]) scene.on(what, draw);
  draw();
}

/// Where a head reads keys or values at one position and its output is used at another: the ways between them.
function lookArcs(scene, list, point) {
  const into = new Map(),
    out = new Map();
  const add = (map, layer, head, t) => {
    const key = layer + "," + head;
    if (!map.has(key)) map.set(key, new Set());
    map.get(key).add(t);
  };
  for (const edge of list) {
    const { from, to, position } = edge;
    if (to.kind === "shared") {
      const group = lookGroup(scene, to.layer);
      for (let h = 0; h < group; h++) add(into, to.layer, to.number * group + h, position);
    }
    if (to.head != null) add(to.port === "q" ? out : into, to.layer, to.head, position);
    if (from.head != null) add(out, from.layer, from.head, position);
  }
  const arcs = [];
  for (const [key, queries] of out) {
    const [layer, head] = key.split(",").map(Number);
    const node = { name: "a" + layer, kind: "head", layer, head };
    for (const query of queries)
      for (const at of into.get(key) ?? []) {
        const weight = at === query ? 0 : scene.weight(layer, head, query, at, "clean");
        const [a, b] = [point(node, at), point(node, query)];
        if (weight < LOOK_ARC || !a || !b) continue;
        const lift = Math.min(22, 6 + Math.abs(a.x - b.x) * 0.05);
        arcs.push(
          svg("path", {
            class: "arc",
            "stroke-opacity": (0.25 + 0.75 * weight).toFixed(2),
            "stroke-width": (0.8 + 2.2 * weight).toFixed(2),
            d: `M${a.x},${a.y}C${a.x},${a.y - lift} ${b.x},${b.y - lift} ${b.x},${b.y}`,
          }),
        );
      }
  }
  return arcs;
}

/// Chooses an edge; that of a head shows the head's pattern, from where the edge is if the head's output or query is.
function lookPick(scene, edge) {
  scene.choose("edge", edge ? edge.name : null);
  const head = edge && lookHeadOf(scene, edge);
  if (head) scene.choose("head", "a" + head.layer + ".h" + head.head);
  const asks = edge && edge.position != null && (edge.from.head != null || edge.to.port === "q");
  if (asks) scene.choose("query", edge.position);
}
