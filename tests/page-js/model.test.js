// The pooled model and its functions, against the values that the engine is tested with.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fixture } from "./fixture.js";
import { erf, pooledForward, pooledTables, pooledWeights } from "../../src/page/assets/model.js";

const { shape, parameters, tokens, expected } = fixture("pooled.json");
const SHAPES = {
  "token_emb.weight": [shape.vocab, shape.d_model],
  "pos_emb.weight": [shape.seq_len, shape.d_model],
  "softmax.query.weight": [1, shape.d_model],
  "softmax.value.weight": [shape.d_model, shape.d_model],
  "mlp.fc1.weight": [shape.d_mlp, shape.d_model],
  "mlp.fc1.bias": [shape.d_mlp],
  "mlp.fc2.weight": [shape.d_model, shape.d_mlp],
  "mlp.fc2.bias": [shape.d_model],
};

function near(got, want, what) {
  assert.equal(got.length, want.length, what);
  want.forEach((x, i) => assert.ok(Math.abs(got[i] - x) <= 1e-12, `${what}: ${got[i]} for ${x}`));
}

// The second frame of two, as a run's weights through time have it.
function run(activation) {
  const tensor = ([name, values]) => {
    const data = Float32Array.from([...values.map(() => NaN), ...values]);
    return [name, { shape: SHAPES[name], data }];
  };
  const tensors = Object.fromEntries(Object.entries(parameters).map(tensor));
  return { weights: { tensors }, model: { activation } };
}

for (const [activation, { attention, sequence, logits }] of Object.entries(expected)) {
  test(`the forward pass with ${activation}`, () => {
    const weights = pooledWeights(run(activation), 1);
    const ids = Int32Array.from(tokens.flat());
    const pass = pooledForward(weights, pooledTables(weights), ids, tokens.length, shape.seq_len);
    near(pass.attention, attention, "attention");
    near(pass.xi, sequence, "sequence embedding");
    near(pass.logits, logits, "logits");
  });
}

test("an activation that nobody knows is named", () => {
  assert.throws(() => pooledWeights(run("cubic"), 0), /unknown activation cubic/);
});

// Lines of two doubles in hexadecimal, under the name of each function.
test("the error function", () => {
  const text = readFileSync(new URL("../fixtures/math_f64.txt", import.meta.url), "utf8");
  const double = (hex) => Buffer.from(hex, "hex").readDoubleBE();
  const [, block] = /^erf\n((?:[0-9a-f]{16} [0-9a-f]{16}\n)+)/m.exec(text);
  const pairs = block.trim().split("\n");
  assert.ok(pairs.length > 500);
  for (const line of pairs) {
    const [x, y] = line.split(" ").map(double);
    assert.ok(Math.abs(erf(x) - y) <= 1e-14, `erf(${x}) is ${y}, not ${erf(x)}`);
  }
});
