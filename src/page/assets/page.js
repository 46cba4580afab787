// The page: its sections, each in its place.
// One broken section must not take the others with it.

import { attentionMap } from "./attention.js";
import { circuits } from "./circuits/circuits.js";
import { gradients } from "./curves.js";
import { data } from "./data.js";
import { byId, el } from "./dom.js";
import { explorer } from "./explorer/explorer.js";
import { languages } from "./language/look.js";
import { pretrainings } from "./pretraining.js";
import { arms, keys, runs } from "./runs.js";
import { startLegend, startSeeds } from "./seeds/chooser.js";
import { seedGrid } from "./seeds/seeds.js";
import { set, state, tell } from "./state.js";
import { startTheme } from "./theme.js";
import { startTime } from "./time.js";
import { startCurves } from "./training.js";
import { tunings } from "./tuning/tuning.js";
import { startZoom } from "./zoom.js";

function section(place, draw) {
  try {
    draw();
  } catch (error) {
    byId(place).append(
      el("p", { class: "warning" }, "This part could not be drawn: " + error.message),
    );
    console.error(error);
  }
}

function startNav() {
  const shown = [...document.querySelectorAll("#main section[aria-labelledby]")].filter(
    (node) => !node.closest("[hidden]"),
  );
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
  byId("bar").hidden = false;
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
