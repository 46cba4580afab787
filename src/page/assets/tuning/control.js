// One method minus another, seed by seed. Circuit minus random is what decides whether the circuit
// matters: the control trains as many numbers, chosen by chance.

import { el } from "../dom.js";
import {
  TUNING_FIGURES,
  TUNING_NAMES,
  tuningDifference,
  tuningFixed,
  tuningMean,
  tuningShare,
  tuningText,
} from "./figures.js";

export function tuningControl(place, t) {
  if (t.rows.length < 2) return;
  const of = (method) =>
    t.rows.find((row) => row.name === method) ?? t.rows.find((row) => row.method === method);
  const first = of("circuit") ?? t.rows[t.rows.length - 1];
  const second = of("random") ?? t.rows.find((row) => row !== first);
  const a = methodChoice(t, first, "This method"),
    b = methodChoice(t, second, "Minus this method");
  const said = el("p", {}),
    body = el("tbody", {});
  const heads = ["", "this", "minus this", "difference [95 %]", ""].map((text) =>
    el("th", { scope: "col" }, text),
  );
  const table = el("table", {}, el("thead", {}, el("tr", {}, ...heads)), body);
  place.append(
    el(
      "div",
      { class: "card tuning-control" },
      el("h4", {}, "Against a control, seed by seed"),
      el("div", { class: "row" }, a, " minus ", b),
      said,
      el("div", { class: "scroll" }, table),
    ),
  );
  function draw() {
    const [one, other] = [a, b].map((select) => t.rows[Number(select.value)]);
    heads[1].textContent = one.name;
    heads[2].textContent = other.name;
    const found = TUNING_NAMES.map((name) => ({
      name,
      difference: one === other ? null : tuningDifference(one, other, name),
    }));
    body.replaceChildren(...found.map((figure) => differenceRow(t, one, other, figure)));
    said.textContent = tuningSentence(t, one, other, found);
  }
  for (const select of [a, b]) select.addEventListener("change", draw);
  draw();
}

function methodChoice(t, chosen, label) {
  const options = t.rows.map((row, i) => el("option", { value: i }, row.name));
  const select = el("select", { "aria-label": label }, ...options);
  select.value = String(t.rows.indexOf(chosen));
  return select;
}

function differenceRow(t, one, other, { name, difference }) {
  const { digits, short } = TUNING_FIGURES[name],
    verdict = tuningVerdict(name, difference);
  const mean = (row) =>
    tuningMean(row[name]) == null ? "none" : tuningFixed(row[name].mean, digits);
  const numbers = [mean(one), mean(other), difference ? tuningText(difference, digits) : "none"];
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, short(t)),
    ...numbers.map((text) => el("td", { class: "number" }, text)),
    el("td", { class: verdict.kind }, verdict.word),
  );
}

/// Better, worse or neither, by whether the interval leaves 0 out.
function tuningVerdict(name, difference) {
  if (!difference?.interval) {
    return { kind: "quiet", word: "not known", sign: 0 };
  }
  const [low, high] = difference.interval,
    better = TUNING_FIGURES[name].better;
  if (low <= 0 && high >= 0) return { kind: "quiet", word: "not told apart", sign: 0 };
  const sign = Math.sign(difference.mean) * better;
  return sign > 0
    ? { kind: "better", word: "\u25b2 better", sign }
    : { kind: "worse", word: "\u25bc worse", sign };
}

function tuningSentence(t, one, other, found) {
  if (one === other) return "The same method twice.";
  const seeds = Math.max(0, ...found.map(({ difference }) => difference?.seeds ?? 0));
  if (!seeds) return one.name + " and " + other.name + " have no seed in common.";
  const of = (sign) =>
    found
      .filter(({ name, difference }) => difference && tuningVerdict(name, difference).sign === sign)
      .map(({ name }) => TUNING_FIGURES[name].short(t));
  const list = (names) => (names.length ? names.join(", ") : "nothing");
  const told = `${one.name} is better than ${other.name} in ${list(of(1))}, worse in ${list(of(-1))}`;
  const rest = `the rest cannot be told apart from chance with ${seeds} ${seeds === 1 ? "seed" : "seeds"}`;
  const [trained, ever] = ["trained", "ever"].map((name) =>
    [one, other].map((row) => tuningShare(row[name])).join(" and "),
  );
  return `${told}; ${rest}. An update trains ${trained} of the blocks' numbers; ever trained are ${ever}.`;
}
