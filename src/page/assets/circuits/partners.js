// What an edge does together with others: pairs that were removed at once.

/// From a file, or run here for a model whose weights the page has.
function circuitPartners(grid, view, members) {
  const cell = el("div", { class: "circuit-partners" });
  let list = null,
    source = "";
  const [e] = members;
  if (members.length > 1) {
    cell.append(
      el("p", { class: "quiet" }, "Partners are known for single edges: unfold, or choose one in the table."),
    );
  } else if (view.source.files?.interactions) {
    const { names } = view.source.files;
    list = view.source.files.interactions
      .filter((pair) => [pair.i, pair.j].some((x) => x === e || names[x] === view.names[e]))
      .map((pair) =>
        pair.i === e || names[pair.i] === view.names[e]
          ? pair
          : { ...pair, i: pair.j, j: pair.i, without_i: pair.without_j, without_j: pair.without_i },
      )
      .map((pair) => ({ ...pair, name: typeof pair.j === "string" ? pair.j : names[pair.j] }));
    source = "from the file of interactions";
  } else if (view.run && circuitRun(view)) {
    list = patchedInteractions(circuitRun(view).probe, e)
      .slice(0, 60)
      .map((pair) => ({ ...pair, name: view.names[pair.j] }));
    source = "both removed for real, in this page";
  }
  if (members.length === 1 && !list)
    cell.append(
      el(
        "p",
        { class: "quiet" },
        view.run
          ? "No partners: " + patchedHindrance(view) + "."
          : "No file of interactions was given (`edgegrad interactions`).",
      ),
    );
  if (list) {
    cell.append(el("h5", {}, "Partners ", el("span", { class: "quiet" }, source)));
    if (!list.length) cell.append(el("p", { class: "quiet" }, "None of the pairs that were removed has this edge."));
    else {
      table(cell, {
        name: "partners of " + view.names[e],
        rows: list,
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
      cell.append(
        el(
          "p",
          { class: "quiet" },
          "What the metric falls by. Joint: both are needed; redundant: either suffices; at an interaction of at " +
            "least a tenth of the largest effect.",
        ),
      );
    }
  }
  grid.append(cell);
}
