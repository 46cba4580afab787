// What the page knows and what the reader has chosen. Sections listen; none calls another.
// What is chosen is in the address too, so that a link shows what its sender saw.
export const state = {};
const listeners = {};
for (const [name, text] of new URLSearchParams(location.hash.slice(1))) {
  state[name] = text !== "" && isFinite(text) ? Number(text) : text;
}

export function on(name, listener) {
  (listeners[name] ??= []).push(listener);
}
export function tell(name) {
  for (const listener of listeners[name] ?? []) listener();
}
let saving = null;
export function set(name, value) {
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
