//! Copies of tensors with strides: from the layout of their file to ours.

use super::source::Source;
use crate::error::Result;
use crate::files::gguf::Plane;
use crate::files::safetensors::{PART, Tensor};
use crate::simd::Element;

/// An axis of a strided copy: its size, its stride in the file, its stride in ours.
type Axis = (usize, usize, usize);

/// A tensor of a file, copied with strides into one of our parameters.
#[derive(Clone)]
pub(super) struct StridedCopy {
    pub(super) tensor: String,
    pub(super) shape: Vec<usize>,
    walk: Walk,
    pub(super) optional: bool,
    /// What is added to each element of the file.
    pub(super) plus: f64,
}

/// Where the elements of a strided copy are.
#[derive(Clone, Copy, PartialEq)]
struct Walk {
    /// The index of the first element in the file's tensor and in ours.
    start: (usize, usize),
    axes: [Axis; 3],
}

impl StridedCopy {
    /// The whole parameter, element by element.
    pub(super) fn whole(tensor: impl Into<String>, shape: &[usize]) -> StridedCopy {
        StridedCopy::list(tensor, shape, 0)
    }

    /// `[N, D]` in the file, transposed to `[D, N]`: all of a parameter.
    pub(super) fn transposed(tensor: impl Into<String>, n: usize, d: usize) -> StridedCopy {
        StridedCopy::transposed_into(tensor, n, d, 0, n)
    }

    /// `[N, D]` in the file, transposed to columns `at..at + N` of `[D, width]`.
    pub(super) fn transposed_into(
        tensor: impl Into<String>,
        n: usize,
        d: usize,
        at: usize,
        width: usize,
    ) -> StridedCopy {
        StridedCopy::strided(tensor, &[n, d], (0, at), [(1, 0, 0), (d, 1, width), (n, d, 1)])
    }

    /// Elements `at..at + N` of a vector.
    pub(super) fn list(tensor: impl Into<String>, shape: &[usize], at: usize) -> StridedCopy {
        let axes = [(1, 0, 0), (1, 0, 0), (shape.iter().product(), 1, 1)];
        StridedCopy::strided(tensor, shape, (0, at), axes)
    }

    /// Whether it is the copy of a parameter of this shape element by element.
    pub(super) fn is_whole(&self, shape: &[usize]) -> bool {
        self.walk == StridedCopy::whole("", shape).walk && self.plus == 0.0
    }

    /// Any strided copy: `start` and `axes` in the file and in ours.
    pub(super) fn strided(
        tensor: impl Into<String>,
        shape: &[usize],
        start: (usize, usize),
        axes: [Axis; 3],
    ) -> StridedCopy {
        StridedCopy {
            tensor: tensor.into(),
            shape: shape.to_vec(),
            walk: Walk { start, axes },
            optional: false,
            plus: 0.0,
        }
    }

    /// Plus a constant.
    pub(super) fn plus(self, plus: f64) -> StridedCopy {
        StridedCopy { plus, ..self }
    }

    /// Zeros if the file does not have it.
    pub(super) fn optional(self) -> StridedCopy {
        StridedCopy { optional: true, ..self }
    }

    /// The tensor of a file, `[shape]` in row-major order, from the elements of our parameter: the
    /// inverse of reading.
    pub(super) fn tensor<T: Element>(&self, ours: &[T]) -> Tensor {
        let mut numbers = vec![T::ZERO; self.shape.iter().product()];
        assert!(self.plus == 0.0, "gains are written as they are");
        self.walk.each(|theirs, at| numbers[theirs] = ours[at]);
        Tensor::new(&*self.tensor, &self.shape, &numbers)
    }

    /// Reads it into our parameter.
    ///
    /// # Errors
    /// As [`Source::get`].
    pub(super) fn read<T: Element>(
        &self,
        source: &Source,
        plane: Plane,
        ours: &mut [T],
    ) -> Result<()> {
        let step = self.walk.part(self.shape.iter().product(), PART);
        source.each_part(&self.tensor, plane, &self.shape, step, |first, part: &[T]| {
            self.copy(first, part, ours);
        })
    }

    /// How many elements it copies.
    pub(super) fn len(&self) -> usize {
        self.walk.len()
    }

    /// The copy of a number for each `group` elements of a row of the file's tensor, into a matrix
    /// with a row for each `group` of ours, which have `width` columns; `None` if what is
    /// contiguous in the file is no column of ours, or groups do not divide it.
    pub(super) fn of_groups(&self, group: usize, width: usize) -> Option<StridedCopy> {
        let mut shape = self.shape.clone();
        let last = shape.last_mut().filter(|last| last.is_multiple_of(group))?;
        *last /= group;
        let (from, to) = self.walk.start;
        let mut start_of = (from / group, to);
        // Where our rows begin, which are a group's.
        if !from.is_multiple_of(group) || !(to / width).is_multiple_of(group) {
            return None;
        }
        start_of.1 = to / width / group * width + to % width;
        let mut axes = self.walk.axes;
        let mut along = false;
        for (count, from, to) in axes.iter_mut().filter(|axis| axis.0 > 1) {
            if *from == 1 {
                if *to != width || !count.is_multiple_of(group) {
                    return None;
                }
                *count /= group;
                along = true;
            } else if from.is_multiple_of(group) && *to < width {
                *from /= group;
            } else {
                return None;
            }
        }
        let walk = Walk { start: start_of, axes };
        (along && self.plus == 0.0).then(|| StridedCopy { shape, walk, ..self.clone() })
    }

    /// Copies what of it lies in a [part](Walk::part) of the file's tensor, from element `first`
    /// on.
    fn copy<T: Element>(&self, first: usize, part: &[T], ours: &mut [T]) {
        let walk = self.walk.within(first, part.len());
        // Its rows would begin outside of the part.
        if walk.len() == 0 {
            return;
        }
        let [_, (_, from_b, _), (columns, from_c, to_c)] = walk.axes;
        if self.plus != 0.0 {
            let plus = T::from_f64(self.plus);
            walk.each(|theirs, at| ours[at] = part[theirs - first] + plus);
        } else if from_c == 1 && to_c == 1 {
            walk.rows(|theirs, at| {
                ours[at..][..columns].copy_from_slice(&part[theirs - first..][..columns]);
            });
        } else if from_b == 1 && to_c == 1 {
            walk.transpose(first, part, ours);
        } else {
            walk.each(|theirs, at| ours[at] = part[theirs - first]);
        }
    }
}

impl Walk {
    /// How many elements there are.
    fn len(&self) -> usize {
        self.axes.iter().map(|axis| axis.0).product()
    }

    /// The axis with the largest stride in the file, and that stride, if the others stay within one
    /// step of it: what is read of the file in parts is then an interval of this axis.
    fn outermost(&self) -> Option<(usize, usize)> {
        let long = (0..3).filter(|&axis| self.axes[axis].0 > 1);
        let axis = long.max_by_key(|&axis| self.axes[axis].1)?;
        let stride = self.axes[axis].1;
        let others = (0..3).filter(|&other| other != axis).map(|other| self.axes[other]);
        let inside: usize = others.map(|(n, from, _)| n.saturating_sub(1) * from).sum();
        (self.start.0 % stride.max(1) + inside < stride).then_some((axis, stride))
    }

    /// How many elements of a tensor of `len` to read at a time, about `about`: whole steps of its
    /// outermost axis.
    fn part(&self, len: usize, about: usize) -> usize {
        self.outermost().map_or(len.max(1), |(_, stride)| (about / stride).max(1) * stride)
    }

    /// What lies in elements `first..first + len` of the file, a [part](Walk::part).
    fn within(mut self, first: usize, len: usize) -> Walk {
        if let Some((axis, stride)) = self.outermost() {
            let (n, from, to) = &mut self.axes[axis];
            let begins = self.start.0 / stride;
            let lower = (first / stride).saturating_sub(begins).min(*n);
            let upper = (first + len).div_ceil(stride).saturating_sub(begins).clamp(lower, *n);
            *n = upper - lower;
            self.start = (self.start.0 + lower * *from, self.start.1 + lower * *to);
        }
        self
    }

    /// Calls `visit` with the index of the first element of every row (along the last axis) in the
    /// file's tensor and in ours.
    fn rows(&self, mut visit: impl FnMut(usize, usize)) {
        let [(a, from_a, to_a), (b, from_b, to_b), _] = self.axes;
        for i in 0..a {
            for j in 0..b {
                let theirs = self.start.0 + i * from_a + j * from_b;
                visit(theirs, self.start.1 + i * to_a + j * to_b);
            }
        }
    }

    /// Copies what is contiguous along the second axis in the file, of which `part` has the
    /// elements from `first` on, and along the third in ours. A square is read and written by whole
    /// lines.
    fn transpose<T: Element>(&self, first: usize, part: &[T], ours: &mut [T]) {
        const SQUARE: usize = 16;
        let [(a, from_a, to_a), (b, _, to_b), (c, from_c, _)] = self.axes;
        let mut square = [[T::ZERO; SQUARE]; SQUARE];
        for i in 0..a {
            let (x, y) = (self.start.0 + i * from_a, self.start.1 + i * to_a);
            for j in (0..b).step_by(SQUARE) {
                for k in (0..c).step_by(SQUARE) {
                    let (wide, high) = (SQUARE.min(b - j), SQUARE.min(c - k));
                    for (row, k) in square.iter_mut().zip(k..k + high) {
                        let at = x + k * from_c + j - first;
                        row[..wide].copy_from_slice(&part[at..][..wide]);
                    }
                    for column in 0..wide {
                        let to = &mut ours[y + (j + column) * to_b + k..][..high];
                        to.iter_mut().zip(&square).for_each(|(to, row)| *to = row[column]);
                    }
                }
            }
        }
    }

    /// Calls `visit` with the index of every element in the file's tensor and in ours.
    #[inline]
    fn each(&self, mut visit: impl FnMut(usize, usize)) {
        // Blocks: whichever side has strides, its cache lines are used completely before they are
        // evicted.
        const SQUARE: usize = 32;
        let [(a, from_a, to_a), (b, from_b, to_b), (c, from_c, to_c)] = self.axes;
        for i in 0..a {
            let start = (self.start.0 + i * from_a, self.start.1 + i * to_a);
            for j0 in (0..b).step_by(SQUARE) {
                for k0 in (0..c).step_by(SQUARE) {
                    for j in j0..b.min(j0 + SQUARE) {
                        let (x, y) = (start.0 + j * from_b, start.1 + j * to_b);
                        for k in k0..c.min(k0 + SQUARE) {
                            visit(x + k * from_c, y + k * to_c);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A tensor that is read in parts goes where its elements go one by one.
        #[test]
        fn parts_are_copied_as_the_whole(
            (a, b, c) in (1usize..4, 1usize..40, 1usize..40),
            (margin, kind, about) in (0usize..5, 0..5, 1usize..300),
        ) {
            let file = [a, b + margin, c + margin];
            let at = |i: usize, j: usize, k: usize| (i * file[1] + j) * file[2] + k;
            let (start, [x, y, z]) = (at(0, margin, margin), [at(1, 0, 0), at(0, 1, 0), 1]);
            // Ours is packed, in these orders of the file's axes.
            let axes = match kind {
                0 => [(a, x, b * c), (b, y, c), (c, z, 1)],
                1 => [(a, x, b * c), (c, z, b), (b, y, 1)],
                2 => [(b, y, c * a), (c, z, a), (a, x, 1)],
                3 => [(c, z, a * b), (a, x, b), (b, y, 1)],
                // Overlapping: the outermost axis does not contain the others.
                _ => [(a, 1, b * c), (b, 1, c), (c, 1, 1)],
            };
            let len: usize = file.iter().product();
            let theirs: Vec<f64> = (1..=len).map(|x| x as f64).collect();
            for plus in [0.0, 0.5] {
                let copy = StridedCopy::strided("x", &file, (start, 3), axes).plus(plus);
                let mut want = vec![0.0; 3 + a * b * c];
                copy.walk.each(|from, to| want[to] = theirs[from] + plus);
                prop_assert!(want[3..].iter().all(|&x| x > 0.0));
                let step = copy.walk.part(len, about);
                let mut got = vec![0.0; want.len()];
                for (i, part) in theirs.chunks(step).enumerate() {
                    copy.copy(i * step, part, &mut got);
                }
                prop_assert_eq!(got, want);
            }
        }
    }

    proptest! {
        /// The number of a group goes to the row of ours that stands for the rows of its elements.
        #[test]
        fn numbers_of_groups_are_copied_as_their_elements(
            (rows, groups, group) in (1usize..9, 1usize..5, 2usize..5),
            (first, heads, margin) in (0usize..4, 1usize..4, 0usize..3),
        ) {
            // Ours is the file's turned, beside other columns; the file's rows come in heads.
            let (d, width) = (groups * group, heads * rows + margin);
            let file = [first + heads * rows, d];
            let axes = [(heads, rows * d, rows), (rows, d, 1), (d, 1, width)];
            let copy = StridedCopy::strided("x", &file, (first * d, margin), axes);
            let scales = copy.of_groups(group, width).expect("groups of whole columns");
            prop_assert_eq!(&scales.shape, &[file[0], groups]);
            let mut found = std::collections::BTreeMap::new();
            scales.walk.each(|from, to| assert!(found.insert(from, to).is_none()));
            prop_assert_eq!(found.len(), heads * rows * groups);
            copy.walk.each(|from, to| {
                let to = to / width / group * width + to % width;
                assert_eq!(found.get(&(from / group)), Some(&to), "element {from}");
            });
            // Not of what has no whole groups, is moved as it is, or gets something added.
            prop_assert!(copy.of_groups(d + 1, width).is_none());
            let kept = [(heads, rows * d, rows * d), (rows, d, d), (d, 1, 1)];
            let kept = StridedCopy::strided("x", &file, (first * d, 0), kept);
            prop_assert!(kept.of_groups(group, d).is_none());
            prop_assert!(copy.plus(1.0).of_groups(group, width).is_none());
        }
    }

    /// The bias of one part of a fused layer: what stands before and after holds none of it.
    #[test]
    fn parts_that_hold_nothing_of_it_are_passed_over() {
        let copy = StridedCopy::strided("x", &[190], (156, 0), [(1, 0, 0), (1, 0, 0), (30, 1, 1)]);
        let theirs: Vec<f64> = (0..190).map(f64::from).collect();
        let step = copy.walk.part(theirs.len(), 7);
        assert_eq!(step, 7);
        let mut got = vec![0.0; 30];
        for (i, part) in theirs.chunks(step).enumerate() {
            copy.copy(i * step, part, &mut got);
        }
        assert_eq!(got, theirs[156..186]);
    }
}
