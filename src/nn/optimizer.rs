//! Optimizers: how a gradient changes a parameter.

use crate::named::named;
use crate::simd::rows::{self, By, EXP, RUN};
use crate::simd::{Element, Kernel, Lanes, slice};
use crate::tensor::Buffer;

/// An update rule with its constants, as PyTorch defines them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Adam (Kingma and Ba 2015); `weight_decay * x` is added to the gradient.
    Adam {
        /// Decay rates of the two moments.
        betas: [f64; 2],
        /// Added to the root of the second moment.
        eps: f64,
        /// Strength of the L2 penalty.
        weight_decay: f64,
    },
    /// AdamW (Loshchilov and Hutter 2019): decoupled decay, `x` shrinks by `lr * weight_decay`.
    AdamW {
        /// Decay rates of the two moments.
        betas: [f64; 2],
        /// Added to the root of the second moment.
        eps: f64,
        /// Strength of the decoupled decay.
        weight_decay: f64,
    },
    /// Stochastic gradient descent with momentum.
    Sgd {
        /// The share of the last update in the next.
        momentum: f64,
        /// Strength of the L2 penalty.
        weight_decay: f64,
    },
}

impl Rule {
    /// The moments it keeps for each parameter.
    pub fn moments(&self) -> usize {
        match self {
            Rule::Adam { .. } | Rule::AdamW { .. } => 2,
            Rule::Sgd { momentum, .. } => usize::from(*momentum != 0.0),
        }
    }
}

named! {
    /// The names of update rules.
    OptimizerKind {
        /// [`Rule::Adam`].
        #[default]
        Adam = "adam",
        /// [`Rule::AdamW`].
        AdamW = "adamw",
        /// [`Rule::Sgd`].
        Sgd = "sgd",
    }
}

impl OptimizerKind {
    /// The rule of this name, with those of the constants that it has.
    pub fn rule(self, betas: [f64; 2], eps: f64, momentum: f64, weight_decay: f64) -> Rule {
        match self {
            OptimizerKind::Adam => Rule::Adam { betas, eps, weight_decay },
            OptimizerKind::AdamW => Rule::AdamW { betas, eps, weight_decay },
            OptimizerKind::Sgd => Rule::Sgd { momentum, weight_decay },
        }
    }
}

/// A rule with its state for a list of parameters.
///
/// ```
/// use edgegrad::nn::{Optimizer, Rule};
/// let rule = Rule::Sgd { momentum: 0.0, weight_decay: 0.0 };
/// let mut optimizer = Optimizer::<f64>::new(rule, [2]);
/// let mut x = [1.0, 2.0];
/// optimizer.begin_step();
/// optimizer.update(0, 0.1, &mut x, &[1.0, -1.0]);
/// assert_eq!(x, [0.9, 2.1]);
/// ```
#[derive(Debug)]
pub struct Optimizer<T> {
    rule: Rule,
    /// Steps begun.
    step: u64,
    /// Adam's decay rates to the power of `step`.
    powers: [f64; 2],
    /// By parameter, then by moment.
    moments: Vec<Vec<Buffer<T>>>,
}

impl<T: Element> Optimizer<T> {
    /// An optimizer with zero moments for parameters of the given sizes.
    pub fn new(rule: Rule, sizes: impl IntoIterator<Item = usize>) -> Self {
        let fresh = |n| vec![Buffer::zeros(n); rule.moments()];
        Optimizer {
            rule,
            step: 0,
            powers: [1.0; 2],
            moments: sizes.into_iter().map(fresh).collect(),
        }
    }

    /// Begins a step; update each parameter once in it.
    pub fn begin_step(&mut self) {
        self.step += 1;
        if let Rule::Adam { betas, .. } | Rule::AdamW { betas, .. } = self.rule {
            self.powers = betas.map(|b| libm::pow(b, self.step as f64));
        }
    }

    /// Updates parameter `i` by its gradient, both in the same order of elements.
    ///
    /// # Panics
    /// If the sizes differ from those the optimizer was made for.
    #[inline]
    pub fn update(&mut self, i: usize, lr: f64, x: &mut [T], gradient: &[T]) {
        let (rule, powers) = (self.rule, self.powers);
        // Moments that a rule does not have are empty.
        let (first, second): (&mut [T], &mut [T]) = match &mut self.moments[i][..] {
            [] => (&mut [], &mut []),
            [one] => (one, &mut []),
            [one, two, ..] => (one, two),
        };
        let moments = (By(first, RUN), By(second, RUN));
        let (rows, parts) = (x.len().div_ceil(RUN), (By(gradient, RUN), By(x, RUN), moments));
        rows::run(rows, EXP * RUN, parts, |(By(g, _), By(x, _), (By(first, _), By(second, _)))| {
            T::vectorize(Update { rule, powers, lr, x, g, moments: [first, second] });
        });
    }

    /// Continues by another rule, with the same moments.
    ///
    /// # Panics
    /// If the rule has another number of moments.
    pub fn follow(&mut self, rule: Rule) {
        assert_eq!(
            rule.moments(),
            self.rule.moments(),
            "moments of {rule:?} after {:?}",
            self.rule
        );
        self.rule = rule;
    }

    /// Steps begun so far.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// The moments of parameter `i`, the first one first, each in the parameter's order of
    /// elements.
    pub fn moments(&self, i: usize) -> &[Buffer<T>] {
        &self.moments[i]
    }

    /// Restores a saved state: the steps begun, and the moments of each parameter.
    ///
    /// # Panics
    /// If the sizes differ from those the optimizer was made for.
    pub fn restore(&mut self, step: u64, moments: Vec<Vec<Buffer<T>>>) {
        let sizes = |m: &[Vec<Buffer<T>>]| -> Vec<Vec<usize>> {
            m.iter().map(|m| m.iter().map(|m| m.len()).collect()).collect()
        };
        assert_eq!(sizes(&moments), sizes(&self.moments), "sizes of the optimizer's state");
        (self.step, self.moments) = (step, moments);
    }
}

// Derived, it would require `T: Clone` alone, but a buffer clones elements.
impl<T: Element> Clone for Optimizer<T> {
    fn clone(&self) -> Self {
        let Optimizer { rule, step, powers, ref moments } = *self;
        Optimizer { rule, step, powers, moments: moments.clone() }
    }
}

struct Update<'a, T> {
    rule: Rule,
    powers: [f64; 2],
    lr: f64,
    x: &'a mut [T],
    g: &'a [T],
    moments: [&'a mut [T]; 2],
}

impl<T: Element> Kernel<T> for Update<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Self { rule, powers, lr, x, g, moments } = self;
        match (rule, moments) {
            (Rule::Adam { betas, eps, weight_decay }, [m, v]) => {
                let decay = Decay { shrink: 1.0, penalty: weight_decay };
                adam::<L>(Adam { betas, eps, powers, lr, decay }, x, g, m, v);
            }
            (Rule::AdamW { betas, eps, weight_decay }, [m, v]) => {
                let decay = Decay { shrink: 1.0 - lr * weight_decay, penalty: 0.0 };
                adam::<L>(Adam { betas, eps, powers, lr, decay }, x, g, m, v);
            }
            (Rule::Sgd { momentum: 0.0, weight_decay }, _) => {
                let (lr, penalty) = (L::constant(lr), L::constant(weight_decay));
                slice::update::<L>(
                    x,
                    g,
                    #[inline(always)]
                    |x, g| x - lr * penalty.mul_add(x, g),
                );
            }
            (Rule::Sgd { momentum, weight_decay }, [buffer, _]) => {
                let (keep, penalty) = (L::constant(momentum), L::constant(weight_decay));
                slice::update2::<L>(
                    buffer,
                    x,
                    g,
                    #[inline(always)]
                    |buffer, x, g| keep.mul_add(buffer, penalty.mul_add(x, g)),
                );
                let lr = L::constant(lr);
                slice::update::<L>(
                    x,
                    buffer,
                    #[inline(always)]
                    |x, buffer| x - lr * buffer,
                );
            }
        }
    }
}

/// Weight decay, in both of its forms.
struct Decay {
    /// The factor on the parameter before the update.
    shrink: f64,
    /// The factor on the parameter that is added to the gradient.
    penalty: f64,
}

struct Adam {
    betas: [f64; 2],
    eps: f64,
    powers: [f64; 2],
    lr: f64,
    decay: Decay,
}

/// `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`,
/// `x -= lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps)`, in one pass over memory.
#[inline(always)]
fn adam<L: Lanes>(
    rule: Adam,
    x: &mut [L::Elem],
    g: &[L::Elem],
    m: &mut [L::Elem],
    v: &mut [L::Elem],
) {
    let Adam { betas: [b1, b2], eps, powers, lr, decay } = rule;
    assert!(g.len() == x.len() && m.len() == x.len() && v.len() == x.len(), "sizes in Adam");
    let rate = L::constant(lr / (1.0 - powers[0]));
    let root = L::constant(1.0 / (1.0 - powers[1]).sqrt());
    let (keep_m, keep_v) = (L::constant(b1), L::constant(b2));
    let (new_m, new_v) = (L::constant(1.0 - b1), L::constant(1.0 - b2));
    let (shrink, penalty) = (L::constant(decay.shrink), L::constant(decay.penalty));
    let eps = L::constant(eps);
    for from in (0..x.len()).step_by(L::N) {
        let at = from..(from + L::N).min(x.len());
        let old = slice::load::<L>(&x[at.clone()]);
        let g = penalty.mul_add(old, slice::load(&g[at.clone()]));
        let m1 = keep_m.mul_add(slice::load(&m[at.clone()]), new_m * g);
        let v1 = keep_v.mul_add(slice::load(&v[at.clone()]), new_v * (g * g));
        let step = rate * m1 / v1.sqrt().mul_add(root, eps);
        slice::store(m1, &mut m[at.clone()]);
        slice::store(v1, &mut v[at.clone()]);
        slice::store(old * shrink - step, &mut x[at]);
    }
}

/// The sum of squares of all elements of `g`, in double precision whatever the element type.
pub fn squared_norm<T: Element>(g: &[T]) -> f64 {
    g.iter().map(|x| x.to_f64() * x.to_f64()).sum()
}

/// The factor on gradients that limits their joint norm to `limit` (Pascanu et al. 2013).
pub fn clip_factor(norm: f64, limit: f64) -> f64 {
    // PyTorch's clip_grad_norm_ divides by norm + 1e-6.
    (limit / (norm + 1e-6)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules written out element by element, as in PyTorch's documentation.
    fn by_the_book(rule: Rule, lr: f64, gradients: &[f64], mut x: f64) -> f64 {
        let (mut m, mut v, mut buffer) = (0.0, 0.0, 0.0);
        for (t, &g) in (1..).zip(gradients) {
            match rule {
                Rule::Adam { betas: [b1, b2], eps, weight_decay }
                | Rule::AdamW { betas: [b1, b2], eps, weight_decay } => {
                    let coupled = matches!(rule, Rule::Adam { .. });
                    let g = if coupled { g + weight_decay * x } else { g };
                    if !coupled {
                        x -= lr * weight_decay * x;
                    }
                    m = b1 * m + (1.0 - b1) * g;
                    v = b2 * v + (1.0 - b2) * g * g;
                    let (m_hat, v_hat) = (m / (1.0 - b1.powi(t)), v / (1.0 - b2.powi(t)));
                    x -= lr * m_hat / (v_hat.sqrt() + eps);
                }
                Rule::Sgd { momentum, weight_decay } => {
                    let g = g + weight_decay * x;
                    buffer = momentum * buffer + g;
                    x -= lr * if momentum == 0.0 { g } else { buffer };
                }
            }
        }
        x
    }

    #[test]
    fn every_rule_is_the_one_in_the_book() {
        let gradients = [0.3, -0.2, 0.05, 1.7, -0.4];
        let (betas, eps) = ([0.9, 0.999], 1e-8);
        for rule in [
            Rule::Adam { betas, eps, weight_decay: 0.0 },
            Rule::Adam { betas, eps, weight_decay: 0.1 },
            Rule::AdamW { betas, eps, weight_decay: 0.1 },
            Rule::Sgd { momentum: 0.0, weight_decay: 0.01 },
            Rule::Sgd { momentum: 0.9, weight_decay: 0.0 },
        ] {
            let mut optimizer = Optimizer::<f64>::new(rule, [5, 19]);
            // Element `i` starts elsewhere and has another gradient.
            let start = |i: usize| 0.7 - 0.05 * i as f64;
            let pulls = |i: usize| gradients.map(|g| g * (1.0 + 0.1 * i as f64));
            let mut x: Vec<f64> = (0..19).map(start).collect();
            for t in 0..gradients.len() {
                let g: Vec<f64> = (0..19).map(|i| pulls(i)[t]).collect();
                optimizer.begin_step();
                optimizer.update(1, 0.01, &mut x, &g);
            }
            for (i, &x) in x.iter().enumerate() {
                let want = by_the_book(rule, 0.01, &pulls(i), start(i));
                assert!((want - start(i)).abs() > 1e-3, "{rule:?} moved nothing");
                assert!((x - want).abs() < 1e-15, "{rule:?}, {i}: {x} {want}");
            }
        }
    }

    #[test]
    fn a_restored_optimizer_continues() {
        let rule = Rule::Adam { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 };
        let mut one = Optimizer::<f32>::new(rule, [3]);
        let mut x = [0.1, 0.2, 0.3];
        one.begin_step();
        one.update(0, 0.1, &mut x, &[1.0, 2.0, 3.0]);
        let mut two = Optimizer::<f32>::new(rule, [3]);
        two.restore(one.steps(), vec![one.moments(0).to_vec()]);
        let mut y = x;
        for (o, x) in [(&mut one, &mut x), (&mut two, &mut y)] {
            o.begin_step();
            o.update(0, 0.1, x, &[-1.0, 0.5, 2.0]);
        }
        assert_eq!(x.map(f32::to_bits), y.map(f32::to_bits));
    }

    #[test]
    fn clipping_bounds_the_norm() {
        assert_eq!(clip_factor(0.5, 1.0), 1.0);
        assert!((clip_factor(5.0, 1.0) * 5.0 - 1.0).abs() < 1e-6);
        assert_eq!(squared_norm(&[3.0f32, 4.0]), 25.0);
    }
}
