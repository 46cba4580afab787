// The table of the shown edges beside their picture.

import { el } from "../dom.js";
import { percent } from "../numbers.js";
import { set } from "../state.js";
import { table } from "../table.js";
import { CIRCUIT_WORDS } from "./picture.js";
import { circuitKind, circuitShare } from "./order.js";

export function circuitList(parent) {
  const box = el("div", { class: "circuit-list" });
  parent.append(box);
  let shape = null,
    list = null,
    scene = null,
    live = [];
  // The table's columns look at the scene through `live`; only other columns make another table.
  function update(next) {
    scene = next;
    live = circuitColumnsOf(scene);
    const key = live.map((column) => column.title).join("|");
    if (key === shape) list.update(scene.listed);
    else {
      shape = key;
      box.replaceChildren();
      list = table(box, {
        name: "edges",
        rows: scene.listed,
        pick: (e) => set("edge", scene.view.names[e]),
        columns: live.map((column, i) => ({
          title: column.title,
          number: column.number,
          value: (e) => live[i].value(e),
          text: column.text && ((e) => live[i].text(e)),
        })),
      });
    }
    mark(next);
  }
  function mark({ focus }) {
    for (const row of box.querySelectorAll("tbody tr")) {
      row.classList.toggle("picked", row.firstChild?.textContent === focus);
    }
  }
  return { update, mark };
}

function circuitColumnsOf(scene) {
  const { view, compare } = scene;
  const ranked = (value) => (e) => (view.rank[e] < 0 ? null : value(e));
  const column = (title, value) => ({ title, value, number: true });
  const columns = [
    { title: "edge", value: (e) => view.names[e] },
    column(
      "rank",
      ranked((e) => view.rank[e] + 1),
    ),
  ];
  const token = (e) => view.tokens[view.graph.position[e]];
  if (view.tokens.length) {
    columns.push({ title: "token", value: token, text: (e) => JSON.stringify(token(e)) ?? "" });
  }
  if (!view.unscored) {
    const share = ranked((e) => circuitShare(view, e));
    const text = (e) => (share(e) == null ? "" : percent(share(e)));
    columns.push(
      column(
        "score",
        ranked((e) => view.scores[e]),
      ),
      { ...column("share", share), text },
    );
  }
  if (view.k != null) columns.push({ title: "kind", value: (e) => circuitKind(view, e) });
  if (compare) columns.push(...comparedColumns(scene));
  const { files, set: own } = view.source;
  const sets = files?.sets.filter((set) => set.scores && set !== own) ?? [];
  for (const { label, scores } of sets.slice(0, 12)) {
    columns.push(column(label, (e) => (Number.isNaN(scores[e]) ? null : scores[e])));
  }
  return columns;
}

function comparedColumns(scene) {
  const { compare } = scene,
    { view: other } = compare;
  const there = (e) => {
    const o = compare.there(e);
    return o < 0 || other.rank[o] < 0 ? null : other.scores[o];
  };
  const title = scene.terms === CIRCUIT_WORDS.time ? "before" : "there";
  return [
    { title: "change", value: (e) => circuitChange(scene, e) },
    ...(other.unscored ? [] : [{ title, value: there, number: true }]),
  ];
}

function circuitChange({ compare }, e) {
  const status = compare.status.get(e) ?? "";
  return status === "kept" && compare.grew.has(e)
    ? "kept, grew"
    : status === "kept" && compare.shrank.has(e)
      ? "kept, shrank"
      : status;
}
