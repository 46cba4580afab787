// What the names of edges say: `WRITER->READER` as a graph, parsed once for each list of names.
//
// Writers are `input`, `embed`, `pos`, `aL.hH`, `mL`, `mL.nJ`, readers `aL.hH<q|k|v>`, `mL`, `mL.nJ`, `logits`; `@T`
// at the end of either is a position.
const CIRCUIT_PORTS = ["", "q", "k", "v"];
const circuitGraphs = new WeakMap();

/// One end of an edge, without its port.
function circuitNode(name) {
  const at = name.lastIndexOf("@");
  const position = at < 0 ? -1 : Number(name.slice(at + 1));
  const part = at < 0 ? name : name.slice(0, at);
  const node = { name, part, position, kind: "other", layer: -1, index: -1 };
  let found;
  if (part === "input" || part === "embed" || part === "pos") node.kind = "input";
  else if (part === "logits") node.kind = "logits";
  else if ((found = /^a(\d+)\.h(\d+)$/.exec(part)))
    Object.assign(node, { kind: "head", layer: +found[1], index: +found[2] });
  else if ((found = /^m(\d+)(?:\.n(\d+))?$/.exec(part))) {
    Object.assign(node, { kind: found[2] ? "neuron" : "mlp", layer: +found[1], index: found[2] ? +found[2] : -1 });
  }
  return node;
}

/// `from[e]`, `to[e]` are numbers of `nodes`, `port[e]` one of CIRCUIT_PORTS, `position[e]` -1 if it has none.
function circuitGraph(names) {
  if (circuitGraphs.has(names)) return circuitGraphs.get(names);
  const count = names.length;
  const graph = {
    names,
    nodes: [],
    index: new Map(),
    layers: 0,
    neurons: false,
    positions: [],
    ports: [],
    from: new Int32Array(count),
    to: new Int32Array(count),
    port: new Uint8Array(count),
    position: new Int32Array(count).fill(-1),
  };
  const numbers = new Map(),
    seen = new Set();
  const intern = (name) => {
    let id = numbers.get(name);
    if (id === undefined) {
      id = graph.nodes.length;
      numbers.set(name, id);
      graph.nodes.push(circuitNode(name));
    }
    return id;
  };
  const ends = names.map((name) => {
    const arrow = name.indexOf("->");
    return arrow < 0 ? [name, ""] : [name.slice(0, arrow), name.slice(arrow + 2)];
  });
  const writers = new Set(ends.map((end) => end[0]));
  ends.forEach(([writer, reader], e) => {
    graph.index.set(names[e], e);
    const open = reader.indexOf("<");
    let port = "",
      node = reader;
    if (open >= 0) {
      port = reader[open + 1];
      node = reader.slice(0, open) + reader.slice(reader.indexOf(">", open) + 1);
    }
    // A head that reads at every position and writes at none of them is one node.
    const at = node.lastIndexOf("@");
    if (at >= 0) graph.position[e] = Number(node.slice(at + 1));
    if (at >= 0 && !writers.has(node) && writers.has(node.slice(0, at))) node = node.slice(0, at);
    graph.from[e] = intern(writer);
    graph.to[e] = intern(node);
    graph.port[e] = Math.max(0, CIRCUIT_PORTS.indexOf(port));
    if (graph.position[e] < 0) graph.position[e] = graph.nodes[graph.from[e]].position;
    if (graph.position[e] >= 0) seen.add(graph.position[e]);
  });
  for (const node of graph.nodes) {
    graph.layers = Math.max(graph.layers, node.layer + 1);
    graph.neurons ||= node.kind === "neuron";
  }
  graph.positions = [...seen].sort((a, b) => a - b);
  graph.ports = [1, 2, 3].filter((port) => graph.port.includes(port));
  circuitGraphs.set(names, graph);
  return graph;
}

/// The node that stands for `node` while positions or neurons are folded.
function circuitFold(node, unfold) {
  const part = node.kind === "neuron" && !unfold.neurons ? "m" + node.layer : node.part;
  return unfold.positions && node.position >= 0 ? part + "@" + node.position : part;
}

/// The drawn edge that edge `e` is part of.
function circuitFoldedName(graph, e, unfold) {
  const port = CIRCUIT_PORTS[graph.port[e]];
  const [from, to] = [graph.nodes[graph.from[e]], graph.nodes[graph.to[e]]];
  const at = unfold.positions && graph.position[e] >= 0 && to.position < 0 ? "@" + graph.position[e] : "";
  return circuitFold(from, unfold) + "->" + circuitReader(circuitFold(to, unfold) + at, port);
}
function circuitReader(node, port) {
  if (!port) return node;
  const at = node.lastIndexOf("@");
  return at < 0 ? node + "<" + port + ">" : node.slice(0, at) + "<" + port + ">" + node.slice(at);
}
