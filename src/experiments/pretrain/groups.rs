//! Examples of like lengths side by side, so that little is computed for `<pad>`.

use crate::tasks::language::{Example, LONGEST};

/// Rows of one program.
pub(super) struct Group {
    /// Which examples.
    pub(super) rows: Vec<usize>,
    /// Tokens of a row.
    pub(super) length: usize,
}

/// Lengths are multiples of this, so that there are few different ones to record programs for.
const STEP: usize = 4;

/// All of `examples` by length, in equal groups of at most `most` but for the last. It depends on
/// their lengths and their order alone.
pub(super) fn groups(examples: &[Example], most: usize) -> Vec<Group> {
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.sort_by_key(|&i| examples[i].tokens.len());
    let count = examples.len().div_ceil(most).max(1);
    let group = |rows: &[usize]| {
        let longest = rows.iter().map(|&i| examples[i].tokens.len() - 1).max().unwrap_or(0);
        let length = longest.next_multiple_of(STEP).min(LONGEST - 1);
        Group { rows: rows.to_vec(), length }
    };
    order.chunks(examples.len().div_ceil(count).max(1)).map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::language::Mixture;

    #[test]
    fn every_example_is_in_one_group_that_it_fits() {
        for n in [0, 1, 5, 16, 17, 64] {
            let examples = Mixture::new(0).examples(0, n);
            let groups = groups(&examples, 16);
            let mut all: Vec<usize> = groups.iter().flat_map(|g| g.rows.clone()).collect();
            all.sort_unstable();
            assert_eq!(all, (0..n).collect::<Vec<_>>());
            assert_eq!(groups.len(), n.div_ceil(16));
            for group in &groups {
                let longest = group.rows.iter().map(|&i| examples[i].tokens.len() - 1).max();
                let longest = longest.expect("a group is not empty");
                assert!((longest..longest + STEP).contains(&group.length));
            }
            assert!(groups.is_sorted_by_key(|g| g.length));
        }
    }
}
