// A table that can be filtered, sorted and copied.

import { el } from "./dom.js";
import { number } from "./numbers.js";

const TABLE_STEP = 200;

/// Columns are `{title, value(row), text(row), number}`; `pick(row)` is called when a row is
/// chosen.
export function table(parent, { columns, rows, name, pick }) {
  const parts = tableParts(columns, name);
  const { filter, copy, more, heads } = parts;
  const shown = { ...parts, columns, pick };
  Object.assign(shown, { rows, order: null, falling: false, limit: TABLE_STEP });
  parent.append(parts.box);
  heads.forEach((head, i) => {
    head.firstChild.addEventListener("click", () => {
      const column = columns[i];
      shown.falling = shown.order === column ? !shown.falling : Boolean(column.number);
      shown.order = column;
      draw(shown);
    });
  });
  filter.addEventListener("input", () => draw(shown));
  more.addEventListener("click", () => {
    shown.limit *= 5;
    draw(shown);
  });
  copy.addEventListener("click", () => {
    const titles = columns.map((column) => column.title);
    const cells = found(shown).map((row) => columns.map((column) => cellText(column, row)));
    copyText([titles, ...cells].map((line) => line.join("\t")).join("\n"));
    copy.textContent = "Copied";
    setTimeout(() => {
      copy.textContent = "Copy";
    }, 1500);
  });
  draw(shown);
  return {
    update(rows) {
      Object.assign(shown, { rows, limit: TABLE_STEP });
      draw(shown);
    },
  };
}

function tableParts(columns, name) {
  const label = "Filter " + (name || "table");
  const filter = el("input", { type: "search", placeholder: "filter", "aria-label": label });
  const copy = el("button", { type: "button" }, "Copy");
  const count = el("span", { class: "quiet", role: "status" });
  const more = el("button", { type: "button" }, "More rows");
  const heads = columns.map((column) => {
    const button = el("button", { type: "button", class: "head" }, column.title);
    return el("th", { scope: "col", class: column.number && "number" }, button);
  });
  const body = el("tbody", {});
  const area = {
    class: "scroll tall",
    tabindex: "0",
    role: "region",
    "aria-label": name || "table",
  };
  const box = el(
    "div",
    { class: "table" },
    el("div", { class: "row" }, filter, copy, count),
    el("div", area, el("table", {}, el("thead", {}, el("tr", {}, ...heads)), body)),
    more,
  );
  return { box, filter, copy, count, more, heads, body };
}

function cellText(column, row) {
  return column.text ? column.text(row) : shownValue(column.value(row));
}

/// The rows that the filter lets through, in their order.
function found({ rows, columns, filter, order, falling }) {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (row) => {
    const all = columns.map((column) => cellText(column, row)).join(" ");
    return words.every((word) => all.toLowerCase().includes(word));
  };
  const kept = words.length ? rows.filter(matches) : [...rows];
  if (!order) return kept;
  const sign = falling ? -1 : 1;
  // What is missing comes last, whichever way round.
  return kept.sort((a, b) => {
    const [x, y] = [order.value(a), order.value(b)];
    if (x == null || y == null) return (x == null) - (y == null);
    return x < y ? -sign : x > y ? sign : 0;
  });
}

function draw(shown) {
  const { rows, columns, heads, body, more, count, order, falling, limit } = shown;
  const kept = found(shown);
  heads.forEach((head, i) => {
    if (columns[i] !== order) head.removeAttribute("aria-sort");
    else head.setAttribute("aria-sort", falling ? "descending" : "ascending");
  });
  body.replaceChildren(...kept.slice(0, limit).map((row) => tableRow(shown, row)));
  more.hidden = kept.length <= limit;
  const of = kept.length < rows.length ? " of " + rows.length : "";
  count.textContent = kept.length + of + " rows";
}

function tableRow({ columns, pick }, row) {
  const cells = columns.map((column) =>
    el("td", { class: column.number && "number" }, cellText(column, row)),
  );
  const line = el("tr", pick ? { tabindex: "0", role: "button" } : {}, ...cells);
  if (!pick) return line;
  line.addEventListener("click", () => pick(row));
  line.addEventListener("keydown", (event) => {
    if (event.key === "Enter") pick(row);
  });
  return line;
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
