// One method minus another, seed by seed. Circuit minus random is what decides whether the circuit matters: the
// control trains as many numbers, chosen by chance.
function tuningControl(place, t) {
  const of = (method) => t.rows.find((row) => row.name === method) ?? t.rows.find((row) => row.method === method);
  if (t.rows.length < 2) return;
  const first = of("circuit") ?? t.rows[t.rows.length - 1];
  const second = of("random") ?? t.rows.find((row) => row !== first);
  const box = el("div", { class: "card tuning-control" });
  const choice = (chosen, label) => {
    const select = el(
      "select",
      { "aria-label": label },
      ...t.rows.map((row, i) => el("option", { value: i }, row.name)),
    );
    select.value = String(t.rows.indexOf(chosen));
    select.addEventListener("change", draw);
    return select;
  };
  const a = choice(first, "This method"),
    b = choice(second, "Minus this method");
  const said = el("p", {}),
    body = el("tbody", {});
  const heads = ["", "this", "minus this", "difference [95 %]", ""].map((text) => el("th", { scope: "col" }, text));
  box.append(
    el("h4", {}, "Against a control, seed by seed"),
    el("div", { class: "row" }, a, " minus ", b),
    said,
    el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ...heads)), body)),
  );
  place.append(box);

  function draw() {
    const [one, other] = [a, b].map((select) => t.rows[Number(select.value)]);
    heads[1].textContent = one.name;
    heads[2].textContent = other.name;
    const found = TUNING_NAMES.map((name) => ({
      name,
      difference: one === other ? null : tuningDifference(one, other, name),
    }));
    body.replaceChildren(
      ...found.map(({ name, difference }) => {
        const { digits, short } = TUNING_FIGURES[name],
          verdict = tuningVerdict(name, difference);
        return el(
          "tr",
          {},
          el("th", { scope: "row" }, short(t)),
          ...[one, other].map((row) =>
            el("td", { class: "number" }, tuningMean(row[name]) == null ? "none" : tuningFixed(row[name].mean, digits)),
          ),
          el("td", { class: "number" }, difference ? tuningText(difference, digits) : "none"),
          el("td", { class: verdict.kind }, verdict.word),
        );
      }),
    );
    said.textContent = tuningSentence(t, one, other, found);
  }
  draw();
}

/// Better, worse or neither, by whether the interval leaves 0 out.
function tuningVerdict(name, difference) {
  if (!difference?.interval) return { kind: "quiet", word: "not known", sign: 0 };
  const [low, high] = difference.interval,
    better = TUNING_FIGURES[name].better;
  if (low <= 0 && high >= 0) return { kind: "quiet", word: "not told apart", sign: 0 };
  const sign = Math.sign(difference.mean) * better;
  return sign > 0 ? { kind: "better", word: "\u25b2 better", sign } : { kind: "worse", word: "\u25bc worse", sign };
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
