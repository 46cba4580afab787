// The graph that a list of names of edges says, made once for each list, and its edges as they are
// folded.

import { PORTS, edgeEnds, edgePosition, parseNode } from "../edge-name.js";

const circuitGraphs = new WeakMap();

/// `from[e]`, `to[e]` are numbers of `nodes`, `port[e]` of PORTS, `position[e]` is -1 if it has
/// none.
export function circuitGraph(names) {
  if (!circuitGraphs.has(names)) circuitGraphs.set(names, makeGraph(names));
  return circuitGraphs.get(names);
}

function makeGraph(names) {
  const ends = names.map(edgeEnds);
  const parts = new Map();
  const node = (name) => parts.get(name) ?? parts.set(name, parseNode(name)).get(name);
  const writers = new Set(ends.map((end) => end.writer));
  const nodes = [],
    numbers = new Map();
  const intern = (name) => {
    if (!numbers.has(name)) numbers.set(name, nodes.push(node(name)) - 1);
    return numbers.get(name);
  };
  // A head that reads at every position and writes at none of them is one node.
  const readerOf = ({ reader }) => {
    const { part } = node(reader);
    return !writers.has(reader) && writers.has(part) ? part : reader;
  };
  const numbered = ends.map((end) => [intern(end.writer), intern(readerOf(end))]);
  const port = Uint8Array.from(ends, (end) => PORTS.indexOf(end.port));
  const position = Int32Array.from(ends, (end) => edgePosition(node(end.writer), node(end.reader)));
  return {
    names,
    nodes,
    index: new Map(names.map((name, e) => [name, e])),
    layers: nodes.reduce((most, node) => Math.max(most, node.layer + 1), 0),
    neurons: nodes.some((node) => node.kind === "neuron"),
    positions: [...new Set(position)].filter((t) => t >= 0).sort((a, b) => a - b),
    ports: [1, 2, 3].filter((p) => port.includes(p)),
    from: Int32Array.from(numbered, ([from]) => from),
    to: Int32Array.from(numbered, ([, to]) => to),
    port,
    position,
  };
}

/// The node that stands for `node` while positions or neurons are folded.
export function circuitFold(node, unfold) {
  const part = node.kind === "neuron" && !unfold.neurons ? "m" + node.layer : node.part;
  return unfold.positions && node.position >= 0 ? part + "@" + node.position : part;
}

/// The drawn edge that edge `e` is part of.
export function circuitFoldedName(graph, e, unfold) {
  const port = PORTS[graph.port[e]];
  const [from, to] = [graph.nodes[graph.from[e]], graph.nodes[graph.to[e]]];
  const at =
    unfold.positions && graph.position[e] >= 0 && to.position < 0 ? "@" + graph.position[e] : "";
  return circuitFold(from, unfold) + "->" + circuitReader(circuitFold(to, unfold) + at, port);
}
function circuitReader(node, port) {
  if (!port) return node;
  const at = node.lastIndexOf("@");
  return at < 0 ? node + "<" + port + ">" : node.slice(0, at) + "<" + port + ">" + node.slice(at);
}
