// The nodes of a drawn circuit: dots, ports, names, the line between positions that count and those that do not.

/// Marks for the groups `axis`, `lines`, `nodes` and `labels` of the picture.
function circuitNodeMarks({ view }, layout, items, wide) {
  const axis = [],
    dots = [],
    lines = [];
  const crowded = wide / layout.columns.length < 34,
    last = layout.columns.length - 1;
  layout.columns.forEach(({ title, x, kind, column }, i) => {
    if (crowded && kind === "mlp") return;
    const anchor = i === 0 ? "start" : column > 1 && i === last ? "end" : "middle";
    axis.push(
      svg("text", { class: "axis", x: x + (i === 0 ? -20 : i === last ? 24 : 0), y: 14, "text-anchor": anchor }, title),
    );
  });
  for (const node of layout.nodes.values()) {
    const name = node.weight > 0 ? "circuit-node" : "circuit-node off";
    if (node.kind !== "head") {
      const r = Math.max(node.weight > 0 ? 2.2 : 1, Math.min(node.kind === "neuron" ? 3 : 5, node.pitch / 2.4));
      dots.push(svg("circle", { class: name, cx: node.x, cy: node.y, r }));
      continue;
    }
    const h = Math.max(3, Math.min(14, node.pitch * 0.6));
    dots.push(svg("rect", { class: name, x: node.x - 5, y: node.y - h / 2, width: 10, height: h, rx: 3 }));
    for (const port of new Set(items.filter((item) => item.edge.to === node.name).map((item) => item.edge.port))) {
      if (!port) continue;
      const y = node.y + circuitPortShift(node, port, layout.ports),
        far = Math.abs(y - node.y) > 14;
      if (Math.abs(y - node.y) > h / 2)
        dots.push(svg("line", { class: "circuit-stem", x1: node.x - 6, x2: node.x - 3, y1: y, y2: node.y }));
      dots.push(svg("circle", { class: "circuit-port", cx: node.x - 6, cy: y, r: far ? 3 : 1.8 }));
      if (far) axis.push(svg("text", { class: "circuit-label", x: node.x + 2, y: y + 4 }, CIRCUIT_PORTS[port]));
    }
  }
  const inputs = [...layout.nodes.values()].filter((node) => node.kind === "input" && node.position >= 0);
  const above = inputs.findLast((node) => node.position < view.k),
    below = inputs.find((node) => node.position >= view.k);
  if (view.k != null && above && below) {
    const y = (above.y + below.y) / 2;
    lines.push(svg("line", { class: "circuit-border", x1: 2, x2: layout.left + 30, y1: y, y2: y }));
    axis.push(
      svg("text", { class: "axis", x: 2, y: y - 5 }, "count"),
      svg("text", { class: "axis", x: 2, y: y + 14 }, "do not"),
    );
  }
  const always = (node) => node.kind === "input" || (node.kind === "logits" && node.position < 0);
  const labels = circuitLabels(layout, always).map(({ text, x, y, anchor }) =>
    svg("text", { class: "circuit-label", x, y, "text-anchor": anchor }, text),
  );
  return { axis, lines, nodes: dots, labels };
}
