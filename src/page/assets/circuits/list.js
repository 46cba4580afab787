// The table of the shown edges beside their picture.
function circuitList(parent) {
  const box = el("div", { class: "circuit-list" });
  parent.append(box);
  let shape = null,
    list = null,
    scene = null;

  function columns() {
    const { view, compare } = scene,
      result = [
        { title: "edge", value: (e) => view.names[e] },
        { title: "rank", value: (e) => (view.rank[e] < 0 ? null : view.rank[e] + 1), number: true },
      ];
    if (!view.unscored) {
      result.push(
        { title: "score", value: (e) => (view.rank[e] < 0 ? null : view.scores[e]), number: true },
        {
          title: "share",
          value: (e) => (view.rank[e] < 0 ? null : circuitShare(view, e)),
          text: (e) => (view.rank[e] < 0 ? "" : percent(circuitShare(view, e))),
          number: true,
        },
      );
    }
    if (view.k != null) result.push({ title: "kind", value: (e) => circuitKind(view, e) });
    if (compare) {
      const there = (e) => {
        const o = compare.there(e);
        return o < 0 || compare.view.rank[o] < 0 ? null : o;
      };
      result.push({ title: "change", value: (e) => circuitChange(scene, e) });
      if (!compare.view.unscored)
        result.push({
          title: scene.terms === CIRCUIT_WORDS.time ? "before" : "there",
          value: (e) => (there(e) == null ? null : compare.view.scores[there(e)]),
          number: true,
        });
    }
    const sets = view.source.files?.sets.filter((set) => set.scores && set !== view.source.set) ?? [];
    for (const set of sets.slice(0, 12)) {
      result.push({
        title: set.label,
        value: (e) => (Number.isNaN(set.scores[e]) ? null : set.scores[e]),
        number: true,
      });
    }
    return result;
  }
  function mark() {
    const name = scene.focus;
    for (const row of box.querySelectorAll("tbody tr"))
      row.classList.toggle("picked", row.firstChild?.textContent === name);
  }
  // Columns look at `view` through what they were made with: another source, kind of comparison or time makes new ones.
  function update(next) {
    scene = next;
    const live = columns(),
      key = live.map((column) => column.title).join("|");
    if (key !== shape) {
      shape = key;
      box.replaceChildren();
      list = table(box, {
        name: "edges",
        rows: scene.listed,
        pick: (e) => set("edge", scene.view.names[e]),
        columns: live.map((column, i) => ({
          title: column.title,
          number: column.number,
          value: (e) => now[i].value(e),
          text: column.text && ((e) => now[i].text(e)),
        })),
      });
    } else {
      now = live;
      list.update(scene.listed);
    }
    mark();
  }
  let now = [];
  return {
    update(next) {
      scene = next;
      now = columns();
      update(next);
    },
    mark(next) {
      scene = next;
      mark();
    },
  };
}

function circuitChange({ compare }, e) {
  const status = compare.status.get(e) ?? "";
  return status === "kept" && compare.grew.has(e)
    ? "kept, grew"
    : status === "kept" && compare.shrank.has(e)
      ? "kept, shrank"
      : status;
}
