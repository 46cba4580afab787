// Tokens and edges as they are written and drawn.

/// A token with what cannot be seen made visible; tokenizers' marks of a space become one dot.
function lookShown(token) {
  const text = String(token)
    .replace(/^[\u0120\u2581 ]+/, (spaces) => "\u00b7".repeat(spaces.length))
    .replace(/[\u0120\u2581]/g, "\u00b7")
    .replace(/[\n\u010a]/g, "\u23ce")
    .replace(/\t/g, "\u21e5")
    .replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
  return text === "" ? "\u2205" : text;
}
function lookQuoted(token) {
  return "\u201c" + lookShown(token) + "\u201d";
}
function lookShort(token) {
  const letters = [...lookShown(token)];
  return letters.length > 14 ? letters.slice(0, 13).join("") + "\u2026" : letters.join("");
}

/// The parts of an edge's name, `WRITER@t->READER@t`.
function lookEdge({ name, score }) {
  const [from, to] = name.split("->");
  const ends = [from, to ?? ""].map(lookNode);
  return { name, score, from: ends[0], to: ends[1], position: ends[1].position ?? ends[0].position };
}
function lookNode(text) {
  const [node, at] = text.split("@");
  const position = at == null ? null : Number(at);
  const port = /<([qkv])>$/.exec(node)?.[1] ?? null,
    name = node.replace(/<[qkv]>$/, "");
  const found = /^([am])(\d+)(?:\.(h|kv|n)(\d+))?$/.exec(name);
  if (!found) return { name, kind: name, port, position };
  const kind = { h: "head", kv: "shared", n: "neuron" }[found[3]] ?? (found[1] === "a" ? "attention" : "mlp");
  const number = found[4] == null ? null : Number(found[4]);
  return { name, kind, layer: Number(found[2]), head: kind === "head" ? number : null, number, port, position };
}

function lookEdgeSaid(scene, edge) {
  const { look } = scene,
    t = edge.position;
  const both = scene.differs(t) ? ` (corrupted ${lookQuoted(look.tokens.corrupted[t])})` : "";
  const token = look.tokens.clean[t] == null ? "" : `, at ${lookQuoted(look.tokens.clean[t])}${both}`;
  const change = edge.score > 0 ? "lowers" : "raises";
  return `${edge.name}${token}: score ${number(edge.score)}, removing it ${change} ${look.metric}`;
}

/// Heads that an edge has to do with: the one that reads or the one that writes.
function lookHeadOf(scene, edge) {
  const { look } = scene;
  if (edge.to.kind === "shared")
    return { layer: edge.to.layer, head: edge.to.number * lookGroup(scene, edge.to.layer) };
  const node = [edge.to, edge.from].find((node) => node.head != null);
  return node && node.layer < look.layers && node.head < look.heads ? node : null;
}
// How many heads share keys and values: as the edges of the layer tell.
function lookGroup(scene, layer) {
  const shared = scene.edges.filter((edge) => edge.to.kind === "shared").map((edge) => edge.to.number);
  return scene.look.kv_heads
    ? scene.look.heads / scene.look.kv_heads
    : Math.max(1, Math.floor(scene.look.heads / (1 + Math.max(0, ...shared))));
}
