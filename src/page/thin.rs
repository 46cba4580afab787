//! Fewer points that show the same curve, and fewer digits that show the same number.

/// Which points of a curve to keep: about `limit`; the first, the last, and of each of `limit / 2`
/// stretches the lowest and the highest, so that no spike is lost.
pub(crate) fn extremes(values: &[Option<f64>], limit: usize) -> Vec<usize> {
    let len = values.len();
    if len <= limit || limit < 4 {
        return (0..len).collect();
    }
    let stretches = limit / 2;
    let mut kept = vec![0];
    for stretch in 0..stretches {
        let range = stretch * len / stretches..(stretch + 1) * len / stretches;
        let known =
            || range.clone().filter_map(|i| Some((i, values[i].filter(|x| x.is_finite())?)));
        let low = known().min_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| i);
        let high = known().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| i);
        match (low, high) {
            (Some(low), Some(high)) => kept.extend([low.min(high), low.max(high)]),
            _ => kept.push(range.start),
        }
    }
    kept.push(len - 1);
    kept.dedup();
    kept
}

/// Four significant digits; none for what is not a number.
pub(crate) fn rounded(x: Option<f64>) -> Option<f64> {
    let x = x.filter(|x| x.is_finite())?;
    format!("{x:.3e}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_keep_every_spike() {
        let mut values: Vec<Option<f64>> =
            (0..4000).map(|i| Some(1.0 / (1.0 + i as f64))).collect();
        values[1234] = Some(9.0);
        values[2345] = Some(-9.0);
        values[10] = None;
        let kept = extremes(&values, 400);
        assert!(kept.len() <= 402);
        assert!(kept.is_sorted());
        for i in [0, 1234, 2345, 3999] {
            assert!(kept.contains(&i), "{i}");
        }
        assert!(extremes(&[None; 1000], 400).len() <= 402);
    }

    #[test]
    fn four_digits() {
        assert_eq!(rounded(Some(0.123456)), Some(0.1235));
        assert_eq!(rounded(Some(f64::NAN)), None);
        assert_eq!(rounded(Some(0.0)), Some(0.0));
    }
}
