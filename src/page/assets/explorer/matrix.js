// Attention as a matrix: sequences by class, sum and prefix against positions, with each class's
// mean.

/* global d3 */
import { hideTip, showTip } from "../dom.js";
import { svg } from "../figure.js";
import { number } from "../numbers.js";
import { set, state } from "../state.js";
import { MATRIX, MATRIX_BOX, heatColor, matrixAxes, matrixRows, rowName } from "./matrix-rows.js";
import { explorerFigure } from "./plane.js";
import { keyTarget, pinned } from "./points.js";

/// `top(options)` is the end of the colour scale, the same for all arms.
export function matrixPanel(parent, spec, arm, top) {
  const picture = explorerFigure(parent, { ...spec, layer: "matrix" }, arm, MATRIX);
  const group = svg("g", { class: "sequences" }),
    outline = svg("rect", { class: "chosenrow", display: "none" }),
    frame = svg("g", {});
  picture.root.append(frame, group, outline);
  const shown = { view: null, options: null, rows: [], nodes: [], stop: -1 };
  const matrix = { picture, group, outline, frame, top, ...shown };
  onPointer(matrix);
  onKeys(matrix);
  return {
    node: picture.node,
    move(view, before, options) {
      const changed = matrix.view?.task !== view.task;
      const sorted = matrix.options?.byPrefix !== options.byPrefix;
      Object.assign(matrix, { view, options });
      if (changed || sorted) dress(matrix);
      draw(matrix);
      focus(matrix);
    },
    focus: () => focus(matrix),
    recolor() {
      if (!matrix.view) return;
      dress(matrix);
      draw(matrix);
      focus(matrix);
    },
  };
}

/// What stays while only weights change: the axes, and a node for each row.
function dress(matrix) {
  const { view, options, top } = matrix,
    { left, width } = MATRIX_BOX;
  matrix.rows = matrixRows(view.task, options.byPrefix);
  const next = matrixAxes(view.task, matrix.rows, options.byPrefix, top());
  matrix.frame.replaceWith(next);
  matrix.frame = next;
  const fixed = { x: left, width, class: "sequence", role: "button", tabindex: -1 };
  matrix.nodes = matrix.rows.map((row, r) => {
    const said = rowName(view.task, row, options.byPrefix);
    const place = { y: row.y, height: row.height, "data-row": r, "aria-label": said };
    return svg("rect", { ...fixed, ...place });
  });
  matrix.group.replaceChildren(...matrix.nodes);
  reach(matrix, 0);
}

function weightOf({ task, attention }, row, t) {
  return d3.mean(row.mean, (i) => attention[i * task.length + t]);
}

function draw({ picture, rows, view, top }) {
  const { canvas } = picture,
    ctx = canvas.getContext("2d"),
    scale = canvas.width / MATRIX.width,
    most = top();
  ctx.setTransform(scale, 0, 0, scale, 0, 0);
  ctx.clearRect(0, 0, MATRIX.width, MATRIX.height);
  const { task } = view,
    cell = MATRIX_BOX.width / task.length;
  for (const row of rows) {
    const height = row.height + (row.gap || row.first == null ? -0.4 : 0.2);
    for (let t = 0; t < task.length; t++) {
      ctx.fillStyle = heatColor(weightOf(view, row, t) / most);
      ctx.fillRect(MATRIX_BOX.left + t * cell, row.y, cell + 0.3, height);
    }
  }
  const means = rows.filter((row) => row.first == null),
    counting = d3.range(task.k);
  const on = d3.mean(means, (row) => d3.sum(counting, (t) => weightOf(view, row, t)));
  picture.say(
    `On the positions that count (the first k): ${number(on)} on average (even attention: ` +
      `${number(task.k / task.length)}). Scale: 0 to ${number(most)} for all arms and steps.`,
  );
}

function focus(matrix) {
  const { rows, outline } = matrix;
  const row = rows.find((row) => row.first != null && row.mean.includes(state.sample));
  outline.setAttribute("display", row ? "inline" : "none");
  if (!row) return;
  const { left, width } = MATRIX_BOX;
  const place = { x: left - 1, y: row.y - 1, width: width + 2, height: row.height + 2 };
  for (const [name, value] of Object.entries(place)) outline.setAttribute(name, value);
  reach(matrix, rows.indexOf(row));
}

function reach(matrix, r) {
  matrix.nodes[matrix.stop]?.setAttribute("tabindex", -1);
  matrix.stop = r;
  matrix.nodes[r]?.setAttribute("tabindex", 0);
}

function take(row, hold) {
  if (row?.first == null || (pinned.sample && !hold)) return;
  pinned.sample ||= hold;
  if (!row.mean.includes(state.sample)) set("sample", row.first);
}

function onPointer(matrix) {
  const { group, picture } = matrix;
  const rowOf = (event) => matrix.rows[Number(event.target.dataset?.row)];
  group.addEventListener("focusin", (event) => take(rowOf(event), true));
  group.addEventListener("click", (event) => take(rowOf(event), true));
  group.addEventListener("pointerleave", hideTip);
  group.addEventListener("pointermove", (event) => {
    const { view, options } = matrix,
      row = rowOf(event),
      side = picture.root.getBoundingClientRect();
    const x = ((event.clientX - side.left) / side.width) * MATRIX.width - MATRIX_BOX.left;
    const t = Math.floor((x / MATRIX_BOX.width) * view.task.length);
    if (!row || t < 0 || t >= view.task.length) return;
    const weight = number(weightOf(view, row, t));
    const name = rowName(view.task, row, options.byPrefix);
    showTip(event, `${name}\nposition ${t}, attention ${weight}`);
    take(row, false);
  });
}

function onKeys(matrix) {
  matrix.group.addEventListener("keydown", (event) => {
    const to = keyTarget(event.key, Number(event.target.dataset.row), matrix.rows.length);
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    reach(matrix, to);
    matrix.nodes[to].focus({ preventScroll: true });
  });
}
