//! How the tensors of GGUF files differ from Hugging Face's.

/// How a tensor is stored in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// As Hugging Face has it.
    Same,
    /// Rows of heads: the two that rotate together are neighbours, not half a head apart.
    Neighbours { heads: usize },
    /// `[out, in]`, not `[in, out]`.
    Transposed,
    /// With 1 added.
    PlusOne,
    /// Rows: all queries, all keys, all values, not by key-value head.
    Side { heads: usize, kv_heads: usize },
}

impl Layout {
    /// Hugging Face's shape of a tensor that is stored as `shape`.
    pub(super) fn shape(self, shape: &[usize]) -> Vec<usize> {
        let mut shape = shape.to_vec();
        if self == Layout::Transposed {
            shape.reverse();
        }
        shape
    }

    /// Where a row of Hugging Face's stands in the file, of so many; the error says what is wrong
    /// with that number.
    pub(super) fn order(self, rows: usize) -> Result<impl Fn(usize) -> usize, String> {
        match self {
            Layout::Neighbours { heads } if !rows.is_multiple_of(2 * heads) => {
                return Err(format!("{rows} rows are no {heads} heads of even width"));
            }
            Layout::Side { heads, kv_heads }
                if !heads.is_multiple_of(kv_heads)
                    || !rows.is_multiple_of(heads + 2 * kv_heads) =>
            {
                return Err(format!("{rows} rows are no {heads} queries and {kv_heads} keys"));
            }
            _ => {}
        }
        Ok(move |row: usize| match self {
            Layout::Same | Layout::PlusOne | Layout::Transposed => row,
            Layout::Neighbours { heads } => {
                let half = rows / heads / 2;
                let (head, part, i) = (row / (2 * half), row / half % 2, row % half);
                head * 2 * half + 2 * i + part
            }
            Layout::Side { heads, kv_heads } => {
                let (group, k) = (heads / kv_heads, rows / (heads + 2 * kv_heads));
                let (kv, i) = (row / k / (group + 2), row / k % (group + 2));
                let head = match i {
                    _ if i < group => kv * group + i,
                    _ => heads + (i - group) * kv_heads + kv,
                };
                head * k + row % k
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_where_they_were() {
        let order = |layout: Layout, rows| layout.order(rows).map(|at| (0..rows).map(at).collect());
        let order = |layout, rows| -> Vec<usize> { order(layout, rows).unwrap() };
        // Two heads of four rows: pairs (0, 1), (2, 3) become halves.
        let heads = Layout::Neighbours { heads: 2 };
        assert_eq!(order(heads, 8), [0, 2, 1, 3, 4, 6, 5, 7]);
        assert_eq!(order(Layout::Same, 3), [0, 1, 2]);
        assert_eq!(Layout::Transposed.shape(&[2, 3]), [3, 2]);
        // Queries 0 to 3, keys 4 and 5, values 6 and 7: two queries, a key and a value each.
        let side = Layout::Side { heads: 4, kv_heads: 2 };
        assert_eq!(order(side, 8), [0, 1, 4, 6, 2, 3, 5, 7]);
        assert_eq!(order(side, 16)[..6], [0, 1, 2, 3, 8, 9]);
        for (layout, rows) in [(heads, 6), (side, 9)] {
            assert!(layout.order(rows).is_err(), "{layout:?}");
        }
    }
}
