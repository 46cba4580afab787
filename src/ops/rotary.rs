//! Rotary position embeddings (RoPE).

use super::single;
use crate::gemm::Write;
use crate::simd::Element;
use crate::simd::rows::{self, By, EXP, First};
use crate::tape::{Backward, Forward, Op, Tape, Var};
use std::f64::consts::PI;
use std::sync::Arc;

/// Which elements of a head are rotated, and by which angles.
#[derive(Clone, Debug, PartialEq)]
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
    /// How the angles are changed for sequences longer than those of training.
    pub scaling: Scaling,
    /// What the rotated elements are multiplied by, 1 in most models.
    pub amplitude: f64,
}

impl Rotary {
    /// The rotation of `dims` elements with this base: pairs `i` and `i + R / 2`, nothing scaled.
    pub fn new(dims: usize, base: f64) -> Rotary {
        let scaling = Scaling::None;
        Rotary { dims, base, adjacent: false, single: false, scaling, amplitude: 1.0 }
    }

    /// `[R / 2]`, the positions in which each pair turns by 1, for sequences of `seq` tokens.
    pub fn periods(&self, seq: usize) -> Vec<f64> {
        let period = |base: f64, i: usize| libm::pow(base, 2.0 * i as f64 / self.dims as f64);
        let base = match self.scaling {
            // Rotations of two elements have no other base.
            Scaling::Dynamic { factor, original } if seq > original && self.dims > 2 => {
                let grown = factor * seq as f64 / original as f64 - (factor - 1.0);
                self.base * libm::pow(grown, self.dims as f64 / (self.dims - 2) as f64)
            }
            _ => self.base,
        };
        let pairs = (0..self.dims / 2).map(|i| (i, period(base, i)));
        pairs.map(|(i, period)| period * self.scaling.stretch(i, period, self, seq)).collect()
    }
}

/// How rotations are changed for sequences longer than those that a model was first trained on,
/// whose length is `original`. A period is the number of positions in which a pair turns by 1.
#[derive(Clone, Debug, PartialEq)]
pub enum Scaling {
    /// Not at all.
    None,
    /// All periods are multiplied by a factor.
    Linear(f64),
    /// Beyond the original length the base grows with the sequence (NTK-aware scaling).
    Dynamic {
        /// The growth of the base.
        factor: f64,
        /// The original length.
        original: usize,
    },
    /// Periods are multiplied by a factor where a turn is long, and unchanged where it is short
    /// (Llama 3).
    Llama3 {
        /// The factor of long turns.
        factor: f64,
        /// Turns longer than the original length over this are long.
        low: f64,
        /// Turns shorter than the original length over this are short.
        high: f64,
        /// The original length.
        original: usize,
    },
    /// The same with another ramp between short and long turns (YaRN).
    Yarn {
        /// The factor of long turns.
        factor: f64,
        /// Pairs that turn more often than this over the original length are unchanged.
        fast: f64,
        /// Pairs that turn less often than this over the original length have the whole factor.
        slow: f64,
        /// The original length.
        original: usize,
        /// Whether the ramp begins and ends at whole pairs.
        truncate: bool,
    },
    /// Each period has a factor of its own, and another one for sequences beyond the original
    /// length (LongRoPE).
    Factors {
        /// `[R / 2]`, up to the original length.
        short: Arc<[f64]>,
        /// `[R / 2]`, beyond it.
        long: Arc<[f64]>,
        /// The original length.
        original: usize,
    },
}

impl Scaling {
    /// What the period of pair `i` is multiplied by, in sequences of `seq` tokens.
    fn stretch(&self, i: usize, period: f64, rotary: &Rotary, seq: usize) -> f64 {
        match *self {
            Scaling::None | Scaling::Dynamic { .. } => 1.0,
            Scaling::Linear(factor) => factor,
            Scaling::Llama3 { factor, low, high, original } => {
                let turns = original as f64 / (2.0 * PI * period);
                let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                ((1.0 - kept) / factor + kept).recip()
            }
            Scaling::Yarn { factor, fast, slow, original, truncate } => {
                let dims = rotary.dims as f64;
                // The pair that turns `turns` times over the original length.
                let pair = |turns: f64| {
                    dims * libm::log(original as f64 / (turns * 2.0 * PI))
                        / (2.0 * libm::log(rotary.base))
                };
                let (first, last) = match truncate {
                    true => (pair(fast).floor(), pair(slow).ceil()),
                    false => (pair(fast), pair(slow)),
                };
                let (first, mut last) = (first.max(0.0), last.min(dims - 1.0));
                if first == last {
                    last += 0.001;
                }
                let kept = 1.0 - ((i as f64 - first) / (last - first)).clamp(0.0, 1.0);
                ((1.0 - kept) / factor + kept).recip()
            }
            Scaling::Factors { ref short, ref long, original } => {
                if seq > original {
                    long[i]
                } else {
                    short[i]
                }
            }
        }
    }
}

/// `[.., T, N] -> [.., T, N]`: rotates the first `heads` heads of `d_head` elements by their
/// position along T. The elements behind them (the values, where queries, keys and values are side
/// by side) are unchanged. A pair `(a, b)` at angle `t` becomes
/// `(a cos t - b sin t, a sin t + b cos t)`.
///
/// # Panics
/// If `N < heads * d_head`, R is odd or larger than `d_head`, or factors are not those of R / 2
/// pairs.
#[track_caller]
pub fn rotary<T: Element>(
    tape: &mut Tape<T>,
    x: Var,
    heads: usize,
    d_head: usize,
    options: &Rotary,
) -> Var {
    let shape = tape.shape(x).clone();
    let &Rotary { dims, base, adjacent, single, amplitude, .. } = options;
    let fits = shape.rank() >= 2
        && heads * d_head <= shape.last()
        && dims <= d_head
        && dims.is_multiple_of(2);
    assert!(fits, "rotary of {heads} heads of {d_head} in {shape} with {options:?}");
    let (seq, half) = (shape.dims()[shape.rank() - 2], dims / 2);
    let periods = options.periods(seq);
    let turn = |(position, pair): (usize, usize)| -> (f64, f64) {
        if single {
            let period = match options.scaling {
                Scaling::None => single::period(pair, dims, base),
                _ => periods[pair] as f32,
            };
            let (cos, sin) = single::turn(position, period);
            let amplitude = amplitude as f32;
            return ((cos * amplitude).into(), (sin * amplitude).into());
        }
        let angle = position as f64 / periods[pair];
        (amplitude * libm::cos(angle), amplitude * libm::sin(angle))
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
