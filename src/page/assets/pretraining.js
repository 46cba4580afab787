// Language models on their way: the loss, and how they do in each domain.

/* global d3 */
import { data } from "./data.js";
import { byId, el } from "./dom.js";
import { axes, figure, svg } from "./figure.js";
import { steps } from "./numbers.js";
import { table } from "./table.js";

export function pretrainings(place) {
  for (const run of data.pretrainings) {
    const card = el("div", { class: "card" }, el("h3", {}, run.name));
    const grid = el("div", { class: "grid three" });
    card.append(grid);
    byId(place).append(card);
    const batch = [{ name: "batch", step: run.loss_step, value: run.loss }];
    const domains = (figure) =>
      run.domains.map((name, i) => ({ name, step: run.step, value: run[figure][i] }));
    domainChart(grid, run.name, "Loss", "cross-entropy (nats a word)", batch);
    domainChart(grid, run.name, "Accuracy by domain", "share right", domains("accuracy"), [0, 1]);
    domainChart(grid, run.name, "Negative log-likelihood by domain", "nats a word", domains("nll"));
    const last = (values) => values[values.length - 1];
    table(card, {
      name: "Domains of " + run.name,
      columns: [
        { title: "domain", value: (i) => run.domains[i] },
        { title: "accuracy at the end", value: (i) => last(run.accuracy[i]), number: true },
        { title: "nll at the end (nats)", value: (i) => last(run.nll[i]), number: true },
      ],
      rows: run.domains.map((_, i) => i),
    });
  }
}

function domainChart(parent, run, title, unit, lines, range) {
  const box = { left: 52, top: 8, width: 300, height: 190 };
  const { root } = figure(parent, { title, width: 460, height: 240, name: run + " " + title });
  const values = lines.flatMap((line) => line.value).filter((value) => value != null);
  const most = Math.max(1, ...lines.flatMap((line) => line.step));
  const x = d3.scaleLinear([0, most], [box.left, box.left + box.width]);
  const y = d3
    .scaleLinear(range ?? [Math.min(0, ...values), Math.max(1e-9, ...values)], [
      box.top + box.height,
      box.top,
    ])
    .nice();
  axes(root, { x, y, xLabel: "step (updates)", yLabel: unit, box, xFormat: steps });
  // Names stand where their lines end, moved apart where they would overlap.
  const ends = [];
  lines.forEach((line, i) => {
    const points = line.step
      .map((step, j) => [x(step), line.value[j] == null ? null : y(line.value[j])])
      .filter((p) => p[1] != null);
    const ink = "var(--group" + (i % 8) + ")";
    const path = svg("path", {
      d: d3.line()(points),
      fill: "none",
      "stroke-width": 1.6,
      "stroke-dasharray": ["", "6 3", "2 2"][Math.floor(i / 2) % 3],
    });
    path.style.stroke = ink;
    root.append(path);
    if (points.length && lines.length > 1) {
      ends.push({ at: points[points.length - 1][1], name: line.name, ink });
    }
  });
  ends.sort((a, b) => a.at - b.at);
  ends.forEach((end, i) => {
    if (i) end.at = Math.max(end.at, ends[i - 1].at + 12);
  });
  const over = Math.max(0, (ends[ends.length - 1]?.at ?? 0) - (box.top + box.height));
  for (const end of ends) {
    const text = svg("text", { x: box.left + box.width + 6, y: end.at - over + 4 }, end.name);
    text.style.fill = end.ink;
    root.append(text);
  }
}
