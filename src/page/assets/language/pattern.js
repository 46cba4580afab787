// The chosen head's pattern, large: a row for each query, a column for each key.
function lookPattern(place, scene) {
  const { look, length } = scene;
  const cell = Math.max(3, Math.min(38, Math.floor(430 / length)));
  const names = look.tokens.clean.map((token) => lookShort(token));
  const room = 34 + Math.min(100, Math.max(...names.map((name) => labelWidth(name))));
  const box = { left: room, top: 8, width: cell * length, height: cell * length };
  const holder = el("div", { class: "look-pattern" });
  place.append(holder);
  const { root, node, canvas, caption } = figure(holder, {
    title: "Pattern",
    note: "row: who asks (query), column: who answers (key)",
    width: box.left + box.width + 74,
    height: box.height + room + 14,
    name: look.name + " pattern",
    layer: true,
  });
  root.setAttribute("role", "group");
  node.style.maxWidth = 1.2 * (box.left + box.width + 74) + "px";
  const every = Math.ceil(12 / cell);
  names.forEach((name, t) => {
    if (t % every) return;
    const middle = (t + 0.5) * cell;
    root.append(
      svg("text", { class: "axis", x: box.left - 5, y: box.top + middle + 4, "text-anchor": "end" }, name + " " + t),
      svg(
        "text",
        {
          class: "axis",
          "text-anchor": "end",
          transform: "translate(" + (box.left + middle + 4) + "," + (box.top + box.height + 6) + ") rotate(-90)",
        },
        name + " " + t,
      ),
    );
  });
  const row = svg("rect", { class: "asks-row", x: box.left, width: box.width, height: cell });
  const reach = svg("rect", {
    class: "reach",
    x: box.left,
    y: box.top,
    width: box.width,
    height: box.height,
    tabindex: "0",
    role: "slider",
    "aria-orientation": "vertical",
    "aria-label": "Query position",
    "aria-valuemin": 0,
    "aria-valuemax": length - 1,
  });
  root.append(
    svg("rect", { class: "frame", x: box.left, y: box.top, width: box.width, height: box.height }),
    row,
    reach,
  );
  const scale = svg("g", {});
  root.append(scale);

  const at = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(root.getScreenCTM().inverse());
    const inside = (x) => Math.max(0, Math.min(length - 1, Math.floor(x / cell)));
    return { query: inside(point.y - box.top), key: inside(point.x - box.left) };
  };
  reach.addEventListener("mousemove", (event) => {
    const { query, key } = at(event),
      { layer, head } = scene.head;
    scene.hover(query);
    const weights = ["clean", "corrupted"].map(
      (mode) => mode + " " + number(scene.weight(layer, head, query, key, mode)),
    );
    const token = (t) => "\u201c" + lookShown(look.tokens.clean[t]) + "\u201d (" + t + ")";
    showTip(event, "from " + token(query) + "\nto " + token(key) + "\n" + weights.join("\n"));
  });
  reach.addEventListener("mouseleave", () => {
    hideTip();
    scene.hover(null);
  });
  reach.addEventListener("click", (event) => scene.choose("query", at(event).query));
  reach.addEventListener("keydown", (event) => {
    const move = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1, Home: -length, End: length }[event.key];
    if (move == null) return;
    event.preventDefault();
    scene.choose("query", Math.max(0, Math.min(length - 1, scene.query + move)));
  });
  function paint() {
    const { layer, head } = scene.head,
      signed = scene.mode === "difference";
    const shade = lookShade(signed),
      ctx = canvas.getContext("2d");
    ctx.clearRect(0, 0, canvas.width, canvas.height);
    for (let q = 0; q < length; q++)
      for (let k = 0; k < length; k++) {
        const [r, g, b] = shade(scene.weight(layer, head, q, k));
        ctx.fillStyle = "rgb(" + r + "," + g + "," + b + ")";
        ctx.fillRect(box.left + k * cell, box.top + q * cell, cell, cell);
      }
    caption.firstChild.textContent = "Head a" + layer + ".h" + head + ", " + LOOK_MODES[scene.mode] + " ";
    // The scale: weights from 0 to 1, or differences from -1 to 1.
    const x = box.left + box.width + 18,
      height = Math.min(140, box.height),
      low = signed ? -1 : 0;
    for (let i = 0; i < height; i++) {
      const [r, g, b] = shade(low + (1 - low) * (1 - i / height));
      ctx.fillStyle = "rgb(" + r + "," + g + "," + b + ")";
      ctx.fillRect(x, box.top + i, 12, 1);
    }
    scale.replaceChildren(
      svg("rect", { class: "frame", x, y: box.top, width: 12, height }),
      ...(signed ? [1, 0, -1] : [1, 0.5, 0]).map((value, i) =>
        svg("text", { class: "axis", x: x + 16, y: box.top + 4 + (i * height) / 2 }, number2(value)),
      ),
      svg("text", { class: "axis", x: x - 4, y: box.top + height + 16 }, "weight"),
    );
  }
  function mark() {
    row.setAttribute("y", box.top + scene.query * cell);
    reach.setAttribute("aria-valuenow", scene.query);
    reach.setAttribute("aria-valuetext", "position " + scene.query + ", " + lookShown(look.tokens.clean[scene.query]));
  }
  for (const what of ["head", "mode", "theme"]) scene.on(what, paint);
  scene.on("query", mark);
  paint();
  mark();
}
