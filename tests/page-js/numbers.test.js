// Intervals of means, against what Rust reads as well (`stats/t.rs`).
import assert from "node:assert/strict";
import { test } from "node:test";
import { fixture } from "./fixture.js";
import { meanInterval, tQuantile } from "../../src/page/assets/numbers.js";

test("quantiles are those of published tables", () => {
  for (const [freedom, quantile] of fixture("t-quantiles.json")) {
    // Tables have three digits.
    const found = tQuantile(freedom);
    assert.ok(Math.abs(found - quantile) <= 0.000501, `${freedom}: ${found}, ${quantile}`);
  }
});

test("too few values have no interval", () => {
  assert.equal(meanInterval([1, 2]), null);
  const [low, high] = meanInterval([1, 2, 3]);
  assert.ok(Math.abs(low + 0.484) < 1e-3 && Math.abs(high - 4.484) < 1e-3, `${low} ${high}`);
});
