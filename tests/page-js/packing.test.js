// Packed arrays, against the bytes that `page/pack.rs` writes for them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fixture } from "./fixture.js";
import { unpack, unpackBits } from "../../src/page/assets/packing.js";

const { bytes, arrays, bits } = fixture("packing.json");

test("arrays are read back", () => {
  for (const { numbers, packed, values } of arrays) {
    const got = unpack(Uint8Array.from(bytes), packed);
    assert.equal(got.length, packed.len);
    const largest = Math.max(...numbers.map(Math.abs));
    got.forEach((x, i) => {
      if (values[i] === null) assert.ok(Number.isNaN(x), `${i} is ${x}`);
      else assert.ok(Math.abs(x - values[i]) <= 1e-7 * largest, `${x} for ${values[i]}`);
    });
  }
});

test("bits are read back", () => {
  assert.deepEqual([...unpackBits(Uint8Array.from(bytes), bits.packed)], bits.bits);
});
