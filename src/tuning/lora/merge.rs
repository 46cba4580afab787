//! Adapters merged into their matrices: `W + scale A diag(lambda) B`.

use super::{Adapter, Adapters};
use crate::error::Result;
use crate::nn::transformer::Model;
use crate::simd::Element;

impl<T: Element> Adapter<T> {
    /// `scale A diag(lambda) B`, `[N_in, N_out]` in row-major order, summed in doubles.
    pub fn product(&self) -> Vec<f64> {
        let [n_in, n_out] = self.shape();
        let mut product = vec![0.0; n_in * n_out];
        let factor =
            |k: usize| self.scale * self.gates.as_ref().map_or(1.0, |gates| gates[k].to_f64());
        let factors: Vec<f64> = (0..self.rank).map(factor).collect();
        let b: Vec<f64> = self.b.iter().map(|x| x.to_f64()).collect();
        let rows = product.chunks_exact_mut(n_out).zip(self.a.chunks_exact(self.rank));
        for (out, a) in rows {
            for ((a, factor), b) in a.iter().zip(&factors).zip(b.chunks_exact(n_out)) {
                let a = a.to_f64() * factor;
                out.iter_mut().zip(b).for_each(|(y, b)| *y += a * b);
            }
        }
        product
    }
}

impl<T: Element> Adapters<T> {
    /// Adds every adapter to its matrix, so that the model computes the same without branches.
    /// Matrices that are shared with other models are copied first.
    ///
    /// # Errors
    /// If they do not [fit](Self::check); the model is then unchanged.
    pub fn merge(&self, model: &mut Model<T>) -> Result<()> {
        self.change(model, 1.0)
    }

    /// Subtracts what [`merge`](Self::merge) has added: the same matrices up to rounding. A copy of
    /// the model's weights, which is free while they are shared, restores them exactly.
    ///
    /// # Errors
    /// As [`merge`](Self::merge).
    pub fn unmerge(&self, model: &mut Model<T>) -> Result<()> {
        self.change(model, -1.0)
    }

    fn change(&self, model: &mut Model<T>, sign: f64) -> Result<()> {
        self.check(&model.config)?;
        let names = model.config.parameters();
        for adapter in self.list() {
            let site = adapter.site.to_string();
            let at = names.iter().position(|p| p.name == site).expect("checked above");
            // Taken out, written to (which copies a shared buffer) and shared again.
            let mut w = std::mem::take(&mut model.weights[at]);
            for (w, change) in w.iter_mut().zip(adapter.product()) {
                *w = T::from_f64(w.to_f64() + sign * change);
            }
            model.weights[at] = w.share();
        }
        Ok(())
    }
}
