// The two blocks of the page, base64 of deflated bytes: the JSON object `data`, and the numbers it
// refers to as `{at, len, planes}`.

import { unpack, unpackBits } from "./packing.js";

async function inflate(id) {
  const text = document.getElementById(id).textContent;
  const raw = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

export const data = JSON.parse(new TextDecoder().decode(await inflate("data")));
const numberBytes = new Uint8Array(await inflate("numbers"));

// Numbers are unpacked when they are first asked for: most seeds' circuits never are.
function lazily(object, name, make) {
  Object.defineProperty(object, name, {
    configurable: true,
    enumerable: true,
    get() {
      const value = make();
      Object.defineProperty(object, name, { value, enumerable: true });
      return value;
    },
  });
}

function packed(object, name, read = unpack) {
  const place = object && object[name];
  if (place) lazily(object, name, () => read(numberBytes, place));
}

for (const arm of data.arms) {
  for (const run of arm.runs) {
    if (run.circuits) {
      run.circuits.names = data.names[run.circuits.names];
      packed(run.circuits, "scores");
    }
    for (const tensor of Object.values(run.weights?.tensors ?? {})) packed(tensor, "data");
  }
}
for (const group of data.circuits) {
  for (const set of group.sets) {
    packed(set, "scores");
    packed(set, "kept", unpackBits);
  }
  for (const series of group.series) packed(series, "scores");
}
for (const look of data.looks) {
  if (look.attention) {
    packed(look.attention, "clean");
    packed(look.attention, "corrupted");
  }
}
