//! Fewer points that show the same curve.

/// Which of `len` points to keep: at most `limit`, evenly, the first and the last among them.
pub(crate) fn evenly(len: usize, limit: usize) -> Vec<usize> {
    if len <= limit || limit < 2 {
        return (0..len).collect();
    }
    (0..limit).map(|i| i * (len - 1) / (limit - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evenly_keeps_both_ends() {
        assert_eq!(evenly(3, 10), [0, 1, 2]);
        assert_eq!(evenly(101, 5), [0, 25, 50, 75, 100]);
        assert!(evenly(0, 5).is_empty());
    }
}
