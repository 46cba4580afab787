// The seeds to choose from, and the arms' colours.

import { byId, el } from "../dom.js";
import { number } from "../numbers.js";
import { arms, keys, runs } from "../runs.js";
import { on, set, state } from "../state.js";

export function startSeeds() {
  const box = byId("seeds");
  for (const key of keys) {
    const marks = arms.map((arm, a) => {
      const run = runs.find((run) => run.arm === a && run.key === key);
      return (
        run &&
        el("span", { class: "swatch " + (run.success ? "arm" + (a % 6) : "failed ink" + (a % 6)) })
      );
    });
    const said = arms.map((arm) => {
      const run = arm.runs.find((run) => run.key === key);
      return (
        run &&
        arm.name +
          (run.success ? " generalises" : " does not") +
          " (test accuracy " +
          number(run.test) +
          ")"
      );
    });
    const text = said.filter(Boolean).join(", ");
    const input = el("input", {
      type: "radio",
      name: "seed",
      value: key,
      "aria-label": key + ": " + text,
    });
    input.addEventListener("change", () => set("key", key));
    box.append(
      el(
        "label",
        { class: "chip", title: text },
        input,
        el("span", { class: "face" }, key.replace(/^seed /, ""), ...marks.filter(Boolean)),
      ),
    );
  }
  box.append(el("span", { class: "quiet" }, "filled: generalises, hollow: does not"));
  on("key", () => {
    for (const input of box.querySelectorAll("input")) input.checked = input.value === state.key;
    for (const node of document.querySelectorAll(".chosen")) node.textContent = state.key;
  });
}

export function startLegend() {
  byId("legend").append(
    ...arms.flatMap((arm, a) => [
      el("span", { class: "swatch arm" + (a % 6) }),
      arm.name + "\u2003",
    ]),
  );
}
