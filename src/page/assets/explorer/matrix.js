// Attention as a matrix: sequences by class, sum and prefix against positions, with each class's mean.
const MATRIX = { width: 280, height: 300 };
const MATRIX_BOX = { left: 40, top: 8, width: 182, height: 252 };

/// `top(options)` is the end of the colour scale, the same for all arms.
function matrixPanel(parent, spec, arm, top) {
  const picture = explorerFigure(parent, { ...spec, layer: "matrix" }, arm, MATRIX);
  const { root, canvas } = picture, box = MATRIX_BOX;
  let view = null, options = null, rows = [], frame = svg("g", {}), nodes = [], stop = -1;
  const group = svg("g", { class: "sequences" }), outline = svg("rect", { class: "chosenrow", display: "none" });
  root.append(frame, group, outline);

  // Rows and their heights; a mean is taller, and classes stand apart.
  function layout() {
    const { task } = view, list = [];
    for (let c = 0; c < task.p; c++) {
      const mine = task.answer.flatMap((answer, i) => (answer === c ? [i] : []));
      if (!mine.length) continue;
      list.push({ c, mean: mine, high: 2.6 });
      const groups = options.byPrefix ? [...d3.group(mine, (i) => task.prefix[i]).values()] : mine.map((i) => [i]);
      for (const members of groups) list.push({ c, mean: members, first: members[0], high: options.byPrefix ? 2 : 1 });
      list.at(-1).gap = 0.8;
    }
    const unit = box.height / d3.sum(list, (row) => row.high + (row.gap || 0));
    let y = box.top;
    for (const row of list) {
      Object.assign(row, { y, height: row.high * unit });
      y += row.height + (row.gap || 0) * unit;
    }
    return list;
  }
  function dress() {
    rows = layout();
    const { task } = view, { left, width, height } = box, cell = width / task.length;
    const next = svg("g", { class: "axes" }), low = box.top + height;
    const name = (text, place) => next.append(svg("text", { class: "axis", "text-anchor": "middle", ...place }, text));
    const every = Math.ceil((task.length * 17) / width);
    for (let t = 0; t < task.length; t += every) {
      name(String(t + 1), { x: left + (t + 0.5) * cell, y: low + 13 });
    }
    name("position", { x: left + width / 2, y: low + 29 });
    name(options.byPrefix ? "class (rows: prefixes by sum)" : "class (rows: sequences by sum)",
      { transform: "translate(11," + (box.top + height / 2) + ") rotate(-90)" });
    let free = -Infinity;
    for (const [c, block] of d3.group(rows, (row) => row.c)) {
      const from = block[0].y, to = block.at(-1).y + block.at(-1).height, middle = (from + to) / 2;
      next.append(svg("rect", { x: left - 6, y: from, width: 4, height: to - from, fill: classColor(c, task.p) }));
      if (middle - free < 12) continue;
      free = middle;
      next.append(svg("text", { x: left - 10, y: middle + 4, "text-anchor": "end" }, String(c)));
    }
    const x = left + task.k * cell;
    next.append(svg("line", { class: "after", x1: x, x2: x, y1: box.top - 5, y2: box.top + height + 5 }));
    next.append(scaleBar(top()));
    frame.replaceWith(next);
    frame = next;
    nodes = rows.map((row, r) => svg("rect", {
      x: left, y: row.y, width, height: row.height, class: "sequence",
      role: "button", tabindex: -1, "data-row": r, "aria-label": rowName(row),
    }));
    group.replaceChildren(...nodes);
    reach(0);
  }
  function scaleBar(most) {
    const bar = svg("g", {}), x = box.left + box.width + 14, { top: y, height } = box, uniform = 1 / view.task.length;
    const piece = height / 40;
    for (let i = 0; i < 40; i++) {
      const fill = heatColor(1 - (i + 0.5) / 40);
      bar.append(svg("rect", { x, y: y + i * piece, width: 11, height: piece + 0.5, fill }));
    }
    const marks = [[0, "0"], [most, number(most)]];
    if (uniform / most > 0.06 && uniform / most < 0.94) marks.push([uniform, "1/" + view.task.length]);
    for (const [value, text] of marks) {
      const at = y + height * (1 - value / most);
      bar.append(svg("line", { class: "tick", x1: x + 11, x2: x + 15, y1: at, y2: at }));
      bar.append(svg("text", { class: "axis", x: x + 17, y: Math.min(Math.max(at + 4, y + 9), y + height) }, text));
    }
    bar.append(svg("text", { class: "axis", x: x + 5, y: y + height + 29, "text-anchor": "middle" }, "weight"));
    return bar;
  }
  function rowName(row) {
    const { task } = view;
    if (row.first == null) return "class " + row.c + ", mean of " + row.mean.length;
    const parts = sampleTokens(task, row.first).filter(Boolean);
    const many = "prefix " + parts[0] + ", mean of " + row.mean.length;
    return (options.byPrefix ? many : "sample " + row.first + ": " + parts.join(" | "))
      + ", sum " + task.sum[row.first] + ", class " + row.c;
  }
  function weightOf(row, t) {
    const { length } = view.task;
    return d3.mean(row.mean, (i) => view.attention[i * length + t]);
  }

  function draw() {
    const ctx = canvas.getContext("2d"), scale = canvas.width / MATRIX.width, most = top();
    ctx.setTransform(scale, 0, 0, scale, 0, 0);
    ctx.clearRect(0, 0, MATRIX.width, MATRIX.height);
    const { task } = view, cell = box.width / task.length;
    for (const row of rows) {
      for (let t = 0; t < task.length; t++) {
        ctx.fillStyle = heatColor(weightOf(row, t) / most);
        ctx.fillRect(box.left + t * cell, row.y, cell + 0.3, row.height + (row.gap || row.first == null ? -0.4 : 0.2));
      }
    }
    const means = rows.filter((row) => row.first == null), counting = d3.range(task.k);
    const on = d3.mean(means, (row) => d3.sum(counting, (t) => weightOf(row, t)));
    picture.say("On the positions that count (1 to k): " + number(on) + " on average (even attention: "
      + number(task.k / task.length) + "). Scale: 0 to " + number(most) + " for all arms and steps.");
  }
  function move(nextView, before, nextOptions) {
    const changed = view?.task !== nextView.task || options?.byPrefix !== nextOptions.byPrefix;
    [view, options] = [nextView, nextOptions];
    if (changed) dress();
    draw();
    focus();
  }
  function focus() {
    const row = rows.find((row) => row.first != null && row.mean.includes(state.sample));
    outline.setAttribute("display", row ? "inline" : "none");
    if (!row) return;
    const place = { x: box.left - 1, y: row.y - 1, width: box.width + 2, height: row.height + 2 };
    for (const [name, value] of Object.entries(place)) outline.setAttribute(name, value);
    reach(rows.indexOf(row));
  }
  function reach(r) {
    nodes[stop]?.setAttribute("tabindex", -1);
    stop = r;
    nodes[r]?.setAttribute("tabindex", 0);
  }
  function take(row, hold) {
    if (row?.first == null || (explorerPinned && !hold)) return;
    explorerPinned ||= hold;
    if (!row.mean.includes(state.sample)) set("sample", row.first);
  }
  const rowOf = (event) => rows[Number(event.target.dataset?.row)];
  group.addEventListener("focusin", (event) => take(rowOf(event), true));
  group.addEventListener("click", (event) => take(rowOf(event), true));
  group.addEventListener("pointerleave", hideTip);
  group.addEventListener("pointermove", (event) => {
    const row = rowOf(event), side = root.getBoundingClientRect();
    const x = ((event.clientX - side.left) / side.width) * MATRIX.width - box.left;
    const t = Math.floor((x / box.width) * view.task.length);
    if (!row || t < 0 || t >= view.task.length) return;
    showTip(event, rowName(row) + "\nposition " + (t + 1) + ", attention " + number(weightOf(row, t)));
    take(row, false);
  });
  group.addEventListener("keydown", (event) => {
    const r = Number(event.target.dataset.row);
    const to = keyTarget(event.key, r, rows.length);
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    reach(to);
    nodes[stop].focus({ preventScroll: true });
  });
  return { node: picture.node, move, focus, recolor: () => { if (view) dress(), draw(), focus(); } };
}

/// Viridis, dark for little; the points are those of the map of attention over training.
const heatShades = [];
function heatColor(share) {
  if (!heatShades.length) {
    const mix = d3.interpolateRgbBasis(viridis.map(([r, g, b]) => d3.rgb(r, g, b).formatHex()));
    for (let i = 0; i < 256; i++) heatShades.push(mix(i / 255));
  }
  return heatShades[Math.min(255, Math.max(0, Math.round(share * 255)))] ?? "transparent";
}
