// The two blocks of the page, base64 of deflated bytes: the JSON object `data`, and the numbers it
// refers to as `{at, len, planes}`.
async function inflate(id) {
  const text = document.getElementById(id).textContent;
  const raw = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

const data = JSON.parse(new TextDecoder().decode(await inflate("data")));
const numberBytes = new Uint8Array(await inflate("numbers"));

// Numbers as their bytes, those of one weight together: what is alike then compresses well. Without a
// `stride` they are whole, 32 bits each; with one they have 16, each the difference (modulo 2^16) to that
// `stride` places before it, and `-32768` is no number.
function unpack({ at, len, stride, scale }) {
  if (stride === 0) {
    const bytes = new Uint8Array(4 * len);
    for (let plane = 0; plane < 4; plane++) {
      for (let i = 0; i < len; i++) bytes[4 * i + plane] = numberBytes[at + plane * len + i];
    }
    const view = new DataView(bytes.buffer);
    return Float32Array.from({ length: len }, (_, i) => view.getFloat32(4 * i, true));
  }
  const values = new Float32Array(len), whole = new Int16Array(len);
  for (let i = 0; i < len; i++) {
    const difference = numberBytes[at + i] | (numberBytes[at + len + i] << 8);
    whole[i] = i < stride ? difference : whole[i - stride] + difference;
    values[i] = whole[i] === -32768 ? NaN : whole[i] * scale;
  }
  return values;
}

// One bit for each of `len`.
function unpackBits({ at, len }) {
  return Uint8Array.from({ length: len }, (_, i) => (numberBytes[at + (i >> 3)] >> (i & 7)) & 1);
}

// Numbers are unpacked when they are first asked for: most seeds' circuits never are.
function lazily(object, name, make) {
  Object.defineProperty(object, name, {
    configurable: true, enumerable: true,
    get() {
      const value = make();
      Object.defineProperty(object, name, { value, enumerable: true });
      return value;
    },
  });
}

function packed(object, name, read = unpack) {
  const place = object && object[name];
  if (place) lazily(object, name, () => read(place));
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
  packed(look.attention, "clean");
  packed(look.attention, "corrupted");
}
