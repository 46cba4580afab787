// Circuits on the page: the graph of a list of names, where nodes stand, circuits that are run.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fixture } from "./fixture.js";
import { circuitGraph, circuitFoldedName } from "../../src/page/assets/circuits/graph.js";
import {
  circuitColumns,
  circuitDrawnEdges,
  circuitLayout,
} from "../../src/page/assets/circuits/layout.js";
import { circuitOrder } from "../../src/page/assets/circuits/order.js";
import { patchedCurve, patchedProbe } from "../../src/page/assets/circuits/patched.js";

const WHOLE = { positions: true, neurons: true };

test("every kind of node stands in its own column", () => {
  const { good } = fixture("edge-names.json");
  const names = good.map((edge) => edge.name).filter((name) => !name.includes("999999"));
  const graph = circuitGraph(names);
  circuitColumns(graph, WHOLE).forEach((column, c) => {
    for (const { kind, layer, name } of column) {
      const wanted = { input: 0, logits: 1 + 2 * graph.layers, mlp: 2 + 2 * layer };
      const place = { ...wanted, neuron: 2 + 2 * layer, head: 1 + 2 * layer, kv: 1 + 2 * layer };
      assert.equal(c, place[kind], name);
    }
  });
});

test("keys and values that heads share stand below the heads", () => {
  const names = ["input->a0.kv0<k>", "input->a0.h1<q>", "a0.h1->logits", "a0.h0->logits"];
  const column = circuitColumns(circuitGraph(names), WHOLE)[1];
  assert.deepEqual(
    column.map((node) => node.name),
    ["a0.h0", "a0.h1", "a0.kv0"],
  );
});

test("folded edges are the sum of their members", () => {
  const names = ["input@0->a0.h0<k>@0", "input@1->a0.h0<k>@1", "a0.h0->m0.n3", "m0.n3->logits"];
  const graph = circuitGraph(names);
  const scores = Float32Array.of(1, -3, 2, 0.5);
  const view = { graph, scores, unscored: false, ...circuitOrder(scores) };
  assert.deepEqual([...view.order], [1, 2, 0, 3]);
  const folded = { positions: false, neurons: false };
  const drawn = circuitDrawnEdges(view, view.order, folded, null);
  const sums = Object.fromEntries(drawn.map((edge) => [edge.name, edge.score]));
  assert.deepEqual(sums, { "input->a0.h0<k>": -2, "a0.h0->m0": 2, "m0->logits": 0.5 });
  assert.equal(circuitFoldedName(graph, 1, WHOLE), "input@1->a0.h0<k>@1");
  const layout = circuitLayout(graph, drawn, folded, { left: 0, top: 0, width: 90, height: 90 });
  assert.deepEqual([...layout.nodes.keys()], ["input", "a0.h0", "m0", "logits"]);
});

// Edges of the pooled model of the fixture, and its first two sequences as a pair.
function pooledView() {
  const { shape, parameters, tokens, expected } = fixture("pooled.json");
  const dims = { "token_emb.weight": [shape.vocab, shape.d_model] };
  dims["pos_emb.weight"] = [shape.seq_len, shape.d_model];
  const tensors = Object.entries(parameters).map(([name, values]) => {
    const data = Float32Array.from(values);
    const [rows, first] = [values.length / shape.d_model, dims[name]];
    const wide = name.endsWith("fc2.weight") ? [shape.d_model, shape.d_mlp] : [rows, shape.d_model];
    return [name, { shape: first ?? (name.endsWith("bias") ? [values.length] : wide), data }];
  });
  const positions = tokens[0].flatMap((_, t) =>
    ["k", "v"].map((p) => `input@${t}->a0.h0<${p}>@${t}`),
  );
  const neurons = Array.from({ length: shape.d_mlp }, (_, j) => [
    `a0.h0->m0.n${j}`,
    `m0.n${j}->logits`,
  ]);
  const names = [...positions, "a0.h0->logits", ...neurons.flat()];
  const pair = { clean: tokens[0], corrupted: tokens[1], answer: 2, distractor: 0 };
  const run = {
    weights: { steps: [0], tensors: Object.fromEntries(tensors) },
    model: { activation: "gelu" },
    probe: [{ stage: 0, pairs: [pair] }],
  };
  const { logits } = expected.gelu;
  const said = (row) => logits[row * shape.vocab + 2] - logits[row * shape.vocab];
  return {
    view: { run, step: 0, stage: 0, graph: circuitGraph(names) },
    full: said(0),
    empty: said(1),
  };
}

test("all edges are worth the clean pass, none the corrupted one", () => {
  const { view, full, empty } = pooledView();
  const probe = patchedProbe(view);
  assert.ok(Math.abs(probe.full - full) <= 1e-12, `${probe.full} for ${full}`);
  assert.ok(Math.abs(probe.empty - empty) <= 1e-12, `${probe.empty} for ${empty}`);
  const curve = patchedCurve(
    probe,
    view.graph.names.map((_, e) => e),
  );
  assert.equal(curve[0], 0);
  assert.ok(Math.abs(curve.at(-1) - 1) <= 1e-12, `the whole is worth ${curve.at(-1)}`);
});
