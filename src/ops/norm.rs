//! The norm before a part of a transformer, of any kind.

use super::{Eps, layer_norm, rms_norm};
use crate::gemm::Write;
use crate::simd::Element;
use crate::tape::{Tape, Var};

/// The kind of a norm, and its guard against zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Norm {
    /// None: what is read is what was written.
    None,
    /// [`layer_norm`].
    Layer(f64),
    /// [`rms_norm`].
    Rms(Eps),
}

impl Norm {
    /// What the backward pass needs of a row.
    pub const SAVED: usize = 2;

    /// Records the norm of `x` along the last axis: `[.., D] -> [.., D]`.
    ///
    /// # Panics
    /// If the parameters do not fit: a layer norm has a gain and a bias or neither, a
    /// root-mean-square norm has at most a gain.
    #[track_caller]
    pub fn record<T: Element>(
        self,
        tape: &mut Tape<T>,
        x: Var,
        gain: Option<Var>,
        bias: Option<Var>,
    ) -> Var {
        match (self, gain, bias) {
            (Norm::None, None, None) => x,
            (Norm::Layer(eps), None, None) => layer_norm(tape, x, None, eps),
            (Norm::Layer(eps), Some(gain), Some(bias)) => {
                layer_norm(tape, x, Some((gain, bias)), eps)
            }
            (Norm::Rms(eps), gain, None) => rms_norm(tape, x, gain, eps),
            _ => panic!("{self:?} with gain {gain:?} and bias {bias:?}"),
        }
    }

    /// The same for rows of `width` numbers in memory. Leaves [`SAVED`](Self::SAVED) numbers a row
    /// for [`backward`](Self::backward).
    pub fn forward<T: Element>(
        self,
        width: usize,
        x: &[T],
        gain: Option<&[T]>,
        bias: Option<&[T]>,
        y: &mut [T],
        saved: &mut [T],
    ) {
        match self {
            Norm::None => y.copy_from_slice(x),
            Norm::Layer(eps) => layer_norm::forward(width, eps, x, gain.zip(bias), y, saved),
            Norm::Rms(eps) => rms_norm::forward(width, eps, x, gain, y, saved),
        }
    }

    /// The gradient of the rows `x` from `dy`, that of the output.
    pub fn backward<T: Element>(
        self,
        width: usize,
        x: &[T],
        gain: Option<&[T]>,
        saved: &[T],
        dy: &[T],
        dx: &mut [T],
    ) {
        match self {
            Norm::None => dx.copy_from_slice(dy),
            Norm::Layer(_) => layer_norm::backward(width, x, gain, dy, saved, dx, Write::Store),
            Norm::Rms(_) => rms_norm::backward(width, x, gain, dy, saved, dx, Write::Store),
        }
    }

    /// Adds to the gradients of gain and bias.
    pub fn parameter_gradients<T: Element>(
        self,
        width: usize,
        x: &[T],
        saved: &[T],
        dy: &[T],
        d_gain: Option<&mut [T]>,
        d_bias: Option<&mut [T]>,
    ) {
        match self {
            Norm::None => {}
            Norm::Layer(_) => layer_norm::parameters(width, x, saved, dy, d_gain, d_bias),
            Norm::Rms(_) => {
                if let Some(d_gain) = d_gain {
                    rms_norm::parameters(width, x, saved, dy, d_gain);
                }
            }
        }
    }
}
