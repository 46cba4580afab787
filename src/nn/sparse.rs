//! Weight-sparse training (Gao et al., arXiv 2511.13653): after each update a matrix keeps its
//! largest weights, and all others are 0 until they outgrow one of these.

use crate::simd::Element;

/// How many of `n` weights are kept at `step` of `steps`, where the share falls from all to `share`
/// in equal parts over the first half of the steps.
pub fn kept(n: usize, share: f64, step: u64, steps: u64) -> usize {
    let done = (2.0 * step as f64 / steps.max(1) as f64).min(1.0);
    n - ((1.0 - share) * done * n as f64).round() as usize
}

/// Sets all elements of `x [n]` but the `count` of largest size to 0; of equal ones the first stay.
/// `sizes` is memory of n elements.
///
/// # Panics
/// If `sizes` has another length.
#[track_caller]
pub fn keep_largest<T: Element>(x: &mut [T], count: usize, sizes: &mut [T]) {
    assert_eq!(sizes.len(), x.len(), "memory for the sizes");
    if count >= x.len() {
        return;
    }
    sizes.iter_mut().zip(&*x).for_each(|(size, x)| *size = x.abs());
    let order = |a: &T, b: &T| b.to_f64().total_cmp(&a.to_f64());
    let (above, &mut least, _) = sizes.select_nth_unstable_by(count, order);
    // As many of the size of the first that is left out as there is room for.
    let mut room = above.iter().filter(|size| **size == least).count();
    for x in x.iter_mut() {
        let size = x.abs();
        let stays = size > least || (size == least && room > 0);
        if size == least && stays {
            room -= 1;
        }
        if !stays {
            *x = T::ZERO;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_stay() {
        let kept = |x: &[f64], count| {
            let (mut x, mut sizes) = (x.to_vec(), vec![0.0; x.len()]);
            keep_largest(&mut x, count, &mut sizes);
            x
        };
        assert_eq!(kept(&[1.0, -3.0, 2.0, 0.5], 2), [0.0, -3.0, 2.0, 0.0]);
        assert_eq!(kept(&[1.0, -1.0, 1.0, 2.0], 2), [1.0, 0.0, 0.0, 2.0], "of equals the first");
        assert_eq!(kept(&[1.0, -1.0, 1.0], 3), [1.0, -1.0, 1.0]);
        assert_eq!(kept(&[1.0, -1.0, 1.0], 0), [0.0; 3]);
        assert_eq!(kept(&[0.0, 0.0, 4.0], 2), [0.0, 0.0, 4.0]);
    }

    #[test]
    fn the_share_falls_over_half_of_the_steps() {
        assert_eq!(
            [0, 25, 50, 75, 100].map(|step| kept(200, 0.1, step, 100)),
            [200, 110, 20, 20, 20]
        );
        assert_eq!(kept(10, 0.05, 100, 100), 0);
    }
}
