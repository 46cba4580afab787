//! Ranks that follow a circuit: larger for the matrices that hold more of it.
//!
//! CircuitLoRA (Wang et al. 2025, arXiv 2502.11812) gives a higher rank to layers whose edges
//! change most in tuning. Here ranks are proportional to any importance (the sum over a matrix of a
//! circuit's scores, or of their changes), by Webster's (Sainte-Lague's) apportionment, which
//! favours neither large nor small shares.

use crate::error::{Error, Result};
use crate::named::named;
use std::ops::RangeInclusive;

named! {
    /// What ranks follow.
    RanksBy {
        /// The scores of the edges that end in a matrix.
        #[default]
        Scores = "scores",
        /// What tuning changes of these scores: CircuitLoRA's rule, by matrix.
        Change = "change",
    }
}

/// `[M] -> [M]`: ranks within `bounds` that add up to `total`, proportional to `importance` as far
/// as bounds and whole numbers allow.
///
/// All start at the lower bound; then each further rank goes to the largest
/// `importance / (2 rank + 1)`, among equals to the lowest rank, and then to the first. So a larger
/// total never takes a rank away.
///
/// ```
/// use edgegrad::tuning::lora::ranks;
/// assert_eq!(ranks(&[6.0, 3.0, 1.0, 0.0], 20, 0..=16)?, [12, 6, 2, 0]);
/// assert_eq!(ranks(&[6.0, 3.0, 1.0, 0.0], 20, 1..=8)?, [8, 8, 3, 1]);
/// # Ok::<(), edgegrad::error::Error>(())
/// ```
///
/// # Errors
/// If the bounds do not allow the total, or an importance is negative or NaN.
pub fn ranks(
    importance: &[f64],
    total: usize,
    bounds: RangeInclusive<usize>,
) -> Result<Vec<usize>> {
    let (least, most) = bounds.into_inner();
    let n = importance.len();
    if least > most {
        let message = format!("from {least} to {most} there is none");
        return Err(Error::input("ranks", message, "the lower bound comes first"));
    }
    let (floor, ceiling) = (least.saturating_mul(n), most.saturating_mul(n));
    if !(floor..=ceiling).contains(&total) {
        let message = format!("{n} ranks from {least} to {most} cannot add up to {total}");
        let help = format!("choose a total from {floor} to {ceiling}, or other bounds");
        return Err(Error::input("ranks", message, help));
    }
    if let Some(i) = importance.iter().position(|x| !(x.is_finite() && *x >= 0.0)) {
        let message = format!("must be at least 0, number {i} is {}", importance[i]);
        return Err(Error::input("importance", message, "take magnitudes of scores"));
    }
    let mut ranks = vec![least; n];
    for _ in floor..total {
        let quotient = |i: usize, rank: usize| importance[i] / (2.0 * rank as f64 + 1.0);
        let open = (0..n).filter(|&i| ranks[i] < most);
        let next = open.min_by(|&i, &j| {
            let order = quotient(j, ranks[j]).total_cmp(&quotient(i, ranks[i]));
            order.then(ranks[i].cmp(&ranks[j])).then(i.cmp(&j))
        });
        ranks[next.expect("the total is at most the ceiling")] += 1;
    }
    Ok(ranks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranks_add_up_stay_in_bounds_and_follow_importance(
            importance in prop::collection::vec(0.0f64..10.0, 1..12),
            least in 0usize..4, more in 0usize..9, share in 0.0f64..=1.0,
        ) {
            let (n, most) = (importance.len(), least + more);
            let total = n * least + (share * (n * more) as f64) as usize;
            let r = ranks(&importance, total, least..=most).unwrap();
            prop_assert_eq!((r.len(), r.iter().sum::<usize>()), (n, total));
            prop_assert!(r.iter().all(|r| (least..=most).contains(r)));
            for i in 0..n {
                for j in 0..n {
                    // More important ones get no less; among equals the first gets no less.
                    let before = importance[i] > importance[j]
                        || (importance[i] == importance[j] && i < j);
                    prop_assert!(!before || r[i] >= r[j], "{:?} {:?}", importance, r);
                }
            }
            if total < n * most {
                let next = ranks(&importance, total + 1, least..=most).unwrap();
                let grown = r.iter().zip(&next).map(|(a, b)| b.checked_sub(*a)).sum::<Option<_>>();
                prop_assert_eq!(grown, Some(1));
            }
        }
    }

    #[test]
    fn nothing_known_is_shared_evenly() {
        assert_eq!(ranks(&[0.0; 4], 10, 1..=8).unwrap(), [3, 3, 2, 2]);
        assert_eq!(ranks(&[1.0; 3], 12, 0..=8).unwrap(), [4, 4, 4]);
        assert_eq!(ranks(&[], 0, 1..=8).unwrap(), [0; 0]);
    }

    #[test]
    fn what_cannot_be_is_said() {
        for (importance, total, bounds, part) in [
            (&[1.0, 2.0][..], 17, 1..=8, "cannot add up to 17"),
            (&[1.0, 2.0], 1, 1..=8, "cannot add up to 1"),
            (&[1.0, f64::NAN], 4, 1..=8, "number 1 is NaN"),
            (&[-1.0, 2.0], 4, 1..=8, "number 0 is -1"),
            (&[1.0, 2.0], 4, RangeInclusive::new(3, 2), "from 3 to 2 there is none"),
        ] {
            let e = ranks(importance, total, bounds).expect_err(part);
            assert!(e.to_string().contains(part), "{e}");
        }
    }
}
