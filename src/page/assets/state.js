// What the page knows and what the reader has chosen. Sections listen; none calls another.
const arms = data.arms;
const runs = arms.flatMap((arm, a) => arm.runs.map((run) => Object.assign(run, { arm: a, armName: arm.name })));
const keys = [...new Set(runs.map((run) => run.key))];

// What is chosen is in the address too, so that a link shows what its sender saw.
const state = {};
const listeners = {};
for (const [name, text] of new URLSearchParams(location.hash.slice(1))) {
  state[name] = text !== "" && isFinite(text) ? Number(text) : text;
}

function on(name, listener) { (listeners[name] ??= []).push(listener); }
function tell(name) { for (const listener of listeners[name] ?? []) listener(); }
let saving = null;
function set(name, value) {
  if (value === state[name]) return;
  state[name] = value;
  clearTimeout(saving);
  saving = setTimeout(() => {
    const known = Object.entries(state).filter(([, value]) => value != null);
    history.replaceState(null, "", "#" + new URLSearchParams(known));
  }, 150);
  tell(name);
}
addEventListener("hashchange", (event) => {
  // Not the address of now: a choice saved in the meantime may have replaced what the reader typed.
  for (const [name, text] of new URLSearchParams(new URL(event.newURL).hash.slice(1))) {
    set(name, text !== "" && isFinite(text) ? Number(text) : text);
  }
});
function selected(a) { return runs.find((run) => run.arm === a && run.key === state.key); }

// Names come from folders and files: they reach the page as text nodes and attributes only.
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}
function byId(id) { return document.getElementById(id); }

function number(x) {
  if (x == null) return "none";
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return x.toExponential(2);
  return size >= 100 ? String(Math.round(x)) : String(Number(x.toPrecision(3)));
}
function percent(x) { return (100 * x).toFixed(x < 0.0995 ? 1 : 0) + " %"; }
function steps(x) { return x.toLocaleString("en").replace(/,/g, "\u202f"); }

/// The last index with `list[i] <= x`, or 0.
function atOrBefore(list, x) {
  let low = 0, high = list.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (list[middle] <= x) low = middle; else high = middle;
  }
  return low;
}
function nearest(list, x) {
  const i = atOrBefore(list, x);
  return i + 1 < list.length && list[i + 1] - x < x - list[i] ? i + 1 : i;
}

const tip = byId("tip");
function showTip(event, text) {
  tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const right = event.clientX + 16 + box.width < innerWidth;
  tip.style.left = (right ? event.clientX + 16 : event.clientX - 16 - box.width) + "px";
  tip.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - box.height - 4)) + "px";
}
function hideTip() { tip.hidden = true; }

/// The switches between stages: per arm and stage the steps, and one sentence for arms that agree.
const switches = arms.flatMap((arm, a) => {
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
  const same = switches.filter((other) => other.what === mine.what && String(other.steps) === String(mine.steps));
  const label = same.map((other) => arms[other.arm].name).join(", ") + ": " + mine.what;
  mine.text = same[0] === mine && mine.steps.length === 1 && label.length < 60 ? label : "";
}
