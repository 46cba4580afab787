//! Rotary position embeddings (RoPE).

use super::single;
use crate::gemm::Write;
use crate::simd::Element;
use crate::simd::rows::{self, By, EXP, First};
use crate::tape::{Backward, Forward, Op, Tape, Var};

/// Which elements of a head are rotated, and by which angles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotary {
    /// How many leading elements of a head are rotated (R); even.
    pub dims: usize,
    /// The base of the angles: pair `i` is rotated by `position / base^(2 i / R)`.
    pub base: f64,
    /// Whether elements `2 i` and `2 i + 1` are a pair (GPT-J) instead of `i` and `i + R / 2`
    /// (GPT-NeoX, Llama).
    pub adjacent: bool,
    /// Whether the angles, their cosines and their sines are computed in single precision, with the
    /// bits of Hugging Face's transformers whatever the model's precision.
    pub single: bool,
}

/// `[.., T, N] -> [.., T, N]`: rotates the first `heads` heads of `d_head` elements by their
/// position along T. The elements behind them (the values, where queries, keys and values are side
/// by side) are unchanged. A pair `(a, b)` at angle `t` becomes
/// `(a cos t - b sin t, a sin t + b cos t)`.
///
/// # Panics
/// If `N < heads * d_head`, or R is odd or larger than `d_head`.
#[track_caller]
pub fn rotary<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    heads: usize,
    d_head: usize,
    options: Rotary,
) -> Var {
    let shape = tape.shape(x).clone();
    let Rotary { dims, base, adjacent, single } = options;
    let fits = shape.rank() >= 2
        && heads * d_head <= shape.last()
        && dims <= d_head
        && dims.is_multiple_of(2);
    assert!(fits, "rotary of {heads} heads of {d_head} in {shape} with {options:?}");
    let (seq, half) = (shape.dims()[shape.rank() - 2], dims / 2);
    let turn = |(position, pair): (usize, usize)| -> (f64, f64) {
        if single {
            let (cos, sin) = single::turn(position, pair, dims, base);
            return (cos.into(), sin.into());
        }
        let angle = position as f64 / libm::pow(base, 2.0 * pair as f64 / dims as f64);
        (libm::cos(angle), libm::sin(angle))
    };
    let turns = (0..seq * half).map(|i| turn((i / half, i % half)));
    let turns = turns.map(|(cos, sin)| (T::from_f64(cos), T::from_f64(sin))).collect();
    let width = shape.last();
    tape.push(Turn { width, heads, d_head, half, seq, adjacent, turns }, &[x], &[], shape)
}

struct Turn<T> {
    width: usize,
    heads: usize,
    d_head: usize,
    /// Pairs of a head.
    half: usize,
    seq: usize,
    adjacent: bool,
    /// `[T, R / 2]`, cosine and sine.
    turns: Vec<(T, T)>,
}

impl<T: Element> Turn<T> {
    /// Calls `put` with every element of `y` and its new value; `sign` -1 rotates back.
    #[inline(always)]
    fn each(&self, x: &[T], y: &mut [T], sign: T, put: impl Fn(&mut T, T) + Sync) {
        let width = self.width.max(1);
        let parts = (First(0), By(x, width), By(y, width));
        rows::run(x.len() / width, EXP * width, parts, |(First(first), By(x, _), By(y, _))| {
            self.some(first, x, y, sign, &put);
        });
    }

    /// The same for the rows from `first` on.
    #[inline(always)]
    fn some(&self, first: usize, x: &[T], y: &mut [T], sign: T, put: impl Fn(&mut T, T)) {
        let Turn { width, heads, d_head, half, .. } = *self;
        let rows = y.chunks_exact_mut(width.max(1)).zip(x.chunks_exact(width.max(1)));
        for (row, (y, x)) in rows.enumerate() {
            let turns = &self.turns[(first + row) % self.seq * half..][..half];
            for head in 0..heads {
                let (y, x) = (&mut y[head * d_head..][..d_head], &x[head * d_head..][..d_head]);
                for (i, &(cos, sin)) in turns.iter().enumerate() {
                    let (i, j) = if self.adjacent { (2 * i, 2 * i + 1) } else { (i, i + half) };
                    let (a, b, sin) = (x[i], x[j], sign * sin);
                    put(&mut y[i], a * cos - b * sin);
                    put(&mut y[j], a * sin + b * cos);
                }
                for (y, &x) in y[2 * half..].iter_mut().zip(&x[2 * half..]) {
                    put(y, x);
                }
            }
            let behind = heads * d_head;
            for (y, &x) in y[behind..].iter_mut().zip(&x[behind..]) {
                put(y, x);
            }
        }
    }
}

impl<T: Element> Op<T> for Turn<T> {
    fn name(&self) -> &'static str {
        "rotary"
    }

    fn forward(&self, run: Forward<'_, T>) {
        self.each(run.input(0), run.out, T::ONE, |y, x| *y = x);
    }

    fn backward(&self, run: Backward<'_, T>) {
        let [Some(dx), ..] = run.grads else { return };
        match dx.write {
            Write::Store => self.each(run.grad_out, dx.slice(), -T::ONE, |dx, g| *dx = g),
            Write::Add => self.each(run.grad_out, dx.slice(), -T::ONE, |dx, g| *dx += g),
        }
    }
}
