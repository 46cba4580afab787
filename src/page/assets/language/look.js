// One pair of a language model: tokens, attention, logits and edges, all of one scene.
function languages(place) {
  const choice = el(
    "select",
    { "aria-label": "Pair of a language model" },
    ...data.looks.map((look, i) =>
      el("option", { value: i }, look.name + (look.model && look.model !== look.name ? " (" + look.model + ")" : "")),
    ),
  );
  if (data.looks.length > 1) byId(place).append(el("div", { class: "row" }, el("label", {}, "Pair ", choice)));
  const blocks = data.looks.map(() => el("div", { class: "look" }));
  byId(place).append(...blocks);
  const drawn = new Set();
  function show() {
    const chosen = Number.isInteger(state.look) && data.looks[state.look] ? state.look : 0;
    choice.value = String(chosen);
    blocks.forEach((block, i) => {
      block.hidden = i !== chosen;
    });
    // A pair is drawn when it is first shown.
    if (!drawn.has(chosen)) lookBlock(blocks[chosen], lookScene(data.looks[chosen], "look" + chosen));
    drawn.add(chosen);
  }
  choice.addEventListener("change", () => set("look", Number(choice.value)));
  on("look", show);
  if (data.looks.length) show();
}

function lookBlock(place, scene) {
  const { look } = scene;
  const names = (list) => el("b", {}, list.map(lookQuoted).join(", "));
  const [clean, corrupted] = ["clean", "corrupted"].map((run) => number(look.logit_diff[run][look.position]));
  place.append(
    el(
      "p",
      {},
      `At position ${look.position} the model is asked for `,
      names(look.answer),
      " rather than ",
      names(look.distractor),
      `: the logit difference is ${clean} on the clean sequence and ${corrupted} on the corrupted one (logits).`,
    ),
  );
  const controls = el("div", { class: "row" });
  place.append(controls);
  lookModes(controls, scene);
  lookSlider(controls, scene);
  lookStrip(place, scene);
  const middle = el("div", { class: "grid look-middle" });
  place.append(middle);
  lookHeads(middle, scene);
  lookPattern(middle, scene);
  const below = el("div", { class: "grid look-below" });
  place.append(below);
  lookEdgeTable(below, scene);
  lookTop(below, scene);
}

/// What a pair is and what of it is chosen. `change` names are `head`, `mode`, `query`, `edge`, `edges`.
function lookScene(look, prefix) {
  const length = look.tokens.clean.length,
    { layers, heads } = look;
  const listeners = {};
  const scene = {
    look,
    prefix,
    length,
    hovered: null,
    edges: [...look.edges].sort((a, b) => Math.abs(b.score) - Math.abs(a.score)).map(lookEdge),
    on(what, listener) {
      (listeners[what] ??= []).push(listener);
    },
    tell(what) {
      for (const listener of listeners[what] ?? []) listener();
    },
    choose(what, value) {
      set(prefix + what, value);
    },
    differs: (t) => look.tokens.clean[t] !== look.tokens.corrupted[t],
    get mode() {
      return Object.hasOwn(LOOK_MODES, state[prefix + "mode"] ?? "") ? state[prefix + "mode"] : "clean";
    },
    get head() {
      const found = /^a(\d+)\.h(\d+)$/.exec(state[prefix + "head"] ?? "");
      const [layer, head] = found ? [Number(found[1]), Number(found[2])] : scene.busiest;
      return layer < layers && head < heads ? { layer, head } : { layer: 0, head: 0 };
    },
    /// The position that asks: the one pointed at, else the one chosen, else where the pair asks.
    get query() {
      const chosen = state[prefix + "query"];
      return scene.hovered ?? (chosen >= 0 && chosen < length ? Math.floor(chosen) : look.position);
    },
    get edge() {
      return scene.edges.find((edge) => edge.name === state[prefix + "edge"]) ?? null;
    },
    get shown() {
      const chosen = state[prefix + "edges"];
      return chosen >= 0 ? Math.min(Math.floor(chosen), scene.edges.length) : Math.min(40, scene.edges.length);
    },
    hover(t) {
      if (scene.hovered === t) return;
      scene.hovered = t;
      scene.tell("query");
    },
    /// The weight of a key for a query; corrupted minus clean is what the corruption changed.
    weight(layer, head, query, key, mode = scene.mode) {
      const at = ((layer * heads + head) * length + query) * length + key;
      const { clean, corrupted } = look.attention;
      return mode === "clean" ? clean[at] : mode === "corrupted" ? corrupted[at] : clean[at] - corrupted[at];
    },
  };
  scene.busiest = lookBusiest(scene);
  for (const what of ["head", "mode", "query", "edge", "edges"]) on(prefix + what, () => scene.tell(what));
  on("theme", () => scene.tell("theme"));
  return scene;
}

// The head whose edges have the largest scores together is a good first one to look at.
function lookBusiest(scene) {
  const sums = d3.rollup(
    scene.edges.flatMap((edge) =>
      [edge.from, edge.to].filter((node) => node.head != null).map((node) => ({ node, score: Math.abs(edge.score) })),
    ),
    (list) => d3.sum(list, (x) => x.score),
    (x) => x.node.layer + "," + x.node.head,
  );
  const most = d3.greatest([...sums], ([, sum]) => sum);
  return most ? most[0].split(",").map(Number) : [0, 0];
}

const LOOK_MODES = { clean: "clean", corrupted: "corrupted", difference: "clean \u2212 corrupted" };
function lookModes(place, scene) {
  const inputs = Object.entries(LOOK_MODES).map(([mode, text]) => {
    const input = el("input", { type: "radio", name: scene.prefix + "mode", value: mode });
    input.addEventListener("change", () => scene.choose("mode", mode));
    return [input, el("label", {}, input, " " + text)];
  });
  place.append(el("fieldset", { class: "choice" }, el("legend", {}, "Attention"), ...inputs.map(([, label]) => label)));
  const show = () => {
    for (const [input] of inputs) input.checked = input.value === scene.mode;
  };
  scene.on("mode", show);
  show();
}
