// What an edge does together with others: pairs that were removed at once.

import { el } from "../dom.js";
import { set } from "../state.js";
import { table } from "../table.js";
import { circuitRun } from "./curve.js";
import { patchedInteractions } from "./interactions.js";
import { patchedHindrance } from "./patched.js";

/// From a file, or run here for a model whose weights the page has.
export function circuitPartners(grid, view, members) {
  const cell = el("div", { class: "circuit-partners" });
  grid.append(cell);
  const say = (text) => cell.append(el("p", { class: "quiet" }, text));
  if (members.length > 1) {
    say("Partners are known for single edges: unfold, or choose one in the table.");
    return;
  }
  const [e] = members,
    found = partnersOf(view, e);
  if (!found) {
    const none = "No file of interactions was given (`edgegrad interactions`).";
    say(view.run ? "No partners: " + patchedHindrance(view) + "." : none);
    return;
  }
  cell.append(el("h5", {}, "Partners ", el("span", { class: "quiet" }, found.source)));
  if (!found.list.length) {
    say("None of the pairs that were removed has this edge.");
    return;
  }
  table(cell, {
    name: "partners of " + view.names[e],
    rows: found.list,
    pick: (row) => set("edge", row.name),
    columns: [
      { title: "with", value: (row) => row.name },
      { title: "relation", value: (row) => row.relation },
      { title: "interaction", value: (row) => row.interaction, number: true },
      { title: "without it", value: (row) => row.without_i, number: true },
      { title: "without that", value: (row) => row.without_j, number: true },
      { title: "without both", value: (row) => row.without_both, number: true },
    ],
  });
  say(
    "What the metric falls by. Joint: both are needed; redundant: either suffices; opposed: one " +
      "raises the metric, the other lowers it; at an interaction of at least a tenth of the largest effect.",
  );
}

/// The pairs of edge `e`, and where they are from; null if nothing is known.
function partnersOf(view, e) {
  const { files } = view.source;
  if (files?.interactions) {
    const { names } = files;
    const mine = (x) => x === e || names[x] === view.names[e];
    const turned = (pair) => {
      const { i, j, without_i, without_j } = pair;
      return { ...pair, i: j, j: i, without_i: without_j, without_j: without_i };
    };
    const list = files.interactions
      .filter((pair) => mine(pair.i) || mine(pair.j))
      .map((pair) => (mine(pair.i) ? pair : turned(pair)))
      .map((pair) => ({ ...pair, name: typeof pair.j === "string" ? pair.j : names[pair.j] }));
    return { list, source: "from the file of interactions" };
  }
  if (!view.run || !circuitRun(view)) return null;
  const pairs = patchedInteractions(circuitRun(view).probe, e).slice(0, 60);
  const list = pairs.map((pair) => ({ ...pair, name: view.names[pair.j] }));
  return { list, source: "both removed for real, in this page" };
}
