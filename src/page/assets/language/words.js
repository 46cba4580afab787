// Tokens and edges in words.

import { number } from "../numbers.js";

/// A token with what cannot be seen made visible; tokenizers' marks of a space become one dot.
export function lookShown(token) {
  const text = String(token)
    .replace(/^[\u0120\u2581 ]+/, (spaces) => "\u00b7".repeat(spaces.length))
    .replace(/[\u0120\u2581]/g, "\u00b7")
    .replace(/[\n\u010a]/g, "\u23ce")
    .replace(/\t/g, "\u21e5")
    .replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
  return text === "" ? "\u2205" : text;
}
export function lookQuoted(token) {
  return "\u201c" + lookShown(token) + "\u201d";
}
export function lookShort(token) {
  const letters = [...lookShown(token)];
  return letters.length > 14 ? letters.slice(0, 13).join("") + "\u2026" : letters.join("");
}

export function lookEdgeSaid(scene, edge) {
  const { look } = scene,
    t = edge.position;
  const both = scene.differs(t) ? ` (corrupted ${lookQuoted(look.tokens.corrupted[t])})` : "";
  const token =
    look.tokens.clean[t] == null ? "" : `, at ${lookQuoted(look.tokens.clean[t])}${both}`;
  const change = edge.score > 0 ? "lowers" : "raises";
  return `${edge.name}${token}: score ${number(edge.score)}, removing it ${change} ${look.metric}`;
}

/// Heads that an edge has to do with: the one that reads or the one that writes.
export function lookHeadOf(scene, edge) {
  const { look } = scene;
  if (edge.to.kind === "kv") {
    return { layer: edge.to.layer, head: edge.to.index * lookGroup(scene) };
  }
  const node = [edge.to, edge.from].find((node) => node.kind === "head");
  return node && node.layer < look.layers && node.index < look.heads
    ? { layer: node.layer, head: node.index }
    : null;
}
// How many heads share keys and values: as the edges tell.
export function lookGroup(scene) {
  const shared = scene.edges.filter((edge) => edge.to.kind === "kv").map((edge) => edge.to.index);
  return scene.look.kv_heads
    ? scene.look.heads / scene.look.kv_heads
    : Math.max(1, Math.floor(scene.look.heads / (1 + Math.max(0, ...shared))));
}
