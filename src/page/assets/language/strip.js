// One drawing over the tokens, a column for each position: the edges, the tokens of both sequences, and the
// logit difference. What is at one position stands in one column.
const LOOK_STRIP = { left: 84, right: 16, top: 8, box: 21, chart: 96, room: 1180, widest: 130 };

function lookStrip(place, scene) {
  const { look, length } = scene,
    { left, right, top, box, chart } = LOOK_STRIP;
  const least = d3
    .range(length)
    .map((t) =>
      Math.max(
        34,
        look.heads * 6 + 12,
        14 + Math.max(...["clean", "corrupted"].map((run) => labelWidth(lookShort(look.tokens[run][t]), 12))),
      ),
    );
  // Short sequences spread over the page, so that edges at one position stand apart.
  const spare = Math.max(0, LOOK_STRIP.room - left - right - d3.sum(least)) / length;
  const widths = least.map((width) => Math.max(width, Math.min(width + spare, LOOK_STRIP.widest)));
  const starts = [...d3.cumsum([left, ...widths])];
  const columns = widths.map((width, t) => ({ x: starts[t], width, middle: starts[t] + width / 2 }));
  const rows = lookRows(scene);
  const step = Math.max(15, Math.min(34, 430 / rows.length));
  const floor = top + 12 + (rows.length - 1) * step;
  const tokens = floor + 26,
    numbers = tokens + 2 * box + 17,
    plot = numbers + 24;
  const size = { width: Math.max(640, starts[length] + right), height: plot + chart + 20 };
  const scroll = el("div", {
    class: "scroll",
    tabindex: "0",
    role: "region",
    "aria-label": "Tokens and edges; scroll sideways",
  });
  place.append(scroll);
  const { root, node } = figure(scroll, {
    title: "Edges over the tokens",
    ...size,
    name: look.name + " edges",
    note:
      look.method +
      " scores of " +
      look.metric +
      " by position. Width: size; solid, to the right: removing the edge lowers it; " +
      "dashed, to the left: raises it; grey: what a shown head moves between positions",
  });
  root.setAttribute("role", "group");
  // One unit is one pixel: texts stay readable, and long sequences scroll.
  node.style.minWidth = node.style.maxWidth = size.width + "px";

  rows.forEach((row, r) => {
    const y = floor - r * step;
    root.append(
      svg("line", { class: "zero", x1: left, x2: size.width - right, y1: y, y2: y }),
      svg("text", { class: "axis", x: left - 8, y: y + 4, "text-anchor": "end" }, row),
    );
  });
  lookFlow(root, scene, { columns, rows, floor, step });
  lookTokens(root, scene, columns, tokens);
  columns.forEach((column, t) => {
    root.append(svg("text", { class: "axis", x: column.middle, y: numbers, "text-anchor": "middle" }, t));
  });
  root.append(svg("text", { class: "axis", x: left - 8, y: numbers, "text-anchor": "end" }, "position"));
  lookDifference(root, scene, columns, plot, chart);
  const said = el("p", { class: "quiet look-said", role: "status" });
  place.append(said);
  const say = () => {
    const { edge, look } = scene,
      { layer, head } = scene.head,
      t = scene.query;
    const most = d3.greatest(d3.range(length), (k) => Math.abs(scene.weight(layer, head, t, k)));
    const weight = number(scene.weight(layer, head, t, most));
    said.textContent =
      (edge ? `Edge ${lookEdgeSaid(scene, edge)}. ` : "") +
      `Head a${layer}.h${head} (${LOOK_MODES[scene.mode]}): from position ${t} most to position ${most}, ` +
      `${lookQuoted(look.tokens.clean[most])}, weight ${weight}. ` +
      "Shades of the tokens: where it attends from the framed one.";
  };
  for (const what of ["edge", "head", "mode", "query"]) scene.on(what, say);
  say();
}

/// The two lines of tokens. Their shades are the attention of the chosen head from the position that asks.
function lookTokens(root, scene, columns, top) {
  const { look } = scene,
    { left, box } = LOOK_STRIP;
  const cells = [];
  ["clean", "corrupted"].forEach((run, line) => {
    const y = top + line * (box + 2);
    root.append(svg("text", { class: "axis", x: left - 8, y: y + 15, "text-anchor": "end" }, run));
    columns.forEach((column, t) => {
      const shade = svg("rect", { class: "shade", x: column.x + 1, y, width: column.width - 2, height: box, rx: 3 });
      const frame = svg("rect", { class: "token", x: column.x + 1, y, width: column.width - 2, height: box, rx: 3 });
      const text = svg(
        "text",
        { x: column.middle, y: y + 15, "text-anchor": "middle" },
        lookShort(look.tokens[run][t]),
      );
      const changed = scene.differs(t);
      const g = svg(
        "g",
        {
          class: "token-box " + run + (changed ? " changed" : ""),
          ...(line === 0 ? { tabindex: t === scene.query ? "0" : "-1", role: "button" } : {}),
          "aria-label":
            `${run} token ${lookShown(look.tokens[run][t])} at position ${t}` +
            (changed ? ", differs" : "") +
            (t === look.position ? ", where the pair asks" : ""),
        },
        shade,
        frame,
        text,
      );
      g.addEventListener("pointerenter", () => scene.hover(t));
      g.addEventListener("pointerleave", () => scene.hover(null));
      g.addEventListener("click", () => scene.choose("query", t));
      root.append(g);
      cells.push({ t, run, g, shade });
    });
  });
  const first = cells.filter((cell) => cell.run === "clean");
  const asked = columns[look.position];
  root.append(
    svg(
      "path",
      { class: "asked-mark", d: `M${asked.middle},${top - 4}l-5,-8h10z` },
      svg("title", {}, "where the pair asks"),
    ),
  );
  root.addEventListener("keydown", (event) => {
    const at = first.findIndex((cell) => cell.g === document.activeElement);
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -at, End: first.length - 1 - at }[event.key];
    if (at < 0 || (move == null && event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    const to = Math.max(0, Math.min(first.length - 1, at + (move ?? 0)));
    scene.choose("query", to);
    first[to].g.focus();
  });
  function shade() {
    const { layer, head } = scene.head,
      query = scene.query,
      { mode, edge } = scene;
    for (const { t, run, g, shade } of cells) {
      const weight = scene.weight(layer, head, query, t, mode === "difference" ? mode : run);
      shade.setAttribute("class", "shade " + (mode !== "difference" ? "weight" : weight < 0 ? "negative" : "positive"));
      // Half at most: the token stays readable on it.
      shade.setAttribute("fill-opacity", (Math.min(1, Math.abs(weight)) / 2).toFixed(3));
      g.classList.toggle("asks", t === query);
      g.classList.toggle("of-edge", edge != null && edge.position === t);
      if (run === "clean")
        g.setAttribute("tabindex", t === query || (scene.hovered != null && t === look.position) ? "0" : "-1");
    }
  }
  for (const what of ["head", "mode", "query", "edge"]) scene.on(what, shade);
  shade();
}
