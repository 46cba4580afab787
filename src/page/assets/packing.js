// Arrays of numbers in the page's block of bytes, as `pack.rs` writes them.

// Numbers as their bytes, those of one weight together: what is alike then compresses well. Without
// a `stride` they are whole, 32 bits each; with one they have 16, each the difference (modulo 2^16)
// to that `stride` places before it, and `-32768` is no number.
export function unpack(bytes, { at, len, stride, scale }) {
  if (stride === 0) {
    const whole = new Uint8Array(4 * len);
    for (let plane = 0; plane < 4; plane++) {
      for (let i = 0; i < len; i++) whole[4 * i + plane] = bytes[at + plane * len + i];
    }
    const view = new DataView(whole.buffer);
    return Float32Array.from({ length: len }, (_, i) => view.getFloat32(4 * i, true));
  }
  const values = new Float32Array(len),
    whole = new Int16Array(len);
  for (let i = 0; i < len; i++) {
    const difference = bytes[at + i] | (bytes[at + len + i] << 8);
    whole[i] = i < stride ? difference : whole[i - stride] + difference;
    values[i] = whole[i] === -32768 ? NaN : whole[i] * scale;
  }
  return values;
}

// One bit for each of `len`.
export function unpackBits(bytes, { at, len }) {
  return Uint8Array.from({ length: len }, (_, i) => (bytes[at + (i >> 3)] >> (i & 7)) & 1);
}
