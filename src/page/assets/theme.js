// Light or dark: the system's choice until the reader makes one; paper is always light.

import { byId } from "./dom.js";
import { tell } from "./state.js";

const wantsDark = matchMedia("(prefers-color-scheme: dark)");
let chosenTheme = null;

function applyTheme(name) {
  document.documentElement.dataset.theme = name;
  byId("theme").textContent = name === "dark" ? "Light" : "Dark";
  byId("theme").setAttribute(
    "aria-label",
    "Switch to " + (name === "dark" ? "light" : "dark") + " colours",
  );
  tell("theme");
}
function currentTheme() {
  return chosenTheme || (wantsDark.matches ? "dark" : "light");
}
export function color(name) {
  return getComputedStyle(document.documentElement)
    .getPropertyValue("--" + name)
    .trim();
}
export function armColor(a) {
  return color("arm" + (a % 6));
}

export function startTheme() {
  byId("theme").hidden = false;
  byId("theme").addEventListener("click", () => {
    chosenTheme = currentTheme() === "dark" ? "light" : "dark";
    applyTheme(chosenTheme);
  });
  wantsDark.addEventListener("change", () => applyTheme(currentTheme()));
  addEventListener("beforeprint", () => applyTheme("light"));
  addEventListener("afterprint", () => applyTheme(currentTheme()));
  applyTheme(currentTheme());
}
