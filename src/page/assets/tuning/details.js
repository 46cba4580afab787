// Every seed of the picked method.

import { el } from "../dom.js";
import { number } from "../numbers.js";
import { table } from "../table.js";
import {
  TUNING_FIGURES,
  TUNING_NAMES,
  tuningBytes,
  tuningFixed,
  tuningMean,
  tuningRate,
  tuningShare,
} from "./figures.js";

export function tuningDetails(place, t, view) {
  const box = el("div", { class: "card tuning-details" });
  place.append(box);
  function draw() {
    const row = t.rows.find((row) => row.name === view.picked());
    box.replaceChildren();
    if (!row) {
      box.append(
        el("h4", {}, "All seeds of a method"),
        el("p", { class: "quiet unchosen" }, "Choose a mark, a line or a row of the table."),
      );
      return;
    }
    box.append(
      el(
        "h4",
        {},
        row.name,
        row.method && row.method !== row.name
          ? el("span", { class: "quiet" }, " (" + row.method + ")")
          : null,
      ),
      el(
        "p",
        {},
        `Learning rate ${tuningRate(row.lr)}` +
          `${row.at_the_edge ? ", the smallest or the largest that was tried" : ""}. ` +
          `${row.diverged ? row.diverged + " of " + t.seeds + " runs" : "No run"} diverged. ` +
          `An update trains ${tuningShare(row.trained)} of the blocks' numbers and takes ` +
          `${number(tuningMean(row.step_ms))} ms, beside ${tuningBytes(row.bytes)} for gradients and the optimiser; ` +
          `ever trained are ${tuningShare(row.ever)}.`,
      ),
    );
    const figures = TUNING_NAMES.map((name) => ({
      title: TUNING_FIGURES[name].short(t),
      number: true,
      value: (run) => run[name],
      text: (run) =>
        Number.isFinite(run[name])
          ? tuningFixed(run[name], TUNING_FIGURES[name].digits + 1)
          : "none",
    }));
    const ever = {
      title: "ever trained",
      number: true,
      value: (run) => run.ever,
      text: (run) => tuningShare(run.ever),
    };
    table(box, {
      columns: [{ title: "seed", value: (run) => run.seed, number: true }, ...figures, ever],
      rows: row.runs,
      name: t.name + ", seeds of " + row.name,
    });
  }
  return { draw };
}
