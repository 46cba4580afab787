//! Student's t.

/// The 0.975 quantile of Student's t with so many degrees of freedom, at least 1.
pub(super) fn t_quantile(freedom: usize) -> f64 {
    bound(0.95, freedom)
}

/// The `t` that bounds |t| with a chance of `share`, up to .95.
///
/// By bisection of the distribution, which for whole degrees is a finite sum (M. Abramowitz and I.
/// Stegun, "Handbook of Mathematical Functions", 26.7.3 and 26.7.4).
pub(super) fn bound(share: f64, freedom: usize) -> f64 {
    let (mut low, mut high) = (0.0, 16.0);
    while high - low > 1e-12 {
        let middle = 0.5 * (low + high);
        if within(middle, freedom) < share { low = middle } else { high = middle }
    }
    high
}

/// The chance that |t| is at most `t`.
pub(super) fn within(t: f64, freedom: usize) -> f64 {
    let angle = libm::atan(t / (freedom as f64).sqrt());
    let (sin, cos) = (libm::sin(angle), libm::cos(angle));
    let odd = freedom % 2 == 1;
    let (mut term, mut sum) = (if odd { cos } else { 1.0 }, 0.0);
    for i in (1 + usize::from(odd)..freedom).step_by(2) {
        sum += term;
        term *= cos * cos * i as f64 / (i + 1) as f64;
    }
    match odd {
        true => std::f64::consts::FRAC_2_PI * (angle + sin * sum),
        false => sin * sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page computes the same: tests/page-js reads the same file.
    #[test]
    fn quantiles_are_those_of_published_tables() {
        let text = include_str!("../../tests/fixtures/t-quantiles.json");
        let known: Vec<(usize, f64)> = serde_json::from_str(text).expect("pairs");
        assert!(known.len() > 8);
        for (freedom, quantile) in known {
            let found = t_quantile(freedom);
            // Tables have three digits.
            assert!((found - quantile).abs() <= 0.000_501, "{freedom}: {found}, {quantile}");
        }
    }
}
