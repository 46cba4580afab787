//! The micro-kernel: one tile of C, held in registers while K runs.

use super::Write;
use crate::simd::{Element, Kernel, Lanes, prefetch};
use std::hint::black_box;
use std::slice::{from_raw_parts, from_raw_parts_mut};

/// One tile: `C[rows, cols] = alpha A[rows, kc] B[kc, cols]`, or added to C.
#[derive(Clone, Copy)]
pub(super) struct Tile<T> {
    pub(super) kc: usize,
    pub(super) alpha: T,
    /// A is `a[i * a_rs + k * a_cs]`; one of the strides is 1.
    pub(super) a: *const T,
    pub(super) a_rs: usize,
    pub(super) a_cs: usize,
    /// B is `b[k * b_rs + j]`, of [`width`] columns.
    pub(super) b: *const T,
    pub(super) b_rs: usize,
    /// C is `c[i * c_rs + j]`; only `cols` numbers of a row are read or written.
    pub(super) c: *mut T,
    pub(super) c_rs: usize,
    pub(super) cols: usize,
    pub(super) write: Write,
}

/// How many numbers of a row of B a tile reads: one vector or `L::NV`, whichever holds `cols`.
#[inline(always)]
pub(super) fn width<L: Lanes>(cols: usize) -> usize {
    if cols > L::N { L::NV * L::N } else { L::N }
}

impl<T: Element> Tile<T> {
    /// Computes the tile, of `rows` rows, 1 to `L::MR`.
    ///
    /// # Safety
    /// A, B and C must lie in memory as the fields say, and nothing else may access C.
    #[inline(always)]
    pub(super) unsafe fn run<L: Lanes<Elem = T>>(self, rows: usize) {
        match rows {
            1 => self.wide::<L, 1>(),
            2 => self.wide::<L, 2>(),
            3 => self.wide::<L, 3>(),
            4 => self.wide::<L, 4>(),
            5 if L::MR > 4 => self.wide::<L, 5>(),
            6 if L::MR > 4 => self.wide::<L, 6>(),
            7 if L::MR > 6 => self.wide::<L, 7>(),
            8 if L::MR > 6 => self.wide::<L, 8>(),
            9 if L::MR > 6 => self.wide::<L, 9>(),
            10 if L::MR > 6 => self.wide::<L, 10>(),
            _ => unreachable!("a tile of {rows} rows"),
        }
    }

    /// Picks the number of vectors a row of the tile takes.
    #[inline(always)]
    fn wide<L: Lanes<Elem = T>, const R: usize>(self) {
        match L::NV {
            2 if self.cols > L::N => self.with_a::<L, R, 2>(),
            4 if self.cols > L::N => self.with_a::<L, R, 4>(),
            _ => self.with_a::<L, R, 1>(),
        }
    }

    /// Picks the layout of A.
    #[inline(always)]
    fn with_a<L: Lanes<Elem = T>, const R: usize, const V: usize>(self) {
        if self.a_rs == 1 {
            L::outline(Micro::<T, R, V, true>(self));
        } else {
            L::outline(Micro::<T, R, V, false>(self));
        }
    }
}

/// How many rows of B ahead of their use to ask for them: where B is read in place, each row may
/// lie on a page of its own, and the processor asks by itself only inside of one.
const AHEAD: usize = 16;
/// Bytes that come at once.
const LINE: usize = 64;

/// A tile of `R` rows and `V` vectors. A is read down its columns if `COLUMNS`, else along rows.
/// Only [`Tile::run`] makes one; what it demands holds.
struct Micro<T, const R: usize, const V: usize, const COLUMNS: bool>(Tile<T>);

impl<T: Element, const R: usize, const V: usize, const COLUMNS: bool> Kernel<T>
    for Micro<T, R, V, COLUMNS>
{
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Tile { kc, alpha, a, a_rs, a_cs, mut b, b_rs, c, c_rs, cols, write } = self.0;
        let (a_rs, a_cs) = if COLUMNS { (1, a_cs) } else { (a_rs, 1) };
        // One pointer for three rows: addresses scale an index by 1 and 2 for free. Unless it is
        // kept from knowing how they relate, the compiler adds its way from row to row instead.
        let third = |i: usize| black_box(a.wrapping_add(i * a_rs));
        let mut a0 = a;
        let mut a3 = if COLUMNS || R <= 3 { a } else { third(3) };
        let mut a6 = if COLUMNS || R <= 6 { a } else { third(6) };
        let mut a9 = if COLUMNS || R <= 9 { a } else { third(9) };
        let ahead = AHEAD.wrapping_mul(b_rs);
        let mut sums = [[L::splat(T::ZERO); V]; R];
        for _ in 0..kc {
            let mut row = [L::splat(T::ZERO); V];
            for (v, y) in row.iter_mut().enumerate() {
                // SAFETY: row k of B has `V * L::N` columns.
                *y = L::load(unsafe { from_raw_parts(b.wrapping_add(v * L::N), L::N) });
                // The end of the vector: its start may lie in a line of the panel before this one.
                if v + 1 == V || ((v + 1) * L::N * size_of::<T>()).is_multiple_of(LINE) {
                    prefetch(b.wrapping_add(ahead).wrapping_add((v + 1) * L::N - 1));
                }
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let at = match i / 3 {
                    _ if COLUMNS => a0.wrapping_add(i),
                    0 => a0.wrapping_add(i * a_rs),
                    1 => a3.wrapping_add((i - 3) * a_rs),
                    2 => a6.wrapping_add((i - 6) * a_rs),
                    _ => a9.wrapping_add((i - 9) * a_rs),
                };
                // SAFETY: column k of A has `R` rows.
                let x = L::splat(unsafe { *at });
                for (sum, &y) in sums.iter_mut().zip(&row) {
                    *sum = x.mul_add(y, *sum);
                }
            }
            a0 = a0.wrapping_add(a_cs);
            a3 = a3.wrapping_add(a_cs);
            a6 = a6.wrapping_add(a_cs);
            a9 = a9.wrapping_add(a_cs);
            b = b.wrapping_add(b_rs);
        }

        let alpha = L::splat(alpha);
        for (i, sums) in sums.iter().enumerate() {
            for (v, &sum) in sums.iter().enumerate() {
                let len = cols.saturating_sub(v * L::N).min(L::N);
                let at = c.wrapping_add(i * c_rs + v * L::N);
                // SAFETY: row i of C has `cols` columns, which are ours.
                let out = unsafe { from_raw_parts_mut(at, len) };
                if write == Write::Store {
                    store(alpha * sum, out);
                } else if len == L::N {
                    alpha.mul_add(sum, L::load(out)).store(out);
                } else {
                    alpha.mul_add(sum, L::load_partial(out, T::ZERO)).store_partial(out);
                }
            }
        }
    }
}

/// Writes all of `out`, at most a vector.
#[inline(always)]
fn store<L: Lanes>(x: L, out: &mut [L::Elem]) {
    if out.len() == L::N { x.store(out) } else { x.store_partial(out) }
}
