// What the drawing of a circuit says in words: the legend below it, the texts of edges and nodes.

import { svg } from "../figure.js";
import { number, percent } from "../numbers.js";
import { circuitShare } from "./order.js";

/// Items `{sample, text, x, row}` in as many rows as they need.
export function circuitLegend({ view, drawn, colour, compare, terms }, wide) {
  const has = (test) => drawn.some(test),
    items = [];
  const most = Math.max(0, ...drawn.map((edge) => Math.abs(edge.score)));
  if (colour === "change" && compare) {
    items.push(
      ["circuit-edge gained", terms.gained],
      ["circuit-edge kept", terms.kept],
      ["circuit-edge ghost lost", terms.lost],
    );
  } else if (!view.unscored) {
    items.push(
      ["circuit-edge positive", "score > 0: the metric falls without it"],
      ["circuit-edge negative", "score < 0: it rises"],
    );
    if (has((edge) => edge.status === "gained")) items.push(["circuit-halo", terms.gained]);
    if (has((edge) => edge.ghost)) items.push(["circuit-edge ghost lost", terms.lost]);
  }
  if (has((edge) => edge.kind === "useful")) {
    items.push(["circuit-edge useful", "position counts (useful)"]);
  }
  if (has((edge) => edge.kind === "spurious")) {
    items.push(["circuit-edge spurious", "position does not count (spurious)"]);
  }
  items.push(
    view.unscored
      ? ["circuit-edge kept", "in the circuit (it came without scores)"]
      : ["circuit-edge widest", "widest: |score| " + number(most)],
  );
  let x = 6,
    row = 0;
  return items.map(([sample, text]) => {
    const room = 40 + 6.3 * text.length;
    if (x > 6 && x + room > wide) {
      x = 6;
      row++;
    }
    const item = { sample, text, x, row };
    x += room;
    return item;
  });
}
export function circuitLegendItem({ sample, text, x, row }, top) {
  const y = top + 18 * row,
    width = sample === "circuit-halo" ? 8 : sample.endsWith("widest") ? 9.8 : 3;
  return svg(
    "g",
    {},
    svg("line", { class: sample, x1: x, x2: x + 26, y1: y, y2: y, "stroke-width": width }),
    sample !== "circuit-halo"
      ? null
      : svg("line", {
          class: "circuit-edge positive",
          x1: x,
          x2: x + 26,
          y1: y,
          y2: y,
          "stroke-width": 2.5,
        }),
    svg("text", { class: "axis", x: x + 31, y: y + 4 }, text),
  );
}

/// One drawn edge in words.
export function circuitTell({ view, compare, terms }, edge) {
  const [e] = edge.members,
    lines = [edge.name];
  const token = view.tokens[view.graph.position[e]];
  if (token !== undefined && edge.name.includes("@")) lines.push("at " + JSON.stringify(token));
  if (edge.members.length > 1 || edge.name !== view.names[e]) {
    const list = edge.members
      .filter((x) => view.rank[x] >= 0)
      .sort((a, b) => view.rank[a] - view.rank[b]);
    lines.push("folded: " + edge.members.length + " edges, sum " + number(edge.score));
    for (const x of list.slice(0, 3)) {
      lines.push("  " + view.names[x] + " " + number(view.scores[x]));
    }
    if (list.length > 3) lines.push("  \u2026");
  } else if (!view.unscored && view.rank[e] >= 0) {
    lines.push(
      "score " +
        number(view.scores[e]) +
        ", rank " +
        (view.rank[e] + 1) +
        " of " +
        view.order.length,
    );
    lines.push(percent(circuitShare(view, e)) + " of all |score|");
  }
  if (edge.kind) {
    lines.push(
      edge.kind === "useful"
        ? "useful: its position counts"
        : "spurious: its position does not count",
    );
  }
  if (compare) {
    const count = (name) => edge.members.filter((x) => compare.status.get(x) === name).length;
    if (edge.members.length === 1) {
      const o = compare.there(e),
        was = o < 0 ? null : compare.view.scores[o];
      lines.push(
        terms[compare.status.get(e) ?? "kept"] +
          (was == null || Number.isNaN(was) || compare.view.unscored
            ? ""
            : "; there: " + number(was)),
      );
    } else {
      lines.push(
        ["gained", "kept", "lost"]
          .filter(count)
          .map((name) => count(name) + " " + terms[name])
          .join(", "),
      );
    }
  }
  return lines.join("\n");
}

export function circuitTellNode({ drawn, view }, node) {
  const lines = [node.name];
  for (const [word, side] of [
    ["read", "to"],
    ["written", "from"],
  ]) {
    const mine = drawn.filter((edge) => edge[side] === node.name && !edge.ghost);
    if (!mine.length) continue;
    const sum = mine.reduce((total, edge) => total + edge.score, 0);
    lines.push(
      mine.length +
        (mine.length > 1 ? " edges " : " edge ") +
        word +
        (view.unscored ? "" : ", sum of scores " + number(sum)),
    );
  }
  if (lines.length === 1) lines.push("no edge shown");
  return lines.join("\n");
}
