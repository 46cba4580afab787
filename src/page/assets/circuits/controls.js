// What can be chosen: scores, what they are compared with, time, what is unfolded, filtered and coloured.
function circuitControls(parent) {
  const select = (label, change) => {
    const input = el("select", {});
    input.addEventListener("change", () => change(input.value));
    return { input, node: el("label", { class: "circuit-choice" }, el("span", {}, label), input) };
  };
  const tick = (label, name) => {
    const input = el("input", { type: "checkbox" });
    input.addEventListener("change", () => set(name, input.checked ? 1 : 0));
    return { input, node: el("label", { class: "circuit-choice tick" }, input, el("span", {}, label)) };
  };
  const scores = select("Scores", (id) => {
    const [before, after] = [circuitBehind(circuitChosen()), circuitBehind(circuitSource(id))];
    if (before?.names !== after?.names) set("shown", null);
    if (state.other === id) set("other", null);
    set("circuit", id);
  });
  const other = select("Compare with", (id) => {
    set("circuit_colour", null);
    set("other", id);
  });
  const filter = select("Show", (id) => set("circuit_filter", id === "all" ? null : id));
  const colour = select("Colour", (id) => set("circuit_colour", id));
  const positions = tick("positions unfolded", "circuit_positions"),
    neurons = tick("neurons unfolded", "circuit_neurons");
  const time = el("input", { type: "range", min: 0, max: 0, step: 1, "aria-label": "Time point of tuning" });
  const timeText = el("output", {}),
    timeBox = el("label", { class: "circuit-choice" }, el("span", {}, "Tuning step"), time, timeText);
  const at = el("input", { type: "range", min: 0, max: 0, step: 1, "aria-label": "Step that is compared with" });
  const atText = el("output", {}),
    atBox = el("label", { class: "circuit-choice" }, el("span", {}, "compared step"), at, atText);
  for (const [id, [text]] of Object.entries(CIRCUIT_FILTERS)) filter.input.append(el("option", { value: id }, text));
  for (const [id, text] of [
    ["sign", "sign of the score"],
    ["change", "gained, lost, kept"],
  ])
    colour.input.append(el("option", { value: id }, text));
  parent.append(
    el(
      "div",
      { class: "row circuit-controls" },
      scores.node,
      timeBox,
      other.node,
      atBox,
      filter.node,
      colour.node,
      positions.node,
      neurons.node,
    ),
  );

  function fill(input, list, value) {
    const key = JSON.stringify(list);
    if (input.dataset.key !== key) {
      input.dataset.key = key;
      const groups = new Map();
      input.replaceChildren();
      for (const [id, text, group] of list) {
        const option = el("option", { value: id }, text);
        if (!group) {
          input.append(option);
          continue;
        }
        if (!groups.has(group)) {
          groups.set(group, el("optgroup", { label: group }));
          input.append(groups.get(group));
        }
        groups.get(group).append(option);
      }
    }
    input.value = value;
  }
  let behind = null;
  time.addEventListener("input", () => set("circuit_step", behind.steps[Number(time.value)]));
  at.addEventListener("input", () => set("circuit_at", behind.steps[Number(at.value)]));
  const slide = (input, output, t) => {
    input.max = behind.steps.length - 1;
    input.value = t;
    output.textContent = steps(behind.steps[t]);
    input.setAttribute("aria-valuetext", "step " + output.textContent);
  };

  let last = null;
  return function update(scene) {
    const source = circuitChosen();
    behind = circuitBehind(source);
    const stamp = source.id + "|" + state.key;
    if (stamp !== last) {
      last = stamp;
      fill(
        scores.input,
        circuitSources.map((x) => [x.id, x.label + (circuitBehind(x) ? "" : " (none of this seed)"), x.group]),
        source.id,
      );
      fill(other.input, circuitChoices(source, scene?.view), "");
    }
    scores.input.value = source.id;
    other.input.value = state.other ?? (source.kind === "set" ? "none" : "previous");
    timeBox.hidden = source.kind !== "series";
    if (!timeBox.hidden) slide(time, timeText, circuitTime(source));
    atBox.hidden = state.other !== "at" || !behind?.steps;
    if (!atBox.hidden) slide(at, atText, atOrBefore(behind.steps, state.circuit_at ?? behind.steps[0]));
    filter.input.value = state.circuit_filter ?? "all";
    if (!scene) return;
    const { graph, k } = scene.view;
    for (const option of filter.input.options) {
      const needs = ["useful", "spurious"].includes(option.value)
        ? k != null
        : ["gained", "lost", "kept", "grew", "shrank"].includes(option.value)
          ? scene.compare
          : true;
      option.disabled = !needs;
    }
    colour.node.hidden = !scene.compare;
    colour.input.value = scene.colour;
    positions.node.hidden = !graph.positions.length;
    positions.input.checked = scene.unfold.positions;
    neurons.node.hidden = !graph.neurons;
    neurons.input.checked = scene.unfold.neurons;
  };
}

/// One sentence on the comparison, its counts being buttons that filter.
function circuitDifference(parent) {
  const line = el("p", { class: "circuit-difference", role: "status" });
  parent.append(line);
  return function update({ view, n, compare, terms, why, matching, listed, source }) {
    line.replaceChildren();
    line.hidden = !compare && !why && matching <= listed.length;
    if (matching > listed.length)
      line.append(
        el("strong", {}, "Drawn and listed: the first " + CIRCUIT_DRAWN + " of " + steps(matching) + " edges. "),
      );
    if (!compare) {
      if (why) line.append("Not compared: " + why + ".");
      return;
    }
    const other = compare.view,
      button = (id, text) => {
        const node = el(
          "button",
          { type: "button", class: "circuit-count " + id, "aria-pressed": String(state.circuit_filter === id) },
          text,
        );
        node.addEventListener("click", () => set("circuit_filter", state.circuit_filter === id ? null : id));
        return node;
      };
    const named = (terms === CIRCUIT_WORDS.time ? "" : other.label + (other.when ? ", " : "")) + other.when;
    const rank = circuitRankCorrelation(view, other);
    line.append(
      "Against " + named + " (" + compare.edges.length + (compare.edges.length === 1 ? " edge" : " edges") + "): ",
      button("gained", compare.gained + " " + terms.gained),
      " ",
      button("lost", compare.lost + " " + terms.lost),
      " ",
      button("kept", compare.kept + " " + terms.kept),
      " ",
      ...(view.unscored || other.unscored
        ? []
        : [button("grew", compare.grew.size + " grew"), " ", button("shrank", compare.shrank.size + " shrank")]),
      (compare.beyond ? "; " + compare.beyond + " of its edges are not in this graph" : "") +
        "; Jaccard " +
        circuitOr(compare.jaccard) +
        (rank == null ? "." : ", rank correlation of |score| " + number(rank) + "."),
    );
    // Without a circuit of its own a time point shows its first edges.
    const bare = circuitAsked() == null && source.kind === "run" ? [view, other].filter((x) => x.own == null) : [];
    if (bare.length)
      line.append(
        " (" +
          bare.map((x) => x.when).join(" and ") +
          ": no 95 % circuit, its first " +
          circuitSize(bare[0]) +
          " edges.)",
      );
  };
}
