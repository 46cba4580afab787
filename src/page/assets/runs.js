// The runs of the page, by arm; a seed is the runs of one key.

import { data } from "./data.js";
import { state } from "./state.js";

export const arms = data.arms;
export const runs = arms.flatMap((arm, a) =>
  arm.runs.map((run) => Object.assign(run, { arm: a, armName: arm.name })),
);
export const keys = [...new Set(runs.map((run) => run.key))];

/// The run of arm `a` with the chosen seed.
export function selected(a) {
  return runs.find((run) => run.arm === a && run.key === state.key);
}

/// The switches between stages: per arm and stage the steps, and one sentence for arms that agree.
export const switches = arms.flatMap((arm, a) => {
  const longest = Math.max(0, ...arm.runs.map((run) => run.stages.length));
  return Array.from({ length: Math.max(0, longest - 1) }, (_, s) => {
    const at = arm.runs.filter((run) => run.stages.length > s + 1);
    return {
      arm: a,
      steps: [...new Set(at.map((run) => run.stages[s + 1].step))],
      what: at[0].stages[s].name + " \u2192 " + at[0].stages[s + 1].name,
    };
  });
});
for (const mine of switches) {
  const same = switches.filter(
    (other) => other.what === mine.what && String(other.steps) === String(mine.steps),
  );
  const label = same.map((other) => arms[other.arm].name).join(", ") + ": " + mine.what;
  mine.text = same[0] === mine && mine.steps.length === 1 && label.length < 60 ? label : "";
}
