//! Matrices of small integers that share scales, in panels.
//!
//! An element is `scale * quant + offset`, the product in single precision and then the sum; the
//! scale and the offset are those of its column in a *group* of consecutive rows. So quantised
//! weights stay nearly as small as in their file: a byte each, and some for the group.

use super::Mat;
use super::panels::{copy_to_panels, panel_columns};
use crate::simd::Element;

/// A matrix of scaled integers in [panels](super::Mat::panels).
#[derive(Clone, Debug)]
pub struct Scaled {
    rows: usize,
    cols: usize,
    /// Columns of a panel.
    width: usize,
    /// Rows that share scales.
    group: usize,
    quants: Vec<i8>,
    /// A row for each group, in panels.
    scales: Vec<f32>,
    /// The same; none where all are -0, which adds nothing.
    offsets: Vec<f32>,
}

impl Scaled {
    /// `rows` x `cols`: integers from -128 to 127, in panels of elements `T`; and, `rows / group` x
    /// `cols`, their scales and offsets. All are given row by row.
    ///
    /// # Panics
    /// If they are not as many, or groups do not divide the rows.
    #[track_caller]
    pub fn new<T>(
        [rows, cols, group]: [usize; 3],
        quants: &[f32],
        scales: &[f32],
        offsets: &[f32],
    ) -> Scaled {
        assert!(group > 0 && rows.is_multiple_of(group), "{rows} rows in groups of {group}");
        let shared = rows / group * cols;
        let given = [quants.len(), scales.len(), offsets.len()];
        assert_eq!(given, [rows * cols, shared, shared], "numbers of {rows} x {cols}");
        let width = panel_columns::<T>();
        Scaled::of_panels::<T>(
            [rows, cols, group],
            in_panels(quants, [cols, width], quant),
            in_panels(scales, [cols, width], |x| x),
            in_panels(offsets, [cols, width], |x| x),
        )
    }

    /// The same from what is in panels of elements `T` already.
    pub(crate) fn of_panels<T>(
        [rows, cols, group]: [usize; 3],
        quants: Vec<i8>,
        scales: Vec<f32>,
        offsets: Vec<f32>,
    ) -> Scaled {
        let width = panel_columns::<T>();
        // Where columns end within a panel, the rest of it says nothing.
        let is_nothing = |x: &f32| x.to_bits() == (-0.0f32).to_bits();
        let filled = cols / width * width * (rows / group);
        let rest = offsets[filled..].chunks_exact(width).flat_map(|row| &row[..cols % width]);
        let nothing = offsets[..filled].iter().chain(rest).all(is_nothing);
        let offsets = if nothing { vec![] } else { offsets };
        Scaled { rows, cols, width, group, quants, scales, offsets }
    }

    /// Rows, columns, and columns of a panel.
    pub(crate) fn shape(&self) -> [usize; 3] {
        [self.rows, self.cols, self.width]
    }

    /// Where the integers from `first` on are.
    #[inline(always)]
    pub(super) fn at(&self, first: usize) -> *const i8 {
        self.quants.as_ptr().wrapping_add(first)
    }

    /// The element `i` of the panels.
    pub(super) fn get<T: Element>(&self, i: usize) -> T {
        let shared = self.row(i).1 + i % self.width;
        let x = self.scales[shared] * f32::from(self.quants[i]);
        single(self.offsets.get(shared).map_or(x, |offset| x + offset))
    }

    /// The row in which element `i` of the panels stands, and where its scales begin.
    #[inline(always)]
    fn row(&self, i: usize) -> (usize, usize) {
        let row = i / self.width;
        let (panel, row) = (row / self.rows, row % self.rows);
        (row, (panel * (self.rows / self.group) + row / self.group) * self.width)
    }

    /// Widens the elements from `first` on, as many as there are.
    #[inline(always)]
    pub(super) fn widen<T: Element>(&self, first: usize, to: &mut [T]) {
        let len = to.len().min(self.quants.len() - first);
        let to = &mut to[..len];
        let rows = first.is_multiple_of(self.width) && len.is_multiple_of(self.width);
        match self.width {
            16 if rows => self.widen_rows::<T, 16>(first, to.as_chunks_mut().0),
            8 if rows => self.widen_rows::<T, 8>(first, to.as_chunks_mut().0),
            _ => to.iter_mut().zip(first..).for_each(|(to, i)| *to = self.get(i)),
        }
    }

    /// Widens rows of panels of `W` columns, from element `first` on.
    #[inline(always)]
    fn widen_rows<T: Element, const W: usize>(&self, first: usize, to: &mut [[T; W]]) {
        // First the integers, in one long loop, then their scales: both loops become vectors.
        let quants = to.as_flattened_mut().iter_mut().zip(&self.quants[first..]);
        for (to, &quant) in quants {
            *to = single(quant.into());
        }
        // The next group's scales stand behind, in the next panel as well.
        let (row, shared) = self.row(first);
        let scales = self.scales[shared..].as_chunks::<W>().0;
        let offsets = self.offsets.get(shared..).map(|all| all.as_chunks::<W>().0);
        let (mut done, mut count) = (0, self.group - row % self.group);
        for (group, &scales) in scales.iter().enumerate() {
            let end = to.len().min(done + count);
            let offsets = offsets.and_then(|all| all.get(group).copied()).unwrap_or([-0.0; W]);
            for to in &mut to[done..end] {
                for lane in 0..W {
                    let quant = to[lane].to_f64() as f32;
                    to[lane] = single(scales[lane] * quant + offsets[lane]);
                }
            }
            (done, count) = (end, self.group);
            if done == to.len() {
                return;
            }
        }
    }
}

#[inline(always)]
fn single<T: Element>(x: f32) -> T {
    T::from_f64(x.into())
}

/// A whole number as an integer.
#[inline(always)]
pub(crate) fn quant(x: f32) -> i8 {
    // Next to 1.5 * 2^23 the last bit of a single is worth one, and its last bits are those of the
    // integer in two's complement. A cast, which saturates, would not become vectors.
    (x + 1.5 * 8_388_608.0).to_bits() as i8
}

/// A matrix of `cols` columns in panels of `width`.
fn in_panels<E: Copy + Default>(
    from: &[f32],
    [cols, width]: [usize; 2],
    number: impl Fn(f32) -> E,
) -> Vec<E> {
    let rows = from.len() / cols.max(1);
    let mut all = vec![E::default(); rows * cols.next_multiple_of(width)];
    copy_to_panels(Mat::new(from, rows, cols), width, &mut all, number);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Elements are those of the definition, wherever a part begins.
    fn check<T: Element>(with_offsets: bool) {
        for [rows, cols, group] in [[64, 40, 32], [32, 5, 16], [96, 16, 32], [16, 1, 16]] {
            let quants: Vec<f32> =
                (0..rows * cols).map(|i| (i * 37 % 256) as f32 - 128.0).collect();
            let shared = rows / group * cols;
            let scales: Vec<f32> = (0..shared).map(|i| 0.37 + i as f32).collect();
            let offset = |i: usize| if with_offsets { i as f32 * 0.11 - 1.3 } else { -0.0 };
            let offsets: Vec<f32> = (0..shared).map(offset).collect();
            let scaled = Scaled::new::<T>([rows, cols, group], &quants, &scales, &offsets);
            assert_eq!(scaled.offsets.is_empty(), !with_offsets);
            let wanted = |i: usize, j: usize| {
                let at = i / group * cols + j;
                T::from_f64((scales[at] * quants[i * cols + j] + offsets[at]).into())
            };
            let mut all = vec![T::ZERO; rows * cols];
            Mat::scaled(&scaled).copy_to(&mut all);
            let matrix: Mat<'_, T> = Mat::scaled(&scaled);
            for (at, x) in all.iter().enumerate() {
                let (i, j) = (at / cols, at % cols);
                let bits = |x: T| x.to_f64().to_bits();
                assert_eq!(bits(*x), bits(wanted(i, j)), "({i}, {j})");
                assert_eq!(bits(matrix.get(i, j)), bits(*x), "({i}, {j})");
            }
            let mut whole = vec![T::ZERO; scaled.quants.len()];
            scaled.widen(0, &mut whole);
            for first in [1, scaled.width, 5 * scaled.width, 7 * scaled.width + 3] {
                let mut part = vec![T::ZERO; 11 * scaled.width];
                scaled.widen(first, &mut part);
                let there = part.len().min(whole.len() - first);
                assert_eq!(part[..there], whole[first..][..there], "from {first}");
            }
        }
    }

    #[test]
    fn elements_are_those_of_the_definition() {
        for with_offsets in [false, true] {
            check::<f32>(with_offsets);
            check::<f64>(with_offsets);
        }
    }
}
