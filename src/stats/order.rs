//! Orders of numbers, by `total_cmp`.
//!
//! One sort for all of them: each comparison of its own has the compiler make a sort of its own.

/// The indices of `values [n]`, the smallest value first; of equals, the first one first.
pub fn rising(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_keep_their_order_either_way() {
        let values = [2.0, -3.0, 2.0, 0.0, -0.0, 3.0];
        assert_eq!(rising(&values), [1, 4, 3, 0, 2, 5]);
        assert_eq!(falling(&values), [5, 0, 2, 3, 4, 1]);
        assert_eq!(by_size(&values), [1, 5, 0, 2, 3, 4]);
    }
}
