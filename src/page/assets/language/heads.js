// Patterns of all heads, a small one for each by layer and head; one of them is chosen.
function lookHeads(place, scene) {
  const { look, length } = scene;
  const holder = el("div", { class: "look-heads" });
  const grid = el("div", {
    class: "head-grid",
    role: "radiogroup",
    "aria-label": "Heads by layer (down) and number (across); arrow keys move",
  });
  holder.append(
    el("h4", {}, "Heads ", el("span", { class: "quiet" }, "queries down, keys across; click one")),
    el("div", { class: "scroll" }, grid),
  );
  place.append(holder);
  grid.style.gridTemplateColumns = "auto repeat(" + look.heads + ", minmax(26px, 120px))";
  grid.append(el("span", {}), ...d3.range(look.heads).map((head) => el("span", { class: "head-name" }, "h" + head)));
  const cells = d3.range(look.layers).map((layer) => {
    const line = d3.range(look.heads).map((head) => {
      const canvas = el("canvas", { width: length, height: length, "aria-hidden": "true" });
      const button = el(
        "button",
        { type: "button", role: "radio", class: "head-pattern", "aria-label": "layer " + layer + ", head " + head },
        canvas,
      );
      button.addEventListener("click", () => scene.choose("head", "a" + layer + ".h" + head));
      button.addEventListener("mousemove", (event) => showTip(event, lookHeadSaid(scene, layer, head)));
      button.addEventListener("mouseleave", hideTip);
      return { layer, head, canvas, button };
    });
    grid.append(el("span", { class: "head-name" }, "a" + layer), ...line.map((cell) => cell.button));
    return line;
  });
  grid.addEventListener("keydown", (event) => {
    const [down, across] =
      { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key] ?? [];
    if (down == null) return;
    event.preventDefault();
    const { layer, head } = scene.head;
    const to = cells[layer + down]?.[head + across];
    if (!to) return;
    scene.choose("head", "a" + to.layer + ".h" + to.head);
    to.button.focus();
  });
  function paint() {
    const shade = lookShade(scene.mode === "difference");
    for (const { layer, head, canvas } of cells.flat()) {
      const ctx = canvas.getContext("2d"),
        image = ctx.createImageData(length, length);
      for (let q = 0; q < length; q++)
        for (let k = 0; k < length; k++) {
          image.data.set(shade(scene.weight(layer, head, q, k)), 4 * (q * length + k));
        }
      ctx.putImageData(image, 0, 0);
    }
  }
  function mark() {
    const { layer, head } = scene.head;
    for (const cell of cells.flat()) {
      const mine = cell.layer === layer && cell.head === head;
      cell.button.setAttribute("aria-checked", String(mine));
      cell.button.tabIndex = mine ? 0 : -1;
    }
  }
  scene.on("mode", paint);
  scene.on("theme", paint);
  scene.on("head", mark);
  paint();
  mark();
}

function lookHeadSaid(scene, layer, head) {
  const { look, length } = scene,
    t = look.position;
  const order = d3
    .range(length)
    .sort((a, b) => scene.weight(layer, head, t, b, "clean") - scene.weight(layer, head, t, a, "clean"))
    .slice(0, 3);
  const line = (k) =>
    `  ${lookQuoted(look.tokens.clean[k])} at ${k}: ${number(scene.weight(layer, head, t, k, "clean"))}`;
  return `a${layer}.h${head}, clean, from position ${t}:\n${order.map(line).join("\n")}`;
}

/// A function from weights to `[r, g, b, 255]`: from the page's panel to a colour, or to two for differences.
function lookShade(signed) {
  const [empty, positive, negative] = ["panel", signed ? "positive" : "arm1", "negative"].map((name) =>
    d3.rgb(color(name)),
  );
  const count = 64;
  const ramp = (end) =>
    d3.range(count + 1).map((i) => {
      const c = d3.rgb(d3.interpolateRgb(empty, end)(i / count));
      return [c.r, c.g, c.b, 255];
    });
  const [up, down] = [ramp(positive), ramp(negative)];
  return (weight) => (weight < 0 && signed ? down : up)[Math.round(Math.min(1, Math.abs(weight)) * count)] ?? up[0];
}
