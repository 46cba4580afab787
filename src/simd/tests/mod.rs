//! Every backend of this processor against one element at a time.

mod double;
mod lanes;
mod math;

use super::{Backend, Element, Kernel, Lanes};

/// A formula over up to three vectors.
pub(super) trait Formula<T: Element> {
    fn apply<L: Lanes<Elem = T>>(&self, x: L, y: L, z: L) -> L;
}

struct Apply<'a, T, F>(&'a F, [&'a [T]; 3]);

impl<T: Element, F: Formula<T>> Kernel<T> for Apply<'_, T, F> {
    type Output = Vec<T>;

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) -> Vec<T> {
        let Apply(formula, [x, y, z]) = self;
        let mut out = vec![T::ZERO; x.len()];
        for (i, out) in out.chunks_mut(L::N).enumerate() {
            let at = i * L::N..i * L::N + out.len();
            let [x, y, z] = [x, y, z].map(|v| L::load_partial(&v[at.clone()], T::ONE));
            formula.apply(x, y, z).store_partial(out);
        }
        out
    }
}

/// The formula over whole slices on `backend`.
fn apply<T: Element>(backend: Backend, f: &impl Formula<T>, x: &[T], y: &[T], z: &[T]) -> Vec<T> {
    T::vectorize_on(backend, Apply(f, [x, y, z]))
}
