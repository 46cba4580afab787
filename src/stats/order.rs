//! Orders of numbers, by `total_cmp`, and of anything by a comparison.
//!
//! One sort for all of them: each comparison of its own has the compiler make a sort of its own,
//! seven kilobytes each. Millions of elements are worth that.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Sorts as `slice::sort_by` does; equals keep their order.
pub(crate) fn sort_by<T>(items: &mut [T], mut compare: impl FnMut(&T, &T) -> Ordering) {
    let mut order: Vec<usize> = (0..items.len()).collect();
    arrange(&mut order, &mut |i, j| compare(&items[i], &items[j]));
    put(items, order);
}

/// Puts the items in an order of their indices: each goes where it belongs, cycle by cycle.
fn put<T>(items: &mut [T], mut order: Vec<usize>) {
    for first in 0..items.len() {
        let mut at = first;
        loop {
            let from = std::mem::replace(&mut order[at], at);
            if from == first {
                break;
            }
            items.swap(at, from);
            at = from;
        }
    }
}

/// Sorts as `slice::sort_by_cached_key` does; equals keep their order.
pub(crate) fn sort_by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    let keys: Vec<K> = items.iter().map(key).collect();
    let mut order: Vec<usize> = (0..items.len()).collect();
    arrange(&mut order, &mut |i, j| keys[i].cmp(&keys[j]));
    put(items, order);
}

/// Sorts indices by a comparison of what they stand for.
fn arrange(order: &mut [usize], compare: &mut dyn FnMut(usize, usize) -> Ordering) {
    order.sort_by(|&i, &j| compare(i, j));
}

/// The indices of `values [n]`, the smallest value first; of equals, the first one first.
pub fn rising(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    arrange(&mut order, &mut |i, j| values[i].total_cmp(&values[j]));
    order
}

/// The indices of `values [n]`, the largest value first; of equals, the first one first.
pub fn falling(values: &[f64]) -> Vec<usize> {
    rising(&values.iter().map(|x| -x).collect::<Vec<f64>>())
}

/// The indices of `values [n]`, the largest absolute value first; of equals, the first one first.
pub fn by_size(values: &[f64]) -> Vec<usize> {
    rising(&values.iter().map(|x| -x.abs()).collect::<Vec<f64>>())
}

/// The first `count` of [`by_size`], without memory for all others.
pub fn largest(values: &[f64], count: usize) -> Vec<usize> {
    // The least of those that are kept first. Absolute values are ordered as their bits are.
    let mut kept = BinaryHeap::new();
    for (i, x) in values.iter().enumerate() {
        let this = Reverse((x.abs().to_bits(), Reverse(i)));
        if kept.len() < count {
            kept.push(this);
        } else if let Some(mut least) = kept.peek_mut()
            && this < *least
        {
            *least = this;
        }
    }
    kept.into_sorted_vec().into_iter().map(|Reverse((_, Reverse(i)))| i).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_sorted_as_the_standard_library_does() {
        // Multiples of 7 modulo 10, so that there are cycles of several lengths and equals.
        for n in [0, 1, 2, 9, 10, 57] {
            let mut items: Vec<(usize, usize)> = (0..n).map(|i| (7 * i % 10, i)).collect();
            let mut same = items.clone();
            let falling = |a: &(usize, usize), b: &(usize, usize)| b.0.cmp(&a.0);
            sort_by(&mut items, falling);
            same.sort_by(falling);
            assert_eq!(items, same);
            sort_by_key(&mut items, |item| item.0);
            same.sort_by_key(|item| item.0);
            assert_eq!(items, same);
        }
    }

    #[test]
    fn equals_keep_their_order_either_way() {
        let values = [2.0, -3.0, 2.0, 0.0, -0.0, 3.0];
        assert_eq!(rising(&values), [1, 4, 3, 0, 2, 5]);
        assert_eq!(falling(&values), [5, 0, 2, 3, 4, 1]);
        assert_eq!(by_size(&values), [1, 5, 0, 2, 3, 4]);
        for count in 0..=values.len() + 1 {
            let first: Vec<usize> = by_size(&values).into_iter().take(count).collect();
            assert_eq!(largest(&values, count), first);
        }
    }
}
