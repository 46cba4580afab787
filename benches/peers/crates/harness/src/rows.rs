//! Functions of 2048 rows of 768 numbers.

use crate::inputs;

pub const ROWS: usize = 2048;
pub const COLS: usize = 768;

/// Forward alone, and forward with the gradients of all inputs. GELU is that by tanh.
pub const NAMES: [&str; 7] =
    ["exp", "softmax", "layer-norm", "gelu", "softmax-grad", "layer-norm-grad", "gelu-grad"];

/// The input, `[ROWS, COLS]`: even in [-4, 4).
pub fn x() -> Vec<f32> {
    inputs::numbers(1, ROWS * COLS).into_iter().map(|u| 4.0 * u).collect()
}

/// The gradient that comes back, `[ROWS, COLS]`.
pub fn dy() -> Vec<f32> {
    inputs::numbers(2, ROWS * COLS)
}

/// Gain and bias of the layer norm, `[COLS]` each.
pub fn gain_and_bias() -> [Vec<f32>; 2] {
    let gain = inputs::numbers(3, COLS).into_iter().map(|u| 1.0 + 0.1 * u).collect();
    [gain, inputs::numbers(4, COLS).into_iter().map(|u| 0.1 * u).collect()]
}
