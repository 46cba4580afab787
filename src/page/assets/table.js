// A table that can be filtered, sorted and copied.
const TABLE_STEP = 200;

/// Columns are `{title, value(row), text(row), number}`; `pick(row)` is called when a row is chosen.
function table(parent, { columns, rows, name, pick }) {
  let list = rows, order = null, falling = false, limit = TABLE_STEP;
  const text = (column, row) => (column.text ? column.text(row) : shownValue(column.value(row)));
  const filter = el("input", { type: "search", placeholder: "filter", "aria-label": "Filter " + (name || "table") });
  const copy = el("button", { type: "button" }, "Copy");
  const count = el("span", { class: "quiet", role: "status" });
  const more = el("button", { type: "button" }, "More rows");
  const heads = columns.map((column) => {
    const button = el("button", { type: "button", class: "head" }, column.title);
    button.addEventListener("click", () => {
      falling = order === column ? !falling : Boolean(column.number);
      order = column;
      draw();
    });
    return el("th", { scope: "col", class: column.number && "number" }, button);
  });
  const body = el("tbody", {});
  const box = el("div", { class: "table" },
    el("div", { class: "row" }, filter, copy, count),
    el("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": name || "table" },
      el("table", {}, el("thead", {}, el("tr", {}, ...heads)), body)),
    more);
  parent.append(box);

  function found() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const matches = (row) => {
      const all = columns.map((column) => text(column, row)).join(" ").toLowerCase();
      return words.every((word) => all.includes(word));
    };
    const kept = words.length ? list.filter(matches) : [...list];
    if (!order) return kept;
    const sign = falling ? -1 : 1;
    // What is missing comes last, whichever way round.
    return kept.sort((a, b) => {
      const [x, y] = [order.value(a), order.value(b)];
      if (x == null || y == null) return (x == null) - (y == null);
      return x < y ? -sign : x > y ? sign : 0;
    });
  }
  function draw() {
    const kept = found();
    heads.forEach((head, i) => {
      if (columns[i] === order) head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    body.replaceChildren(...kept.slice(0, limit).map((row) => {
      const cells = columns.map((column) => el("td", { class: column.number && "number" }, text(column, row)));
      const line = el("tr", pick ? { tabindex: "0", role: "button" } : {}, ...cells);
      if (pick) {
        line.addEventListener("click", () => pick(row));
        line.addEventListener("keydown", (event) => { if (event.key === "Enter") pick(row); });
      }
      return line;
    }));
    more.hidden = kept.length <= limit;
    count.textContent = kept.length + (kept.length < list.length ? " of " + list.length : "") + " rows";
  }
  filter.addEventListener("input", draw);
  more.addEventListener("click", () => { limit *= 5; draw(); });
  copy.addEventListener("click", () => {
    const lines = [columns.map((column) => column.title), ...found().map((row) => columns.map((column) => text(column, row)))];
    copyText(lines.map((line) => line.join("\t")).join("\n"));
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  });
  draw();
  return { update(rows) { list = rows; limit = TABLE_STEP; draw(); } };
}
function shownValue(value) {
  return value == null ? "" : typeof value === "number" ? number(value) : String(value);
}
// The clipboard of a page from disk is not always allowed; a selection that is copied is.
function copyText(text) {
  const area = el("textarea", { class: "offscreen", readonly: true, "aria-hidden": "true" });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
