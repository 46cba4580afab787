// Attention over training: a map of positions (down) and steps (across) per arm, one colour scale.
// The colours are nine points of viridis (van der Walt & Smith, CC0), dark for little attention.
const viridis = [
  [68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129],
  [92, 200, 99], [170, 220, 50], [253, 231, 37],
];
function heat(share) {
  const at = Math.min(Math.max(share, 0), 1) * (viridis.length - 1);
  const i = Math.min(Math.floor(at), viridis.length - 2);
  const mixed = viridis[i].map((c, j) => Math.round(c + (at - i) * (viridis[i + 1][j] - c)));
  return "rgb(" + mixed.join(",") + ")";
}

function attentionMap(a) {
  const card = el("figure", { class: "card" });
  const title = el("h4");
  const canvas = el("canvas", { role: "img" });
  const missing = el("p", { class: "quiet", hidden: true }, "Not recorded for this seed.");
  card.append(title, canvas, missing);
  byId("attention").append(card);
  const edge = { left: 46, right: 74, top: 6, bottom: 36 };
  let layout = null;

  function draw() {
    const run = selected(a);
    title.textContent = arms[a].name + (run ? ", " + run.key : "");
    const map = run && run.attention;
    missing.hidden = Boolean(map);
    canvas.hidden = !map;
    layout = null;
    if (!map) return;
    const { step, rows, value } = map;
    const shown = arms.flatMap((_, b) => (selected(b) && selected(b).attention ? selected(b).attention.value : []));
    const top = shown.reduce((most, v) => Math.max(most, v ?? 0), 1e-9);
    const width = Math.max(260, card.clientWidth - 22), height = edge.top + edge.bottom + Math.max(150, Math.min(rows * 17, 320));
    const ratio = devicePixelRatio || 1;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.width = width + "px";
    canvas.style.height = height + "px";
    canvas.setAttribute("aria-label", "Attention per position and step of " + title.textContent + ", from 0 to " + number(top));
    const ctx = canvas.getContext("2d");
    ctx.scale(ratio, ratio);
    ctx.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    const w = width - edge.left - edge.right, h = height - edge.top - edge.bottom, cell = h / rows;
    const last = step[step.length - 1], first = step[0], span = Math.max(1, last - first);
    const x = (s) => edge.left + ((s - first) / span) * w;
    // A cell reaches half way to its neighbours.
    for (let i = 0; i < step.length; i++) {
      const from = i ? (x(step[i - 1]) + x(step[i])) / 2 : edge.left;
      const to = i + 1 < step.length ? (x(step[i]) + x(step[i + 1])) / 2 : edge.left + w;
      for (let r = 0; r < rows; r++) {
        const v = value[i * rows + r];
        ctx.fillStyle = v == null ? color("panel") : heat(v / top);
        ctx.fillRect(from, edge.top + r * cell, to - from + 0.6, cell + 0.6);
      }
    }
    ctx.fillStyle = color("ink");
    ctx.strokeStyle = color("rule");
    ctx.textBaseline = "middle";
    ctx.textAlign = "right";
    const every = Math.ceil(13 / cell);
    for (let r = 0; r < rows; r += every) ctx.fillText(String(r + 1), edge.left - 6, edge.top + (r + 0.5) * cell);
    ctx.save();
    ctx.translate(10, edge.top + h / 2);
    ctx.rotate(-Math.PI / 2);
    ctx.textAlign = "center";
    ctx.fillStyle = color("quiet");
    ctx.fillText("position", 0, 0);
    ctx.restore();
    ctx.textBaseline = "top";
    const tick = niceStep(span / 5);
    for (let s = Math.ceil(first / tick) * tick; s <= last; s += tick) {
      ctx.textAlign = "center";
      ctx.fillStyle = color("ink");
      ctx.fillText(steps(s), x(s), edge.top + h + 5);
      ctx.fillRect(x(s), edge.top + h, 1, 4);
    }
    ctx.fillStyle = color("quiet");
    ctx.fillText("step (updates)", edge.left + w / 2, edge.top + h + 20);
    if (run.k > 0 && run.k < rows) {
      ctx.strokeStyle = "#ff3b30";
      ctx.lineWidth = 2;
      line(ctx, edge.left - 24, edge.top + run.k * cell, edge.left + w, edge.top + run.k * cell);
    }
    for (const stage of run.stages.slice(1)) {
      ctx.strokeStyle = "#ffffff";
      ctx.lineWidth = 1.5;
      ctx.setLineDash([4, 3]);
      line(ctx, x(stage.step), edge.top, x(stage.step), edge.top + h);
      ctx.setLineDash([]);
    }
    if (state.step != null) {
      ctx.strokeStyle = "#ffffff";
      ctx.lineWidth = 3;
      line(ctx, x(state.step), edge.top, x(state.step), edge.top + h);
      ctx.strokeStyle = "#000000";
      ctx.lineWidth = 1;
      line(ctx, x(state.step), edge.top, x(state.step), edge.top + h);
    }
    // The scale, with what uniform attention would be.
    const bar = edge.left + w + 14;
    for (let i = 0; i < h; i++) {
      ctx.fillStyle = heat(1 - i / h);
      ctx.fillRect(bar, edge.top + i, 12, 1.5);
    }
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    const uniform = 1 / rows;
    // 1/12 is an exact name for a weight that digits would only round.
    const marks = [[0, "0"], [top, number(top)]];
    if (uniform / top > 0.1 && uniform / top < 0.9) marks.push([uniform, "1/" + rows]);
    for (const [v, text] of marks) {
      const y = edge.top + h * (1 - v / top);
      ctx.fillStyle = color("ink");
      ctx.fillRect(bar + 12, y - 0.5, 4, 1);
      ctx.fillText(text, bar + 18, Math.min(Math.max(y, edge.top + 6), edge.top + h - 6));
    }
    ctx.fillStyle = color("quiet");
    ctx.textAlign = "center";
    ctx.fillText("weight", bar + 14, edge.top + h + 26);
    layout = { run, step, rows, value, w, h, first, span };
  }

  function cellAt(event) {
    if (!layout) return null;
    const box = canvas.getBoundingClientRect();
    const x = event.clientX - box.left - edge.left, y = event.clientY - box.top - edge.top;
    if (x < 0 || y < 0 || x > layout.w || y >= layout.h) return null;
    const i = nearest(layout.step, layout.first + (x / layout.w) * layout.span);
    return { i, r: Math.floor((y / layout.h) * layout.rows) };
  }
  canvas.addEventListener("mousemove", (event) => {
    const at = cellAt(event);
    if (!at) return hideTip();
    const counts = layout.run.k ? (at.r < layout.run.k ? " (counts)" : " (does not count)") : "";
    showTip(event, "step " + steps(layout.step[at.i]) + "\nposition " + (at.r + 1) + counts
      + "\nattention " + number(layout.value[at.i * layout.rows + at.r]));
  });
  canvas.addEventListener("mouseleave", hideTip);
  canvas.addEventListener("click", (event) => {
    const at = cellAt(event);
    if (at) set("step", layout.step[at.i]);
  });
  draw();
  on("key", draw);
  on("theme", draw);
  on("step", draw);
  new ResizeObserver(draw).observe(card);
}

function line(ctx, x0, y0, x1, y1) {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}

/// The next of 1, 2, 5 times a power of ten.
function niceStep(x) {
  const power = 10 ** Math.floor(Math.log10(Math.max(x, 1)));
  return [1, 2, 5, 10].find((m) => m * power >= x) * power;
}
