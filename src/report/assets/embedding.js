// Token and position embeddings through time, a pair of drawings per arm.
const SVG = "http://www.w3.org/2000/svg";
function svg(tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text != null) node.textContent = text;
  return node;
}

const SIZE = { width: 280, height: 250, left: 34, right: 8, top: 8, bottom: 34 };

function embeddings(a) {
  const card = el("figure", { class: "card" });
  byId("embeddings").append(card);
  let parts = [], run = null;
  const title = el("h4");
  const where = el("span", { class: "quiet" });
  const pair = el("div", { class: "pair" });
  card.append(title, pair);

  function build() {
    run = selected(a);
    pair.replaceChildren();
    parts = [];
    title.replaceChildren(arms[a].name + (run ? ", " + run.key + " " : ""), where);
    where.textContent = "";
    if (!run || !run.embedding) {
      pair.append(el("p", { class: "quiet" }, "No snapshots of this seed."));
      return;
    }
    const { embedding } = run;
    parts = [
      scatter(pair, a, "Tokens", embedding.tokens, embedding.step.length, {
        label: (i) => String(i), hollow: (i) => run.p != null && i >= run.p, shape: () => "circle",
      }),
      scatter(pair, a, "Positions", embedding.positions, embedding.step.length, {
        label: (i) => String(i + 1), hollow: (i) => run.k != null && i >= run.k,
        shape: (i) => (run.k != null && i >= run.k ? "square" : "circle"),
      }),
    ];
    move();
  }
  function move() {
    if (!parts.length) return;
    const i = atOrBefore(run.embedding.step, state.step ?? 0);
    const at = run.embedding.step[i];
    const stage = run.stages.filter((stage) => stage.step <= at).pop();
    const e = atOrBefore(run.evals.step, at);
    const test = run.evals.curves.test_accuracy;
    where.textContent = "step " + steps(at) + (stage ? ", " + stage.name : "")
      + (test && run.evals.step[e] <= at ? ", test accuracy " + number(test[e]) : "");
    for (const part of parts) part.move(i);
  }
  build();
  on("key", build);
  on("step", move);
}

function scatter(parent, a, name, view, frames, marks) {
  const figure = el("figure", {});
  const { rows, xy } = view;
  const ink = "var(--arm" + (a % 6) + ")";
  const root = svg("svg", { viewBox: "0 0 " + SIZE.width + " " + SIZE.height, role: "img", "aria-label": name + " embedding" });
  // Both axes have the same unit, and the range of the whole run.
  const all = (c) => xy.filter((x, i) => i % 2 === c && x != null);
  const range = (c) => [Math.min(...all(c)), Math.max(...all(c))];
  const [x0, x1] = range(0), [y0, y1] = range(1);
  const w = SIZE.width - SIZE.left - SIZE.right, h = SIZE.height - SIZE.top - SIZE.bottom;
  const unit = Math.max((x1 - x0) / w, (y1 - y0) / h, 1e-9) * 1.16;
  const px = (x) => SIZE.left + w / 2 + (x - (x0 + x1) / 2) / unit;
  const py = (y) => SIZE.top + h / 2 - (y - (y0 + y1) / 2) / unit;
  const tick = tickStep(unit * w / 4);
  const each = (low, high, draw) => {
    for (let v = Math.ceil(low / tick); v * tick <= high; v++) draw(v * tick, Number((v * tick).toPrecision(3)));
  };
  const midX = (x0 + x1) / 2, midY = (y0 + y1) / 2;
  each(midX - unit * w / 2, midX + unit * w / 2, (v, text) => {
    root.append(svg("line", { class: "zero", x1: px(v), x2: px(v), y1: SIZE.top, y2: SIZE.top + h }));
    root.append(svg("text", { class: "axis", x: px(v), y: SIZE.top + h + 13, "text-anchor": "middle" }, text));
  });
  each(midY - unit * h / 2, midY + unit * h / 2, (v, text) => {
    root.append(svg("line", { class: "zero", x1: SIZE.left, x2: SIZE.left + w, y1: py(v), y2: py(v) }));
    root.append(svg("text", { class: "axis", x: SIZE.left - 4, y: py(v) + 4, "text-anchor": "end" }, text));
  });
  root.append(svg("rect", { class: "frame", x: SIZE.left, y: SIZE.top, width: w, height: h }));
  const own = view.explained == null;
  root.append(svg("text", { class: "axis", x: SIZE.left + w / 2, y: SIZE.height - 4, "text-anchor": "middle" },
    own ? "coordinate 1" : "component 1 (" + percent(view.explained[0]) + ")"));
  root.append(svg("text", { class: "axis", "text-anchor": "middle", transform: "translate(9," + (SIZE.top + h / 2) + ") rotate(-90)" },
    own ? "coordinate 2" : "component 2 (" + percent(view.explained[1]) + ")"));

  const trails = [], dots = [], labels = [];
  for (let i = 0; i < rows; i++) trails.push(root.appendChild(svg("path", { class: "trail", stroke: ink })));
  for (let i = 0; i < rows; i++) {
    const style = { fill: marks.hollow(i) ? "var(--paper)" : ink, stroke: ink, "stroke-width": 1.5 };
    dots.push(root.appendChild(marks.shape(i) === "circle"
      ? svg("circle", { r: 4.5, ...style }) : svg("rect", { x: -4, y: -4, width: 8, height: 8, ...style })));
    dots[i].append(svg("title", {}, name.slice(0, -1).toLowerCase() + " " + marks.label(i)));
  }
  for (let i = 0; i < rows; i++) labels.push(root.appendChild(svg("text", { class: "halo" }, marks.label(i))));
  const count = rows < view.total ? "first " + rows + " of " + view.total : rows;
  figure.append(
    el("figcaption", {}, name + " ", el("span", { class: "quiet" }, "(" + count + ", d = " + view.dims + ")")),
    root,
    el("p", { class: "quiet" }, own ? "The coordinates themselves."
      : "PCA fitted on " + (view.last ? "the last snapshot" : "the snapshot at step " + steps(view.fitted))
        + " of this run, explained variance " + percent(view.explained[0] + view.explained[1]) + "."),
  );
  parent.append(figure);

  const at = (f, i) => {
    const j = 2 * (f * rows + i);
    return xy[j] == null || xy[j + 1] == null ? null : [px(xy[j]), py(xy[j + 1])];
  };
  return {
    move(f) {
      const taken = [];
      for (let i = 0; i < rows; i++) {
        const p = at(f, i);
        for (const node of [dots[i], labels[i]]) node.setAttribute("visibility", p ? "visible" : "hidden");
        let trail = "";
        for (let g = Math.max(0, f - 12); g <= f; g++) {
          const q = at(g, i);
          if (q) trail += (trail ? "L" : "M") + q[0].toFixed(1) + " " + q[1].toFixed(1);
        }
        trails[i].setAttribute("d", trail);
        if (p) { dots[i].setAttribute("transform", "translate(" + p[0].toFixed(1) + "," + p[1].toFixed(1) + ")"); taken.push(p); }
      }
      // Each label takes the side of its point with the fewest points and labels near.
      for (let i = 0; i < rows; i++) {
        const p = at(f, i);
        if (!p) continue;
        const sides = [[11, -7], [-11, -7], [11, 10], [-11, 10], [0, -12], [0, 14], [14, 2], [-14, 2]];
        const crowd = (q) => taken.reduce((sum, t) => sum + 1 / (20 + (t[0] - q[0]) ** 2 + (t[1] - q[1]) ** 2), 0)
          + (q[0] < SIZE.left + 6 || q[0] > SIZE.left + w - 6 || q[1] < SIZE.top + 6 || q[1] > SIZE.top + h - 6 ? 1 : 0);
        const best = sides.map(([dx, dy]) => [p[0] + dx, p[1] + dy]).reduce((b, q) => (crowd(q) < crowd(b) ? q : b));
        taken.push(best);
        labels[i].setAttribute("x", best[0].toFixed(1));
        labels[i].setAttribute("y", (best[1] + 4).toFixed(1));
        labels[i].setAttribute("text-anchor", "middle");
      }
    },
  };
}

function tickStep(x) {
  const power = 10 ** Math.floor(Math.log10(x));
  return [1, 2, 5, 10].find((m) => m * power >= x) * power;
}
