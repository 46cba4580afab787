// How many edges are shown, and all of them in a table.

/* global d3 */
import { el } from "../dom.js";
import { number, percent } from "../numbers.js";
import { table } from "../table.js";
import { lookPick } from "./flow.js";
import { lookShown } from "./words.js";

export function lookSlider(place, scene) {
  const count = scene.edges.length;
  const slider = el("input", {
    type: "range",
    min: 0,
    max: count,
    step: 1,
    "aria-label": "Edges shown over the tokens",
  });
  const output = el("output", {});
  const all = d3.sum(scene.edges, (edge) => Math.abs(edge.score)) || 1;
  slider.addEventListener("input", () => scene.choose("edges", Number(slider.value)));
  place.append(el("label", { class: "look-slider" }, "Edges ", slider, output));
  function show() {
    const n = scene.shown,
      kept = scene.edges.slice(0, n);
    slider.value = n;
    const share = percent(d3.sum(kept, (edge) => Math.abs(edge.score)) / all);
    const least = n
      ? `, |score| from ${number(Math.abs(kept[n - 1].score))} up, ${share} of all listed`
      : "";
    output.textContent = ` ${n} of ${count}${least}`;
    slider.setAttribute("aria-valuetext", output.textContent);
  }
  scene.on("edges", show);
  show();
}

export function lookEdgeTable(place, scene) {
  const { look } = scene;
  const holder = el("div", {});
  place.append(holder);
  holder.append(
    el(
      "h4",
      {},
      "Edges by position ",
      el(
        "span",
        { class: "quiet" },
        look.method +
          ", " +
          look.metric +
          "; positive: removing the edge lowers it; click a row to find it above",
      ),
    ),
  );
  const token = (edge, run) =>
    edge.position < 0 ? "" : lookShown(look.tokens[run][edge.position] ?? "");
  const list = table(holder, {
    columns: [
      { title: "edge", value: (edge) => edge.name },
      { title: "score (" + lookUnit(look.metric) + ")", number: true, value: (edge) => edge.score },
      { title: "|score|", number: true, value: (edge) => Math.abs(edge.score) },
      {
        title: "position",
        number: true,
        value: (edge) => (edge.position < 0 ? null : edge.position),
      },
      { title: "clean token", value: (edge) => token(edge, "clean") },
      { title: "corrupted token", value: (edge) => token(edge, "corrupted") },
    ],
    rows: scene.edges,
    name: look.name + ", edges",
    pick: (edge) => lookPick(scene, edge),
  });
  return list;
}

function lookUnit(metric) {
  return (
    {
      "logit-diff": "logits",
      nll: "nats",
      kl: "nats",
      "prob-diff": "probability",
      l2: "logits\u00b2",
    }[metric] ?? metric
  );
}
