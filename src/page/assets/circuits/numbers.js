// The numbers of a time point or of a file, and how they went through training.

function circuitNumbers(parent) {
  const list = el("dl", { class: "circuit-numbers" });
  parent.append(list);
  return function update(view, edges, n) {
    const rows = [],
      add = (name, value, title) => {
        if (value != null && value !== "") rows.push([name, value, title]);
      };
    const t = view.t,
      c = view.run?.circuits;
    const at = (name) => c?.[name]?.[t];
    const share = (x) => (x == null ? null : percent(x));
    if (c) {
      add("step", steps(view.step) + ", " + (view.run.stages[view.stage]?.name ?? "stage " + (view.stage + 1)));
      add("metric, model", number(at("clean")), "mean logit of the answer minus that of the distractor");
      add("metric, corrupted", number(at("corrupted")));
      add(
        "95 % circuit",
        view.own == null
          ? "none: the model does not prefer the answer"
          : view.own + " of " + view.names.length + " edges",
      );
      add("its nodes", at("nodes"));
      add("its faithfulness", at("faithfulness") == null ? null : number(at("faithfulness")));
      add("useful", share(at("useful")), "share of all |score| on edges at positions that count");
      add("spurious", share(at("spurious")), "share of all |score| on edges at positions that do not count");
      if (at("reinforced") != null) {
        add(
          "since the log before",
          at("reinforced") +
            " reinforced, " +
            at("pruned") +
            " pruned, " +
            at("grew") +
            " grew, " +
            at("shrank") +
            " shrank",
          "came in, dropped out; of those that stayed how many changed their share of all |score| by more than a tenth",
        );
      }
      add("Jaccard with it", at("jaccard") == null ? null : number(at("jaccard")));
      add("rank correlation", at("rank_correlation") == null ? null : number(at("rank_correlation")));
    } else {
      const { set, series } = view.source;
      add("method", set?.method);
      add("metric", set?.metric);
      add("baseline", set?.baseline);
      add("step", view.step == null ? null : steps(view.step));
      add("edges with a score", view.unscored ? "none" : steps(view.order.length));
      add("edges of the circuit", view.kept ? steps(view.own) : null);
      const sum = set?.completeness;
      if (sum)
        add(
          "completeness",
          "sum " + number(sum.sum) + ", metric falls by " + number(sum.delta) + ", residual " + number(sum.residual),
        );
      if (series) add("time points", series.steps.length);
    }
    const touched = new Set();
    for (const e of edges) touched.add(view.graph.from[e]).add(view.graph.to[e]);
    add("shown", n + (n === 1 ? " edge, " : " edges, ") + touched.size + " nodes");
    if (!view.unscored && view.total > 0) {
      let part = 0;
      for (const e of edges) part += circuitShare(view, e);
      add("of all |score|", percent(part));
    }
    list.replaceChildren(
      ...rows.map(([name, value, title]) => el("div", { title }, el("dt", {}, name), el("dd", {}, String(value)))),
    );
  };
}

/// Charts over steps of the selected seed in all arms; a click moves the time there.
function circuitHistory(parent) {
  const grid = el("div", { class: "circuit-charts" }),
    key = el("div", {});
  parent.append(key, grid);
  let charts = [],
    now = null;
  const place = () => charts.forEach((chart) => chart.move(state.step));
  function draw() {
    const mine = arms.map((_, a) => selected(a)).filter((run) => run?.circuits?.steps.length);
    const stamp = mine.map((run) => run.arm + run.key).join();
    if (stamp === now) return place();
    now = stamp;
    charts = [];
    grid.replaceChildren();
    key.replaceChildren();
    if (!mine.length) return;
    const lines = (name, sign = 1, style = "") =>
      mine.map((run) => ({
        x: run.circuits.steps,
        y: run.circuits[name].map((v) => (v == null ? null : sign * v)),
        name: "ink" + (run.arm % 6) + style,
        text: run.armName,
      }));
    const go = (x) => {
      const all = [...new Set(mine.flatMap((run) => run.circuits.steps))].sort((a, b) => a - b);
      set("step", all[nearest(all, x)]);
    };
    const tell = (names) => (x) =>
      mine
        .map((run) => {
          const i = nearest(run.circuits.steps, x);
          const values = names.map(
            ([name, text]) => text + " " + (run.circuits[name][i] == null ? "none" : number(run.circuits[name][i])),
          );
          return run.armName + ", step " + steps(run.circuits.steps[i]) + ":\n  " + values.join(", ");
        })
        .join("\n");
    const marks = [...new Set(mine.flatMap((run) => run.stages.slice(1).map((stage) => stage.step)))];
    const chart = (title, name, yLabel, list, names, note) =>
      charts.push(
        circuitChart(grid, {
          title,
          name,
          note,
          height: 170,
          lines: list,
          xLabel: "step (updates)",
          yLabel,
          now: state.step,
          pick: go,
          tell: tell(names),
          marks,
        }),
      );
    key.append(circuitKey(lines("edges")));
    chart("Size of the 95 % circuit", "circuit-size", "edges", lines("edges"), [["edges", "edges"]]);
    chart(
      "Useful and spurious",
      "circuit-useful",
      "share of all |score|",
      [...lines("useful"), ...lines("spurious", 1, " dashed")],
      [
        ["useful", "useful"],
        ["spurious", "spurious"],
      ],
      "dashed: positions that do not count",
    );
    chart(
      "Reinforced and pruned",
      "circuit-changes",
      "edges",
      [...lines("reinforced"), ...lines("pruned", -1, " dashed")],
      [
        ["reinforced", "reinforced"],
        ["pruned", "pruned"],
        ["jaccard", "Jaccard"],
      ],
      "since the log before; dashed, downwards: pruned",
    );
  }
  on("key", draw);
  on("step", place);
  draw();
}
