// The names of edges, `WRITER->READER`, by the rules of `formats/edge_name.rs`.
//
// Nodes are `input`, `embed`, `pos`, `aL.hH`, `aL.kvH` (keys and values that heads share), `mL`,
// `mL.nJ` and `logits`. `@T` after a node is its position, `<q>`, `<k>` or `<v>` after a reader the
// input that is read.
export const PORTS = ["", "q", "k", "v"];

// Digits without a leading zero. Layers beyond any model are a name like another.
const NUMBER = "(0|[1-9]\\d{0,5})";
const POSITIONS = 65536;
const KINDS = [
  ["head", new RegExp(`^a${NUMBER}\\.h${NUMBER}$`)],
  ["kv", new RegExp(`^a${NUMBER}\\.kv${NUMBER}$`)],
  ["neuron", new RegExp(`^m${NUMBER}\\.n${NUMBER}$`)],
  ["mlp", new RegExp(`^m${NUMBER}$`)],
  ["input", /^(?:input|embed|pos)$/],
  ["logits", /^logits$/],
];

/// A node without its port: `part` is its name without the position; `layer`, `index` and
/// `position` are -1 where it has none, `kind` is "other" where the name says nothing.
export function parseNode(name) {
  const [, part, at] = /^(.*?)(?:@(0|[1-9]\d*))?$/s.exec(name);
  const placed = at != null && Number(at) < POSITIONS;
  const node = {
    name,
    part: placed ? part : name,
    kind: "other",
    layer: -1,
    index: -1,
    position: placed ? Number(at) : -1,
  };
  for (const [kind, pattern] of KINDS) {
    const found = pattern.exec(node.part);
    if (found) {
      return { ...node, kind, layer: Number(found[1] ?? -1), index: Number(found[2] ?? -1) };
    }
  }
  return node;
}

/// The two ends of an edge's name as they stand there, the reader without its port.
export function edgeEnds(name) {
  const arrow = name.indexOf("->");
  if (arrow < 0) return { writer: name, reader: "", port: "" };
  const [writer, reader] = [name.slice(0, arrow), name.slice(arrow + 2)];
  const found = /^([^@]*)<([qkv])>(@\d+)?$/.exec(reader);
  if (!found) return { writer, reader, port: "" };
  return { writer, reader: found[1] + (found[3] ?? ""), port: found[2] };
}

/// An edge: `from` and `to` are nodes, `port` is one of PORTS, `position` -1 where it has none;
/// `known` says whether a model of ours could have it.
export function parseEdge(name) {
  const { writer, reader, port } = edgeEnds(name);
  const [from, to] = [writer, reader].map(parseNode);
  return { name, from, to, port, position: edgePosition(from, to), known: isKnown(from, to, port) };
}

export function edgePosition(from, to) {
  return to.position >= 0 ? to.position : from.position;
}

function isKnown(from, to, port) {
  const writes = ["head", "mlp", "neuron", "input"].includes(from.kind);
  const ports = { head: PORTS, kv: ["k", "v"], mlp: [""], neuron: [""], logits: [""] }[to.kind];
  return writes && Boolean(ports?.includes(port)) && from.position === to.position;
}

/// Whether a node is a part of attention: a head, or keys and values that heads share.
export function attends(node) {
  return node.kind === "head" || node.kind === "kv";
}
