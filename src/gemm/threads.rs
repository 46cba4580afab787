//! Large products over several threads.

use super::blocks::Product;
use super::fallback;
use crate::simd::{Backend, Element};

/// Multiply-adds that justify a task: some ten microseconds.
const TASK: usize = 1 << 20;
/// Multiply-adds that justify waking the threads of a pool the caller is not in.
const WAKE: usize = 16 << 20;

/// Elements of B that no second-level cache keeps, and the multiply-adds that reading one of them
/// takes as long as.
const FAR: usize = 1 << 18;
const READ: usize = 8;

/// Computes the product, on the threads of the caller's pool if it is large.
#[inline(never)]
pub(super) fn run<T: Element>(backend: Backend, product: &Product<'_, T>) {
    let work = product.m.saturating_mul(product.n).saturating_mul(product.k);
    if work < fallback::LARGE {
        return T::vectorize_on(backend, product);
    }
    large(backend, product, work);
}

/// The same for products that are not tiny. Out of line: inlined, it would make tiny ones save the
/// registers it needs.
#[inline(never)]
fn large<T: Element>(backend: Backend, product: &Product<'_, T>, work: usize) {
    if product.b_panel == 0 && fallback::serves::<T>(backend) {
        return fallback::run(product);
    }
    let far = product.n * product.k >= FAR;
    let work = if far && product.m < READ { work / product.m * READ } else { work };
    // Looking up the pool takes as long as a tiny product.
    if work < 2 * TASK || (work < WAKE && rayon::current_thread_index().is_none()) {
        return T::vectorize_on(backend, product);
    }
    let threads = rayon::current_num_threads();
    // Two tasks for each thread, so that a slow thread delays the others by little.
    split(backend, product, if threads == 1 { 1 } else { (work / TASK).min(2 * threads) });
}

/// Halves C until there are `tasks` blocks.
///
/// Blocks of columns share A, which is mostly read in place; each block of rows packs its own B. So
/// C is divided by columns until it is four times as high as wide, or little wider than a tile. On
/// two threads this raised products of 512 x 512 x 512 from 89 to 95 % of twice the peak.
fn split<T: Element>(backend: Backend, product: &Product<'_, T>, tasks: usize) {
    // Blocks of C start at a multiple of these, to keep tiles and cache lines whole. Where columns
    // are few, equal blocks matter more.
    let (m, n) = (product.m, product.n);
    let (row, col) = (12, if n < 64 * 8 * tasks { 16 } else { 64 });
    let high = m >= 4 * n || (m >= n && n < 128);
    let part = |len: usize, unit: usize| (len * (tasks / 2) / tasks).next_multiple_of(unit);
    let (first, rest) = match () {
        () if tasks < 2 => return T::vectorize_on(backend, product),
        () if high && part(m, row) < m => product.split_rows(part(m, row)),
        () if part(n, col) < n => product.split_cols(part(n, col)),
        () if part(m, row) < m => product.split_rows(part(m, row)),
        () => return T::vectorize_on(backend, product),
    };
    rayon::join(
        move || split(backend, &first, tasks / 2),
        move || split(backend, &rest, tasks - tasks / 2),
    );
}
