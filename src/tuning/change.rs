//! What tuning has changed: by head and matrix, inside and outside a circuit, and whether the
//! change inside it is enough (grafting, Panigrahi et al. 2023).

use super::slices::{Cells, Slice, Slices, Union, shapes};
use crate::nn::transformer::Model;
use crate::simd::Element;
use std::ops::Range;

/// The change of a part of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The part: a parameter, or a head's share of one such as `blocks.0.attn.W_Q.2`.
    pub part: String,
    /// The norm of the difference.
    pub distance: f64,
    /// The same relative to the norm of the part before; `None` if that is 0.
    pub relative: Option<f64>,
}

/// The change of every part of a model: of each head for `W_QKV`, `b_QKV` and `W_O`, of other
/// parameters as a whole.
///
/// # Panics
/// If the models have different shapes.
pub fn changes<T: Element>(before: &Model<T>, after: &Model<T>) -> Vec<Change> {
    let c = &before.config;
    assert_eq!(*c, after.config, "models of different shapes");
    let mut list = vec![];
    for (i, p) in c.parameters().iter().enumerate() {
        let [rows, columns] = [p.shape.rows(), p.shape.last()];
        let (a, b) = (&before.weights[i], &after.weights[i]);
        let mut add = |part: String, rows: Range<usize>, of_row: Range<usize>| {
            let (mut moved, mut size) = (0.0, 0.0);
            for j in rows {
                let at = j * columns + of_row.start..j * columns + of_row.end;
                for (x, y) in a[at.clone()].iter().zip(&b[at]) {
                    moved += (y.to_f64() - x.to_f64()).powi(2);
                    size += x.to_f64().powi(2);
                }
            }
            let relative = (size > 0.0).then(|| (moved / size).sqrt());
            list.push(Change { part, distance: moved.sqrt(), relative });
        };
        let heads = [("Q", c.heads), ("K", c.kv_heads), ("V", c.kv_heads)];
        if let Some(stem) = p.name.strip_suffix("QKV") {
            let mut first = 0;
            for (port, count) in heads {
                for head in 0..count {
                    let of_row = first..first + c.d_head;
                    add(format!("{stem}{port}.{head}"), 0..rows, of_row);
                    first += c.d_head;
                }
            }
        } else if p.name.ends_with("attn.W_O") {
            for head in 0..c.heads {
                let of_head = head * c.d_head..(head + 1) * c.d_head;
                add(format!("{}.{head}", p.name), of_head, 0..columns);
            }
        } else {
            add(p.name.clone(), 0..rows, 0..columns);
        }
    }
    list
}

/// The model before tuning with the change of some slices alone.
///
/// # Panics
/// If the models have different shapes.
pub fn graft<T: Element>(before: &Model<T>, after: &Model<T>, slices: &Slices) -> Model<T> {
    let marks = marks(before, after, slices);
    let mut grafted = before.clone();
    for ((to, from), marks) in grafted.weights.iter_mut().zip(&after.weights).zip(marks.marks()) {
        let each = to.iter_mut().zip(from.iter()).zip(marks);
        each.filter(|(_, is)| **is).for_each(|((to, from), _)| *to = *from);
    }
    grafted
}

/// The `count` elements that have changed most, of equals the first.
///
/// # Panics
/// If the models have different shapes.
pub fn largest<T: Element>(before: &Model<T>, after: &Model<T>, count: usize) -> Slices {
    assert_eq!(before.config, after.config, "models of different shapes");
    let mut all: Vec<(f64, usize, u32)> = vec![];
    for (i, (a, b)) in before.weights.iter().zip(&after.weights).enumerate() {
        let change = |(a, b): (&T, &T)| (b.to_f64() - a.to_f64()).abs();
        let each = a.iter().zip(b.iter()).map(change).enumerate();
        all.extend(each.map(|(j, change)| (change, i, j as u32)));
    }
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut chosen: Vec<Vec<u32>> = vec![vec![]; before.weights.len()];
    all.iter().take(count).for_each(|&(_, i, j)| chosen[i].push(j));
    let slice = |(parameter, mut cells): (usize, Vec<u32>)| {
        cells.sort_unstable();
        Slice { parameter, cells: Cells::Scattered(cells.into()) }
    };
    let some = chosen.into_iter().enumerate().filter(|(_, cells)| !cells.is_empty());
    Slices::new(some.map(slice).collect())
}

/// The share of some slices in the squared change of all parameters; `None` if nothing has changed.
///
/// # Panics
/// If the models have different shapes.
pub fn share_inside<T: Element>(
    before: &Model<T>,
    after: &Model<T>,
    slices: &Slices,
) -> Option<f64> {
    let (mut inside, mut all) = (0.0, 0.0);
    let marks = marks(before, after, slices);
    for ((a, b), marks) in before.weights.iter().zip(&after.weights).zip(marks.marks()) {
        for ((a, b), is) in a.iter().zip(b.iter()).zip(marks) {
            let square = (b.to_f64() - a.to_f64()).powi(2);
            all += square;
            inside += if *is { square } else { 0.0 };
        }
    }
    (all > 0.0).then(|| inside / all)
}

fn marks<T: Element>(before: &Model<T>, after: &Model<T>, slices: &Slices) -> Union {
    assert_eq!(before.config, after.config, "models of different shapes");
    let mut union = Union::new(&shapes(&before.config));
    union.add(slices);
    union
}
