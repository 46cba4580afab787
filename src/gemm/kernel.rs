//! The micro-kernel: one tile of C, held in registers while K runs.

use super::Write;
use crate::simd::{Element, Kernel, Lanes};
use std::array::from_fn;
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
    /// B is `b[k * b_rs + j]`, readable in whole vectors.
    pub(super) b: *const T,
    pub(super) b_rs: usize,
    /// C is `c[i * c_rs + j]`; only `cols` numbers of a row are read or written.
    pub(super) c: *mut T,
    pub(super) c_rs: usize,
    pub(super) cols: usize,
    pub(super) write: Write,
}

impl<T: Element> Tile<T> {
    /// Computes the tile, of `rows <= L::MR` rows.
    ///
    /// # Safety
    /// A, B and C must lie in memory as the fields say, where B's rows are readable to the next
    /// multiple of `L::N`, and nothing else may access C.
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
            11 if L::MR > 6 => self.wide::<L, 11>(),
            12 if L::MR > 6 => self.wide::<L, 12>(),
            _ => unreachable!("a tile of {rows} rows"),
        }
    }

    /// Picks the number of vectors a row of the tile takes.
    #[inline(always)]
    fn wide<L: Lanes<Elem = T>, const R: usize>(self) {
        match self.cols.div_ceil(L::N) {
            1 => self.with_a::<L, R, 1>(),
            2 if L::NV > 1 => self.with_a::<L, R, 2>(),
            3 if L::NV > 2 => self.with_a::<L, R, 3>(),
            4 if L::NV > 2 => self.with_a::<L, R, 4>(),
            _ => unreachable!("a tile of {} columns", self.cols),
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

/// A tile of `R` rows and `V` vectors. A is read down its columns if `COLUMNS`, else along rows.
struct Micro<T, const R: usize, const V: usize, const COLUMNS: bool>(Tile<T>);

impl<T: Element, const R: usize, const V: usize, const COLUMNS: bool> Kernel<T>
    for Micro<T, R, V, COLUMNS>
{
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Elem = T>>(self) {
        let Tile { kc, alpha, mut a, a_rs, a_cs, mut b, b_rs, c, c_rs, cols, write } = self.0;
        let (a_rs, a_cs) = if COLUMNS { (1, a_cs) } else { (a_rs, 1) };
        let mut sums = [[L::splat(T::ZERO); V]; R];
        for _ in 0..kc {
            // SAFETY: `Tile::run` demands that row k of B be readable in whole vectors ...
            let row: [L; V] = from_fn(|v| unsafe { load(b.add(v * L::N)) });
            for (i, sums) in sums.iter_mut().enumerate() {
                // SAFETY: ... and that column k of A be readable.
                let x = L::splat(unsafe { *a.add(i * a_rs) });
                for (sum, &y) in sums.iter_mut().zip(&row) {
                    *sum = x.mul_add(y, *sum);
                }
            }
            // Past the last row these are not read any more.
            (a, b) = (a.wrapping_add(a_cs), b.wrapping_add(b_rs));
        }
        let alpha = L::splat(alpha);
        for (i, sums) in sums.into_iter().enumerate() {
            for (v, sum) in sums.into_iter().enumerate() {
                let len = cols.saturating_sub(v * L::N).min(L::N);
                // SAFETY: `Tile::run` demands that `cols` numbers of row i of C be ours.
                let out = unsafe { from_raw_parts_mut(c.add(i * c_rs + v * L::N), len) };
                if len == L::N {
                    let old = if write == Write::Add { L::load(out) } else { L::splat(T::ZERO) };
                    let new =
                        if write == Write::Add { alpha.mul_add(sum, old) } else { alpha * sum };
                    new.store(out);
                } else if write == Write::Add {
                    alpha.mul_add(sum, L::load_partial(out, T::ZERO)).store_partial(out);
                } else {
                    (alpha * sum).store_partial(out);
                }
            }
        }
    }
}

/// The vector at `at`.
///
/// # Safety
/// `L::N` numbers have to be readable there.
#[inline(always)]
unsafe fn load<L: Lanes>(at: *const L::Elem) -> L {
    // SAFETY: what the caller promises.
    L::load(unsafe { from_raw_parts(at, L::N) })
}
