// The steps that all curves show.

import { charts } from "./curves.js";
import { byId, el } from "./dom.js";
import { runs } from "./runs.js";
import { on } from "./state.js";

const zoomInputs = [];
function showZoom() {
  const { min, max } = charts[0].u.scales.x;
  zoomInputs[0].value = Math.max(0, Math.round(min));
  zoomInputs[1].value = Math.round(max);
}
export function startZoom() {
  const longest = Math.max(
    1,
    ...runs.flatMap((run) => [...run.evals.step.slice(-1), ...run.loss.step.slice(-1)]),
  );
  const apply = (min, max) => {
    if (max > min && charts.length) charts[0].u.setScale("x", { min, max });
  };
  for (const [name, value] of [
    ["from", 0],
    ["to", longest],
  ]) {
    const input = el("input", {
      type: "number",
      min: 0,
      max: longest,
      step: 1,
      value,
      "aria-label": "Steps " + name,
    });
    input.addEventListener("change", () =>
      apply(Number(zoomInputs[0].value), Number(zoomInputs[1].value)),
    );
    zoomInputs.push(input);
    byId("zoom").append(name + " ", input, " ");
  }
  const all = el("button", { type: "button" }, "All");
  all.addEventListener("click", () => apply(0, longest));
  byId("zoom").append(all);
  on("zoom", showZoom);
  apply(0, longest);
}
