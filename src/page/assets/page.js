// The page: seeds to choose, charts in their places, the time slider.
function choice(id, name, options, change) {
  options.forEach(([value, text], i) => {
    const input = el("input", { type: "radio", name, value, checked: i === 0 });
    input.addEventListener("change", () => change(value));
    byId(id).append(el("label", {}, input, " " + text));
  });
}

function startSeeds() {
  const box = byId("seeds");
  for (const key of keys) {
    const marks = arms.map((arm, a) => {
      const run = runs.find((run) => run.arm === a && run.key === key);
      return run && el("span", { class: "swatch " + (run.success ? "arm" + (a % 6) : "failed ink" + (a % 6)) });
    });
    const said = arms.map((arm) => {
      const run = arm.runs.find((run) => run.key === key);
      return run && arm.name + (run.success ? " generalises" : " does not") + " (test accuracy " + number(run.test) + ")";
    });
    const text = said.filter(Boolean).join(", ");
    const input = el("input", { type: "radio", name: "seed", value: key, "aria-label": key + ": " + text });
    input.addEventListener("change", () => set("key", key));
    box.append(el("label", { class: "chip", title: text }, input,
      el("span", { class: "face" }, key.replace(/^seed /, ""), ...marks.filter(Boolean))));
  }
  box.append(el("span", { class: "quiet" }, "filled: generalises, hollow: does not"));
  on("key", () => {
    for (const input of box.querySelectorAll("input")) input.checked = input.value === state.key;
    for (const node of document.querySelectorAll(".chosen")) node.textContent = state.key;
  });
}

function startLegend() {
  byId("legend").append(...arms.flatMap((arm, a) => [el("span", { class: "swatch arm" + (a % 6) }), arm.name + "\u2003"]));
}

const zoomInputs = [];
function showZoom(min, max) {
  if (!zoomInputs.length) return;
  zoomInputs[0].value = Math.max(0, Math.round(min));
  zoomInputs[1].value = Math.round(max);
}
function startZoom() {
  const longest = Math.max(1, ...runs.flatMap((run) => [...run.evals.step.slice(-1), ...run.loss.step.slice(-1)]));
  const apply = (min, max) => { if (max > min && charts.length) charts[0].u.setScale("x", { min, max }); };
  for (const [name, value] of [["from", 0], ["to", longest]]) {
    const input = el("input", { type: "number", min: 0, max: longest, step: 1, value, "aria-label": "Steps " + name });
    input.addEventListener("change", () => apply(Number(zoomInputs[0].value), Number(zoomInputs[1].value)));
    zoomInputs.push(input);
    byId("zoom").append(name + " ", input, " ");
  }
  const all = el("button", { type: "button" }, "All");
  all.addEventListener("click", () => apply(0, longest));
  byId("zoom").append(all);
  apply(0, longest);
}

function startCurves() {
  const lossNames = { batch: "batch loss", train_loss: "train loss", test_loss: "test loss" };
  let lossNow = "batch";
  const loss = allRuns("loss", {
    title: "Loss, log scale", unit: "cross-entropy (nats)", log: true, height: 300,
    source: (run) => run.loss, name: () => lossNames[lossNow],
  });
  choice("loss-choice", "loss", [["batch", "training batch"], ["train_loss", "training set"], ["test_loss", "test set"]], (value) => {
    lossNow = value;
    loss.setSource(value === "batch" ? (run) => run.loss : evalCurve(value));
  });
  const names = { test_accuracy: "test accuracy", train_accuracy: "train accuracy", test_accuracy_mod2: "test accuracy mod 2", train_accuracy_mod2: "train accuracy mod 2" };
  let now = "test_accuracy";
  const accuracy = allRuns("accuracy", {
    title: "Accuracy", unit: "share right", range: [0, 1.03], height: 300,
    source: evalCurve(now), name: () => names[now], more: accuracies,
  });
  choice("accuracy-choice", "accuracy", [["test_accuracy", "test"], ["train_accuracy", "train"], ["test_accuracy_mod2", "test mod 2"], ["train_accuracy_mod2", "train mod 2"]], (value) => {
    now = value;
    accuracy.setSource(evalCurve(value));
  });
  const small = { height: 200 };
  allRuns("cluster", { ...small, title: "Cluster R\u00b2: variance due to the sum", unit: "share of variance", range: [0, 1.03], source: evalCurve("cluster_r2"), name: () => "cluster R\u00b2" });
  allRuns("relevant", { ...small, title: "Attention on the positions that count", unit: "attention (sum)", range: [0, 1.03], source: evalCurve("attention_relevant"), name: () => "attention" });
  allRuns("norm", { ...small, title: "Norm of the sequence embedding", unit: "mean norm", source: evalCurve("sequence_norm"), name: () => "norm" });
}

/// All steps at which something of the selected seed can be shown.
function times() {
  const mine = arms.map((_, a) => selected(a)).filter(Boolean);
  const steps = (run) => [run.weights, run.circuits, run.attention].find(Boolean)?.steps ?? run.attention?.step ?? run.evals.step;
  return [...new Set(mine.flatMap(steps))].sort((x, y) => x - y);
}

function startTime() {
  const slider = byId("time"), play = byId("play"), label = byId("time-label");
  let list = [], timer = null;
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }
  function build() {
    stop();
    list = times();
    slider.max = Math.max(0, list.length - 1);
    for (const node of [slider, play, byId("before"), byId("after")]) node.disabled = list.length < 2;
    if (list.length) set("step", list[nearest(list, state.step ?? list[list.length - 1])]);
    show();
  }
  function show() {
    if (!list.length) { label.textContent = "no snapshots"; return; }
    slider.value = nearest(list, state.step);
    label.textContent = "step " + steps(state.step);
    slider.setAttribute("aria-valuetext", label.textContent);
  }
  function move(by) {
    const to = nearest(list, state.step) + by;
    if (to >= 0 && to < list.length) set("step", list[to]);
  }
  function toggle() {
    if (timer) return stop();
    if (Number(slider.value) >= list.length - 1) set("step", list[0]);
    play.textContent = "Pause";
    timer = setInterval(() => {
      move(1);
      if (nearest(list, state.step) >= list.length - 1) stop();
    }, 140);
  }
  slider.addEventListener("input", () => set("step", list[Number(slider.value)]));
  play.addEventListener("click", toggle);
  byId("before").addEventListener("click", () => move(-1));
  byId("after").addEventListener("click", () => move(1));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=range]), select, textarea")) return;
    const keys = { ",": () => move(-1), ".": () => move(1) };
    if (event.key === " " && event.target === document.body) keys[" "] = toggle;
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  on("key", build);
  on("step", show);
  build();
}

// One broken section must not take the others with it.
function section(place, draw) {
  try {
    draw();
  } catch (error) {
    byId(place).append(el("p", { class: "warning" }, "This part could not be drawn: " + error.message));
    console.error(error);
  }
}

function startNav() {
  const shown = [...document.querySelectorAll("#main section[aria-labelledby]")].filter((node) => !node.closest("[hidden]"));
  byId("nav").hidden = shown.length < 2;
  for (const node of shown) {
    const title = node.querySelector("h2");
    const link = el("button", { type: "button" }, title.firstChild.textContent.replace(/: $/, ""));
    link.addEventListener("click", () => title.scrollIntoView());
    byId("nav").append(link);
  }
}

byId("main").hidden = false;
section("main", startTheme);
if (runs.length) {
  byId("training").hidden = false;
  section("seeds", startSeeds);
  if (!keys.includes(state.key)) set("key", keys.includes(data.chosen) ? data.chosen : keys[0]);
  else tell("key");
  startLegend();
  section("seed-grid", () => seedGrid("seed-grid"));
  section("loss", startCurves);
  section("zoom", startZoom);
  section("time-label", startTime);
  section("explorer", () => explorer("explorer"));
  arms.forEach((_, a) => {
    section("attention", () => attentionMap(a));
    section("gradients", () => gradients(a));
  });
}
for (const [name, there, draw] of [
  ["circuit", runs.some((run) => run.circuits) || data.circuits.length, () => circuits("circuits")],
  ["pretraining", data.pretrainings.length, () => pretrainings("pretrainings")],
  ["tuning", data.tunings.length, () => tunings("tunings")],
  ["language", data.looks.length, () => languages("languages")],
]) {
  if (!there) continue;
  byId(name + "-section").hidden = false;
  section(name + "-section", draw);
}
startNav();
tell("step");
document.documentElement.dataset.ready = "1";
