//! The rank budget of AdaLoRA (Zhang et al. 2023, arXiv 2303.10512).
//!
//! A triplet of a gated adapter is a column of A, its gate and a row of B. For each element w with
//! gradient g, at each step (the paper's section on importance; its P and Q are A and B here):
//!
//! ```text
//! I      = |w g|
//! I_bar  = beta_1 I_bar + (1 - beta_1) I
//! U_bar  = beta_2 U_bar + (1 - beta_2) |I - I_bar|        with the I_bar of this step
//! s      = I_bar U_bar
//! S_k    = s(lambda_k) + mean of s(A[.., k]) + mean of s(B[k, ..])
//! ```
//!
//! The triplets of the largest S in the whole model are [kept](Kept), as many as the [`Schedule`]
//! says. The gate of any other triplet is 0; the triplet is still scored, so that it can return
//! when others lose importance.
//!
//! A training step is: `backward`, [`keep_apart`], [`Importance::observe`], at some steps
//! [`Kept::best`], and [`Kept::step`].

use super::{Adapted, Adapters, Kind};
use crate::error::{Error, Result};
use crate::nn::Optimizer;
use crate::simd::Element;
use crate::tape::{Program, Var};

/// The decay rates of both averages in the paper.
pub const BETAS: [f64; 2] = [0.85, 0.85];

/// Adds the gradients of the orthogonality penalty to those of A and B, and returns the penalty:
/// the paper's regulariser, summed over adapters.
///
/// ```text
/// R = |A' A - 1|^2 + |B B' - 1|^2        sums of squares, 1 is [r, r]
/// ```
///
/// `weight` is its weight in the loss (gamma, 0.1 to 0.5 in the paper); the returned R is not
/// weighted.
///
/// # Panics
/// If the program has no gradients of these adapters.
#[track_caller]
pub fn keep_apart<T: Element>(weight: f64, program: &mut Program<T>, adapted: &Adapted) -> f64 {
    let mut total = 0.0;
    for x in adapted.vars() {
        let r = program.shape(x.a).last();
        let (n_in, n_out) = (program.value(x.a).len() / r, program.value(x.b).len() / r);
        let (a, gradient) = program.value_and_grad_mut(x.a);
        total += orthogonality(weight, a, gradient, [n_in, r], &|j, k| j * r + k);
        let (b, gradient) = program.value_and_grad_mut(x.b);
        total += orthogonality(weight, b, gradient, [n_out, r], &|j, k| k * n_out + j);
    }
    total
}

/// `|x' x - 1|^2` of `x [n, r]`, whose element (j, k) is at `at(j, k)`; its gradient is
/// `4 x (x' x - 1)`.
fn orthogonality<T: Element>(
    weight: f64,
    numbers: &[T],
    gradient: &mut [T],
    [n, r]: [usize; 2],
    at: &dyn Fn(usize, usize) -> usize,
) -> f64 {
    let x = |j: usize, k: usize| numbers[at(j, k)].to_f64();
    let mut off = vec![0.0; r * r];
    for k in 0..r {
        for l in 0..r {
            let dot: f64 = (0..n).map(|j| x(j, k) * x(j, l)).sum();
            off[k * r + l] = dot - if k == l { 1.0 } else { 0.0 };
        }
    }
    for j in 0..n {
        for k in 0..r {
            let slope: f64 = (0..r).map(|l| x(j, l) * off[l * r + k]).sum();
            gradient[at(j, k)] += T::from_f64(4.0 * weight * slope);
        }
    }
    off.iter().map(|x| x * x).sum()
}

/// The two averages of one element, `I_bar` and `U_bar`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Averages {
    sensitivity: f64,
    uncertainty: f64,
}

impl Averages {
    fn observe(&mut self, [beta_1, beta_2]: [f64; 2], sensitivity: f64) {
        self.sensitivity = beta_1 * self.sensitivity + (1.0 - beta_1) * sensitivity;
        let off = (sensitivity - self.sensitivity).abs();
        self.uncertainty = beta_2 * self.uncertainty + (1.0 - beta_2) * off;
    }

    fn score(self) -> f64 {
        self.sensitivity * self.uncertainty
    }
}

/// The importance of every triplet for the loss, smoothed over steps.
#[derive(Clone, Debug)]
pub struct Importance {
    betas: [f64; 2],
    list: Vec<OfAdapter>,
}

/// Averages of the elements of one adapter.
#[derive(Clone, Debug)]
struct OfAdapter {
    /// `[N_in, r]`.
    a: Vec<Averages>,
    /// `[r]`.
    gates: Vec<Averages>,
    /// `[r, N_out]`.
    b: Vec<Averages>,
}

impl Importance {
    /// Before the first observation; [`BETAS`] are usual.
    ///
    /// # Errors
    /// If the adapters have no gates, or a decay rate is not in [0, 1).
    pub fn new<T: Element>(adapters: &Adapters<T>, betas: [f64; 2]) -> Result<Importance> {
        if adapters.kind() != Kind::Gated {
            let help = "make them with gates to give them a budget";
            return Err(Error::input("adapters", "have no gates", help));
        }
        if let Some(beta) = betas.iter().find(|beta| !(0.0..1.0).contains(*beta)) {
            let message = format!("must be from 0 to below 1, got {beta}");
            return Err(Error::input("betas", message, "0.85 is usual"));
        }
        let fresh = |n: usize| vec![Averages::default(); n];
        let of = adapters.list().iter().map(|x| OfAdapter {
            a: fresh(x.a.len()),
            gates: fresh(x.rank),
            b: fresh(x.b.len()),
        });
        Ok(Importance { betas, list: of.collect() })
    }

    /// Updates the averages by the values and gradients of a step, after the reverse pass and
    /// before the update.
    ///
    /// # Panics
    /// If the program is that of other adapters, or has no gradients of them.
    #[track_caller]
    pub fn observe<T: Element>(&mut self, program: &Program<T>, adapted: &Adapted) {
        let vars = adapted.vars();
        assert_eq!(vars.len(), self.list.len(), "adapters");
        for (x, of) in vars.iter().zip(&mut self.list) {
            let gates = x.gates.expect("importance is of gated adapters");
            for (x, averages) in [(x.a, &mut of.a), (gates, &mut of.gates), (x.b, &mut of.b)] {
                let (numbers, gradient) = (program.value(x), program.grad(x));
                assert_eq!(numbers.len(), averages.len(), "numbers of {:?}", program.name(x));
                for ((average, w), g) in averages.iter_mut().zip(numbers).zip(gradient) {
                    average.observe(self.betas, (w.to_f64() * g.to_f64()).abs());
                }
            }
        }
    }

    /// `S [r]` of each adapter.
    pub fn scores(&self) -> Vec<Vec<f64>> {
        let of_adapter = |of: &OfAdapter| {
            let r = of.gates.len();
            let (n_in, n_out) = (of.a.len() / r, of.b.len() / r);
            let of_triplet = |k: usize| {
                let column: f64 = of.a[k..].iter().step_by(r).map(|x| x.score()).sum();
                let row: f64 = of.b[k * n_out..][..n_out].iter().map(|x| x.score()).sum();
                of.gates[k].score() + column / n_in as f64 + row / n_out as f64
            };
            (0..r).map(of_triplet).collect()
        };
        self.list.iter().map(of_adapter).collect()
    }
}

/// The number of triplets to keep at each step: the paper's cubic schedule.
///
/// ```text
/// b(t) = start                                                      t < warm_up
/// b(t) = end + (start - end) (1 - (t - warm_up) / falling)^3        between
/// b(t) = end                                                        t >= steps - cool_down
/// falling = steps - warm_up - cool_down
/// ```
///
/// This is what the authors' code computes, which counts from the end of the warm-up: it falls from
/// `start` to `end` without a jump. The budget is rounded down.
///
/// ```
/// use edgegrad::tuning::lora::budget::Schedule;
/// let schedule = Schedule { start: 96, end: 32, warm_up: 10, cool_down: 20, steps: 50 };
/// assert_eq!([0, 10, 20, 30, 49].map(|t| schedule.at(t)), [96, 96, 40, 32, 32]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Triplets at the start: the sum of all ranks.
    pub start: usize,
    /// Triplets at the end.
    pub end: usize,
    /// Steps before the first triplet is pruned.
    pub warm_up: usize,
    /// Steps after the last triplet is pruned.
    pub cool_down: usize,
    /// All steps.
    pub steps: usize,
}

impl Schedule {
    /// Checks that the budget falls, and has the time to.
    ///
    /// # Errors
    /// If it rises, or warms up and cools down for longer than it runs. The place is the field.
    pub fn check(&self) -> Result<()> {
        let &Schedule { start, end, warm_up, cool_down, steps } = self;
        if end > start {
            let message = format!("must be at most the {start} of the start, got {end}");
            return Err(Error::input("end", message, "a budget falls; begin with higher ranks"));
        }
        if warm_up.checked_add(cool_down).is_none_or(|n| n > steps) {
            let message = format!("{warm_up}, and {cool_down} to cool down, in {steps} steps");
            return Err(Error::input("warm_up", message, "leave steps for the budget to fall"));
        }
        Ok(())
    }

    /// The budget at step `t`.
    pub fn at(&self, t: usize) -> usize {
        let &Schedule { start, end, warm_up, cool_down, steps } = self;
        let last = steps.saturating_sub(cool_down);
        if t >= last {
            end
        } else if t < warm_up {
            start
        } else {
            let left = 1.0 - (t - warm_up) as f64 / (last - warm_up) as f64;
            (end as f64 + (start as f64 - end as f64) * left * left * left) as usize
        }
    }
}

/// The kept triplets, by adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept(Vec<Vec<bool>>);

impl Kept {
    /// All triplets.
    pub fn all<T: Element>(adapters: &Adapters<T>) -> Kept {
        Kept(adapters.list().iter().map(|adapter| vec![true; adapter.rank]).collect())
    }

    /// The `budget` triplets of the largest scores; among equals the first, adapter by adapter. NaN
    /// comes last.
    pub fn best(scores: &[Vec<f64>], budget: usize) -> Kept {
        let number = |x: f64| if x.is_nan() { f64::NEG_INFINITY } else { x };
        let of = |(i, list): (usize, &Vec<f64>)| {
            list.iter().enumerate().map(|(k, &s)| (number(s), i, k)).collect::<Vec<_>>()
        };
        let mut order: Vec<(f64, usize, usize)> = scores.iter().enumerate().flat_map(of).collect();
        // Stable, so equals keep their order.
        order.sort_by(|x, y| y.0.total_cmp(&x.0));
        let mut kept: Vec<Vec<bool>> = scores.iter().map(|list| vec![false; list.len()]).collect();
        order.iter().take(budget).for_each(|&(_, i, k)| kept[i][k] = true);
        Kept(kept)
    }

    /// `[r]` of each adapter.
    pub fn list(&self) -> &[Vec<bool>] {
        &self.0
    }

    /// The number of kept triplets.
    pub fn count(&self) -> usize {
        self.0.iter().flatten().filter(|kept| **kept).count()
    }

    /// Sets the gates of all other triplets to 0.
    ///
    /// # Panics
    /// If the adapters are others, or have no gates.
    #[track_caller]
    pub fn prune<T: Element>(&self, adapters: &mut Adapters<T>) {
        assert_eq!(adapters.list.len(), self.0.len(), "adapters");
        for (adapter, kept) in adapters.list.iter_mut().zip(&self.0) {
            close(adapter.gates.as_mut().expect("gated adapters"), kept);
        }
    }

    /// One update of everything kept, after [`Optimizer::begin_step`]. The gates of other triplets
    /// are set to 0; their columns of A and rows of B do not change, whatever the optimizer's
    /// momentum or weight decay. It sees zeros for their gradients.
    ///
    /// # Panics
    /// If the program or the optimizer (which is made for [`Adapters::sizes`]) is of other
    /// adapters.
    #[track_caller]
    pub fn step<T: Element>(
        &self,
        optimizer: &mut Optimizer<T>,
        lr: f64,
        program: &mut Program<T>,
        adapted: &Adapted,
    ) {
        let vars = adapted.vars();
        assert_eq!(vars.len(), self.0.len(), "adapters");
        for (i, (x, kept)) in vars.iter().zip(&self.0).enumerate() {
            let (r, gates) = (kept.len(), x.gates.expect("gated adapters"));
            let (n_out, whole) = (program.shape(x.b).last(), kept.iter().all(|kept| *kept));
            // The triplet of each element of A, of the gates and of B.
            let mut update = |part: usize, x: Var, triplet: &dyn Fn(usize) -> usize| {
                let (numbers, gradient) = program.value_and_grad_mut(x);
                let held = (0..numbers.len()).filter(|&j| !kept[triplet(j)]);
                let held: Vec<usize> = if whole { vec![] } else { held.collect() };
                let before: Vec<T> = held.iter().map(|&j| numbers[j]).collect();
                held.iter().for_each(|&j| gradient[j] = T::ZERO);
                optimizer.update(3 * i + part, lr, numbers, gradient);
                held.iter().zip(before).for_each(|(&j, before)| numbers[j] = before);
            };
            update(0, x.a, &|j| j % r);
            update(1, gates, &|j| j);
            update(2, x.b, &|j| j / n_out);
            close(program.value_mut(gates), kept);
        }
    }
}

/// Sets the gates of triplets that are not kept to 0.
#[track_caller]
fn close<T: Element>(gates: &mut [T], kept: &[bool]) {
    assert_eq!(gates.len(), kept.len(), "gates");
    for (gate, _) in gates.iter_mut().zip(kept).filter(|(_, kept)| !**kept) {
        *gate = T::ZERO;
    }
}
