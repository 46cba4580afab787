// The training explorer: every part of the model at the step the slider is at, arms side by side.

// Work that can wait, in pieces (generators), for at most 12 ms at a time so that input never waits.
// A new move drops what is left.
const explorerJobs = { queue: [], timer: null };
function dropJobs() {
  clearTimeout(explorerJobs.timer);
  explorerJobs.queue = [];
}
function workOn() {
  const end = performance.now() + 12;
  while (explorerJobs.queue.length && performance.now() < end) {
    if (explorerJobs.queue[0].next().done) explorerJobs.queue.shift();
  }
  if (explorerJobs.queue.length) explorerJobs.timer = setTimeout(workOn, 0);
}

function explorer(place) {
  const parent = byId(place);
  const top = el("div", {}), body = el("div", { class: "explore-cards" }), foot = el("div", { class: "explore-foot" });
  parent.append(top, body, foot);
  let drawn = [], panels = [], views = [], before = [], said = [], legend = null, details = null, most = 1;
  const controls = explorerControls(top, redraw);
  const status = top.appendChild(el("div", {}));
  const sight = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      for (const panel of panels) if (panel.card === target) panel.seen = isIntersecting;
    }
  }, { rootMargin: "200px" });

  function build() {
    dropJobs();
    sight.disconnect();
    body.replaceChildren();
    status.replaceChildren();
    foot.replaceChildren();
    const chosen = arms.map((_, a) => selected(a));
    drawn = arms.flatMap((_, a) => (chosen[a]?.weights?.steps?.length ? [explorerArm(a, chosen[a])] : []));
    panels = [];
    noWeights(status, chosen);
    top.classList.toggle("explore-empty", !drawn.length);
    if (!drawn.length) return;
    body.style.setProperty("--arms", drawn.length);
    most = attentionScale(drawn);
    said = explorerStatus(status, drawn);
    legend = explorerLegend(status);
    details = explorerDetails(foot, drawn);
    for (const spec of explorerPanels()) {
      const card = el("section", { class: "card", "aria-label": spec.title });
      const pair = el("div", { class: "explore-pair" });
      card.append(el("h4", {}, spec.title), spec.note ? el("p", { class: "quiet" }, spec.note) : "", pair);
      body.append(card);
      for (const [i, arm] of drawn.entries()) {
        const make = spec.matrix ? matrixPanel : spec.simplex ? simplexPanel : planePanel;
        panels.push({ i, card, seen: true, ...make(pair, spec, arm, () => most) });
      }
      sight.observe(card);
    }
    redraw();
  }
  // What is in sight at once, the rest right after it, fine regions when the slider rests.
  function redraw() {
    if (!drawn.length) return;
    const start = performance.now();
    dropJobs();
    document.documentElement.dataset.regions = "coarse";
    const { options } = controls;
    views = drawn.map((arm) => arm.view(arm.frameAt(state.step)));
    before = drawn.map((arm, i) => {
      const { frame, task } = views[i];
      return options.moves && frame > 0 ? arm.view(frame - 1, task) : null;
    });
    for (const panel of panels) panel.node.classList.toggle("explore-none", !views[panel.i].finite);
    const able = panels.filter((panel) => views[panel.i].finite);
    const move = (panel) => panel.move(views[panel.i], before[panel.i], options);
    able.filter((panel) => panel.seen).forEach(move);
    said(views);
    legend([...new Set(views.map((view) => view.task))]);
    details(views);
    controls.update(drawn);
    const later = able.filter((panel) => !panel.seen);
    let took = performance.now() - start;
    // A name for what was measured: the page's test reads it.
    const measured = () => {
      document.documentElement.dataset.stepMs = took.toFixed(1);
      performance.clearMeasures("edgegrad:step");
      performance.measure("edgegrad:step", { start, duration: took });
    };
    measured();
    function* rest() {
      for (const panel of later) {
        const from = performance.now();
        move(panel);
        took += performance.now() - from;
        yield;
      }
      measured();
      const wait = Math.max(0, start + 80 - performance.now());
      explorerJobs.timer = setTimeout(() => {
        const fine = able.filter((panel) => panel.fine).sort((a, b) => b.seen - a.seen);
        explorerJobs.queue.push(...fine.map((panel) => panel.fine()), settled());
        workOn();
      }, wait);
    }
    explorerJobs.queue.push(rest());
    explorerJobs.timer = setTimeout(workOn, 0);
  }
  // Paper shows what a slider at rest does.
  function finish() {
    if (!drawn.length) return;
    dropJobs();
    for (const panel of panels.filter((panel) => views[panel.i].finite)) {
      panel.move(views[panel.i], before[panel.i], controls.options);
      for (const piece = panel.fine?.(); piece && !piece.next().done; );
    }
  }
  function* settled() {
    document.documentElement.dataset.regions = "fine";
  }
  function focus() {
    if (!drawn.length) return;
    for (const panel of panels) panel.focus();
    details(views);
  }
  window.edgegradProbe = explorerProbe;
  function explorerProbe(a) {
    const i = drawn.findIndex((arm) => arm.a === a);
    if (i < 0) return null;
    const { frame, weights: { V, D }, task, logits, xi, attention } = views[i];
    const part = (list, n) => [...list.subarray(0, n)];
    return {
      step: drawn[i].frames[frame], tokens: part(task.tokens, task.length),
      logits: part(logits, V), xi: part(xi, D), attention: part(attention, task.length),
    };
  }

  build();
  on("key", build);
  on("step", redraw);
  addEventListener("beforeprint", finish);
  for (const kind of ["sample", "neuron", "cell", "token", "position"]) on(focusName(kind), focus);
  on("theme", () => {
    forgetPalette();
    if (!drawn.length) return;
    for (const panel of panels) panel.recolor();
    legend([...new Set(views.map((view) => view.task))], true);
    redraw();
  });
}

// Says which arms cannot be drawn, and which seeds can.
function noWeights(parent, chosen) {
  const without = arms.flatMap((arm, a) => (chosen[a]?.weights?.steps?.length ? [] : [arm.name]));
  if (!without.length) return;
  const able = [...new Set(runs.filter((run) => run.weights?.steps?.length).map((run) => run.key))];
  const line = el("p", { class: "warning" }, (state.key ?? "This seed") + " of " + without.join(", ")
    + " has no weights in this page. " + (able.length ? "Seeds that have: " : "No seed has."));
  for (const key of able) {
    const button = el("button", { type: "button" }, key);
    button.addEventListener("click", () => set("key", key));
    line.append(button, " ");
  }
  parent.append(line);
}

// The end of the attention scale: the largest weight in any arm, over frames all over the run.
function attentionScale(drawn) {
  let most = 0;
  for (const view of drawn.flatMap((arm) => arm.someViews(12))) {
    for (const weight of view.attention) if (weight > most) most = weight;
  }
  return Math.min(1, Math.ceil(most * 20) / 20) || 1;
}
