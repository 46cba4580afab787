//! Numbers that an optimizer moves, as a journal keeps them.

use crate::files::journal::kept;
use crate::nn::Optimizer;
use crate::tensor::Buffer;

/// The logistic function: a mask from its log odds.
pub(crate) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

/// Lists of learned numbers with the state of their optimizer.
pub(crate) struct Learned {
    /// The first are the optimizer's parameters; others may follow.
    pub(crate) lists: Vec<Vec<f64>>,
    /// The optimizer's steps.
    steps: u64,
    /// Its moments, those of one parameter after those of another.
    moments: Vec<Vec<f64>>,
}

kept!(Learned { lists, steps, moments });

impl Learned {
    /// Before the first step.
    pub(crate) fn new(lists: Vec<Vec<f64>>) -> Learned {
        Learned { lists, steps: 0, moments: vec![] }
    }

    /// Gives `optimizer`, of `parameters` lists, the state that was kept.
    ///
    /// # Panics
    /// If its sizes are others.
    pub(crate) fn resume(&self, optimizer: &mut Optimizer<f64>, parameters: usize) {
        if self.steps > 0 {
            let of = |moments: &[Vec<f64>]| moments.iter().map(|m| Buffer::from(&m[..])).collect();
            let each = self.moments.len() / parameters;
            optimizer.restore(self.steps, self.moments.chunks(each).map(of).collect());
        }
    }

    /// Takes the state of `optimizer`, of `parameters` lists.
    pub(crate) fn follow(&mut self, optimizer: &Optimizer<f64>, parameters: usize) {
        self.steps = optimizer.steps();
        let all = (0..parameters).flat_map(|i| optimizer.moments(i));
        self.moments = all.map(|moment| moment.to_vec()).collect();
    }
}
