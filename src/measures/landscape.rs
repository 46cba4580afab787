//! The loss of a pooled model as a function of all its weights in one list.

use crate::nn::pooled::{Config, Pooled};
use crate::simd::Element;
use crate::tape::{BackwardPlan, Program, Tape};
use crate::tasks::Dataset;

/// Sequences at a time.
const CHUNK: usize = 256;

/// Mean loss and gradient at any weights `[N]`: all parameters one after the other, each row-major.
pub struct Landscape<T> {
    program: Program<T>,
    model: Pooled,
    plans: [BackwardPlan; 2],
    sizes: Vec<usize>,
    chunk: usize,
}

impl<T: Element> Landscape<T> {
    /// For models of this shape and up to `rows` rows at a time or more.
    pub fn new(config: &Config, rows: usize) -> Self {
        let chunk = rows.clamp(1, CHUNK);
        let mut tape = Tape::new();
        let model = Pooled::record(&mut tape, &Config { dropout: 0.0, ..config.clone() }, chunk);
        let mut program = tape.finish();
        let first = program.plan_backward(model.loss, &model.parameters);
        let others = first.accumulating(&program);
        let sizes = config.parameters().iter().map(|p| p.shape.len()).collect();
        Landscape { program, model, plans: [first, others], sizes, chunk }
    }

    /// The mean loss at `weights [N]` over the given `rows` of `data` with the labels `[rows]`, in
    /// nats; writes its gradient `[N]`.
    ///
    /// # Panics
    /// If there are no rows, or the sizes are others.
    pub fn gradient(
        &mut self,
        weights: &[T],
        data: &Dataset,
        (rows, labels): (&[u32], &[u32]),
        gradient: &mut [T],
    ) -> T {
        let mut at = 0;
        for (&x, &n) in self.model.parameters.iter().zip(&self.sizes) {
            self.program.set(x, &weights[at..at + n]);
            at += n;
        }
        assert_eq!((at, labels.len()), (weights.len(), rows.len()), "weights and labels");
        let mut loss = T::ZERO;
        let parts = rows.chunks(self.chunk).zip(labels.chunks(self.chunk));
        for (i, (part, labels)) in parts.enumerate() {
            let batch = part.iter().zip(labels).map(|(&r, &y)| (data.row(r as usize), y));
            self.model.set_part(&mut self.program, batch, rows.len());
            self.program.forward();
            self.program.backward(&self.plans[i.min(1)]);
            loss += self.program.value(self.model.loss)[0];
        }
        let mut at = 0;
        for (&x, &n) in self.model.parameters.iter().zip(&self.sizes) {
            gradient[at..at + n].copy_from_slice(self.program.grad(x));
            at += n;
        }
        loss
    }
}

/// The numbers of the first `most` rows, or of all.
pub(super) fn first_rows(data: &Dataset, most: usize) -> Vec<u32> {
    (0..data.n.min(most) as u32).collect()
}

/// All weights in one list.
pub(super) fn flat(weights: &[Vec<f64>]) -> Vec<f64> {
    weights.concat()
}
