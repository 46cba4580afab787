// Where things stand in the drawing over the tokens, in pixels.
export const LOOK_STRIP = {
  left: 84,
  right: 16,
  top: 8,
  box: 21,
  chart: 96,
  room: 1180,
  widest: 130,
};
