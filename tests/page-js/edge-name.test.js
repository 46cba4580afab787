// The parser of edge names, against the same fixture as `formats/edge_name.rs`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fixture } from "./fixture.js";
import { parseEdge } from "../../src/page/assets/edge-name.js";

const { good, bad } = fixture("edge-names.json");

function said(node, port) {
  const kind = node.kind === "input" ? node.part : node.kind;
  const layer = node.layer < 0 ? {} : { layer: node.layer };
  return {
    kind,
    ...layer,
    ...(node.index < 0 ? {} : { index: node.index }),
    ...(port && { port }),
  };
}

test("names mean what the shared fixture says", () => {
  for (const { name, from, to, position } of good) {
    const edge = parseEdge(name);
    assert.ok(edge.known, name);
    const found = [said(edge.from), said(edge.to, edge.port), edge.position];
    assert.deepEqual(found, [from, to, position ?? -1], name);
  }
});

test("other names are of no edge that a model has", () => {
  for (const { name, why } of bad) assert.ok(!parseEdge(name).known, `${name}: ${why}`);
});
