// One pair of a language model: tokens, attention, logits and edges, all of one scene.

import { data } from "../data.js";
import { byId, el } from "../dom.js";
import { number } from "../numbers.js";
import { on, set, state } from "../state.js";
import { lookEdgeTable, lookSlider } from "./edges.js";
import { lookHeads } from "./heads.js";
import { lookTop } from "./logits.js";
import { lookPattern } from "./pattern.js";
import { LOOK_MODES, lookScene } from "./scene.js";
import { lookStrip } from "./strip.js";
import { lookQuoted } from "./words.js";

export function languages(place) {
  const choice = el(
    "select",
    { "aria-label": "Pair of a language model" },
    ...data.looks.map((look, i) =>
      el(
        "option",
        { value: i },
        look.name + (look.model && look.model !== look.name ? " (" + look.model + ")" : ""),
      ),
    ),
  );
  if (data.looks.length > 1) {
    byId(place).append(el("div", { class: "row" }, el("label", {}, "Pair ", choice)));
  }
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
    if (!drawn.has(chosen)) {
      lookBlock(blocks[chosen], lookScene(data.looks[chosen], "look" + chosen));
    }
    drawn.add(chosen);
  }
  choice.addEventListener("change", () => set("look", Number(choice.value)));
  on("look", show);
  if (data.looks.length) show();
}

function lookBlock(place, scene) {
  const { look } = scene;
  const names = (list) => el("b", {}, list.map(lookQuoted).join(", "));
  const [clean, corrupted] = ["clean", "corrupted"].map((run) =>
    number(look.logit_diff[run][look.position]),
  );
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
  if (look.attention) lookModes(controls, scene);
  lookSlider(controls, scene);
  lookStrip(place, scene);
  const middle = el("div", { class: "grid look-middle" });
  place.append(middle);
  if (look.attention) {
    lookHeads(middle, scene);
    lookPattern(middle, scene);
  } else {
    const how = "edgegrad look --attention writes them.";
    middle.append(el("p", { class: "quiet" }, "Attention patterns are not in this file: " + how));
  }
  const below = el("div", { class: "grid look-below" });
  place.append(below);
  lookEdgeTable(below, scene);
  lookTop(below, scene);
}

function lookModes(place, scene) {
  const inputs = Object.entries(LOOK_MODES).map(([mode, text]) => {
    const input = el("input", { type: "radio", name: scene.prefix + "mode", value: mode });
    input.addEventListener("change", () => scene.choose("mode", mode));
    return [input, el("label", {}, input, " " + text)];
  });
  place.append(
    el(
      "fieldset",
      { class: "choice" },
      el("legend", {}, "Attention"),
      ...inputs.map(([, label]) => label),
    ),
  );
  const show = () => {
    for (const [input] of inputs) input.checked = input.value === scene.mode;
  };
  scene.on("mode", show);
  show();
}
