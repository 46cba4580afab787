// The circuit explorer: one picture of one circuit, and everything the page knows about its edges.
function circuits(place) {
  const box = byId(place);
  box.classList.add("circuit");
  if (!circuitSources.length) {
    box.append(
      el(
        "p",
        { class: "quiet" },
        "No circuits: no run logged them (`train.circuit_every`) and no file of scores was given.",
      ),
    );
    return;
  }
  const controls = circuitControls(box),
    missing = el("p", { class: "warning", hidden: true }),
    body = el("div", {});
  box.append(missing, body);
  const numbers = circuitNumbers(body),
    difference = circuitDifference(body);
  const grid = el("div", { class: "circuit-grid" }),
    left = el("div", {}),
    right = el("div", { class: "circuit-right" });
  grid.append(left, right);
  body.append(grid);
  const picture = circuitPicture(left, (name) => set("edge", name));
  const threshold = circuitThreshold(right),
    list = circuitList(right),
    detail = circuitDetail(body);
  const scatter = circuitScatter(body),
    past = el("div", {});
  body.append(past);
  if (circuitSources.some((source) => source.kind === "run")) circuitHistory(past);
  let scene = null,
    waiting = 0,
    settling = 0;

  // The picture follows at once; what takes longer, or is read more slowly, a moment later.
  function draw() {
    waiting = 0;
    scene = circuitScene();
    controls(scene);
    body.hidden = !scene;
    missing.hidden = Boolean(scene);
    clearTimeout(settling);
    if (!scene) {
      missing.textContent =
        circuitChosen().label +
        ": no circuits of " +
        (state.key ?? "this seed") +
        ". Choose other scores or another seed.";
      return;
    }
    const { view } = scene;
    picture.draw({ ...scene, focus: scene.outlined });
    picture.caption.replaceChildren(
      view.label + (view.when ? ", " + view.when : "") + " ",
      el("span", { class: "quiet" }, circuitNote(scene)),
    );
    threshold.update(view, scene.n);
    numbers(view, scene.edges, scene.n);
    difference(scene);
    past.hidden = scene.source.kind !== "run";
    body.classList.add("waiting");
    settling = setTimeout(settle, 160);
  }
  // Runs of the model, tables and charts: not for every step of a film.
  function settle() {
    list.update(scene);
    threshold.settle(circuitRivals(scene));
    detail(scene);
    scatter(scene);
    body.classList.remove("waiting");
  }
  // Several things that change together are drawn once.
  const later = () => {
    if (!waiting) {
      waiting = 1;
      queueMicrotask(draw);
    }
  };
  for (const name of [
    "key",
    "circuit",
    "other",
    "shown",
    "circuit_step",
    "circuit_at",
    "circuit_filter",
    "circuit_colour",
    "circuit_positions",
    "circuit_neurons",
  ])
    on(name, later);
  on("step", () => {
    if (circuitChosen().kind === "run" || circuitSource(state.other)?.kind === "run") later();
  });
  on("edge", () => {
    if (waiting || !scene) return;
    scene = circuitScene();
    picture.choose(scene.outlined);
    list.mark(scene);
    detail(scene);
    scatter(scene);
  });
  draw();
}

function circuitNote({ view, n, drawn, unfold, source }) {
  const parts = [n + " of " + steps(view.order.length) + (view.unscored ? " edges" : " edges by |score|")];
  const folded = drawn.filter((edge) => edge.members.length > 1).length;
  if (folded) parts.push(folded + " folded, each the sum of its shown members");
  if (unfold.positions === false && view.graph.positions.length) parts.push("positions folded");
  if (unfold.neurons === false && view.graph.neurons) parts.push("neurons folded");
  if (source.kind === "run") parts.push("each score from removing the edge for real");
  return parts.join("; ");
}

/// Other curves for the same axes: of what is compared, and of the other files of a group.
function circuitRivals({ view, compare }) {
  const rivals = [];
  for (const source of circuitSources) {
    if (source.kind === "set" && source.files === view.source.files && source !== view.source && source.set.curve) {
      rivals.push({
        other: circuitView(source, 0),
        name: "group" + (rivals.length % 8) + " thin",
        text: source.set.label,
      });
    }
  }
  if (compare && !rivals.some((rival) => rival.other === compare.view)) {
    rivals.push({
      other: compare.view,
      name: "dashed",
      text: compare.view.label + (compare.view.when ? ", " + compare.view.when : ""),
    });
  }
  return rivals;
}
